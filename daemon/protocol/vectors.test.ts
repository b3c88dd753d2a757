/**
 * The golden vectors, read both ways: bytes to value and value to bytes. They are frozen. A test
 * that fails here has found a change of the protocol.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { keyPairFrom, nodeEnvironment } from '../node-crypto.ts'
import { unreachable } from './assert.ts'
import { HashChain } from '../store/hash-chain.ts'
import type { Environment } from './crypto/provider.ts'
import { decodeFrames, encodeFrame, type Frame, type Role } from './codec/frame.ts'
import { applyIdentityRules } from '../store/outbox/identity-check.ts'
import { type InboundFact, ResponderSession } from './session/responder-session.ts'
import {
  deriveKeyId,
  type HandshakeOptions,
  Initiation,
  prologue,
  respond,
  type TransportKeys,
  transportKeys,
} from './crypto/noise.ts'
import { decodePacket, encodePacket, idBytesOf, toConnectionId, toKeyId } from './codec/packet.ts'
import { PacketProtection, SessionKeys } from './crypto/packet-protection.ts'
import {
  bodyLength,
  decodeBody,
  encodeBodyHead,
  encodeMessageHead,
  encodeResumeHead,
  encodeSkip,
  type Message,
  type RecordEvent,
  RecordParser,
} from '../store/record.ts'
import { fromHex, hex } from '../../test/support/hex.ts'
import type { NativePacket } from '../../test/support/packets.ts'
import { concat, Reader, Writer } from './codec/buffer.ts'

type Named = { readonly name: string; readonly hex: string }
type Rejected = { readonly why: string; readonly hex: string }
type SealedPacket = {
  readonly sender: Role
  readonly packetNumber: number
  readonly frames: string
  readonly datagram: string
}
type Handshake = {
  readonly name: string
  readonly key: string | null
  readonly versions: string
  readonly initiatorId: string
  readonly responderId: string
  readonly initiatorEphemeral: string
  readonly responderEphemeral: string
  readonly prologue: string
  readonly hello1: string
  readonly hello2: string
  readonly chainingKey: string
  readonly hash: string
  readonly transportKeys: unknown
  readonly packets: readonly SealedPacket[]
  readonly retry: {
    readonly beforeEphemeral: string
    readonly before: string
    readonly retry: string
    readonly afterEphemeral: string
    readonly prologue: string
    readonly after: string
    readonly hash: string
  }
}
type Vectors = {
  readonly varints: readonly { readonly value: number; readonly hex: string }[]
  readonly texts: readonly { readonly value: string; readonly hex: string }[]
  readonly packets: readonly (Named & { readonly packet: { readonly type: string } })[]
  readonly frames: readonly (Named & {
    readonly sender: Role
    readonly padding: number
    readonly frames: readonly unknown[]
  })[]
  readonly bodies: readonly (Named & { readonly message: unknown })[]
  readonly longBody: {
    readonly dataByte: string
    readonly dataBytes: number
    readonly bodyBytes: number
    readonly headHex: string
    readonly message: object
  }
  readonly streams: readonly (Named & { readonly events: readonly unknown[] })[]
  readonly chain: readonly { readonly sequence: number; readonly digest: string }[]
  readonly keyIds: readonly { readonly key: string; readonly keyId: string }[]
  readonly handshakes: readonly Handshake[]
  readonly rules: readonly {
    readonly rule: number
    readonly own: string
    readonly peer: string | null
    readonly a: number
    readonly n: number
    readonly database: string
    readonly watermark: number
    readonly digestIsOurs: boolean
    readonly result: string
  }[]
  readonly sizes: readonly {
    readonly name: string
    readonly packetNumber: number
    readonly frames: string
    readonly datagramBytes: number
    readonly datagram: string
    readonly result: 'taken' | 'closed' | 'protocol error'
  }[]
  readonly rejected: {
    readonly varints: readonly string[]
    readonly packets: readonly Rejected[]
    readonly frames: readonly (Rejected & { readonly sender: Role })[]
    readonly bodies: readonly Rejected[]
    readonly streams: readonly Rejected[]
  }
}

const vectors = JSON.parse(
  readFileSync(new URL('./vectors.json', import.meta.url), 'utf8'),
) as Vectors
const environment = nodeEnvironment()

const byteFields = new Set(
  ['noise', 'cookie', 'versions', 'datagram', 'bytes', 'databaseId', 'stream', 'database'].concat([
    'digest',
    'uid',
    'uids',
    'data',
    'body',
    'key',
    'iv',
  ]),
)

/** The value that a vector's JSON stands for: fields of bytes and of ids are hexadecimal there. */
function revived(value: unknown, field = ''): unknown {
  if (value === null) return undefined
  if (Array.isArray(value)) return value.map((item) => revived(item))
  if (typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, revived(item, name)]),
    )
  }
  if (typeof value !== 'string') return value
  if (field === 'dcid' || field === 'scid') return toConnectionId(fromHex(value))
  if (field === 'keyId') return toKeyId(fromHex(value))
  return byteFields.has(field) ? fromHex(value) : value
}

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(64)
  write(writer)
  return writer.written
}

function bodyOf(message: Message): Uint8Array {
  return concat(
    written((writer) => encodeBodyHead(writer, message)),
    message.data,
  )
}

function recordOf(event: RecordEvent): Uint8Array {
  switch (event.type) {
    case 'message':
      return concat(
        written((writer) => encodeMessageHead(writer, event.body.length)),
        event.body,
      )
    case 'skip':
      return written((writer) => encodeSkip(writer, event.uids))
    case 'resume':
      return written((writer) => encodeResumeHead(writer, event.length, event.offset))
    case 'rest':
      return event.bytes
    case 'malformed':
      return assert.fail('A malformed record has no vector.')
    default:
      return unreachable(event)
  }
}

test('varints', () => {
  for (const { value, hex: digits } of vectors.varints) {
    assert.equal(new Reader(fromHex(digits)).varint(), value)
    assert.equal(hex(written((writer) => writer.varint(value))), digits)
  }
  for (const digits of vectors.rejected.varints) {
    const reader = new Reader(fromHex(digits))
    reader.varint()
    assert.equal(reader.failed, true, digits)
  }
})

test('texts', () => {
  for (const { value, hex: digits } of vectors.texts) {
    const reader = new Reader(fromHex(digits))
    assert.equal(reader.text(255), value)
    assert.equal(reader.failed, false)
    assert.equal(hex(written((writer) => writer.text(value))), digits)
  }
})

test('packets', () => {
  for (const { name, hex: digits, packet } of vectors.packets) {
    const value = revived(packet)
    assert.deepEqual(decodePacket(fromHex(digits)), value, name)
    if (packet.type === 'foreign-hello1') continue
    assert.equal(hex(encodePacket(value as NativePacket)), digits, name)
  }
  for (const { why, hex: digits } of vectors.rejected.packets) {
    assert.equal(decodePacket(fromHex(digits)), undefined, why)
  }
})

test('frames', () => {
  for (const { name, sender, hex: digits, frames, padding } of vectors.frames) {
    const values = revived(frames) as Frame[]
    assert.deepEqual(decodeFrames(fromHex(digits), sender), values, name)
    const again = written((writer) => {
      for (const frame of values) encodeFrame(writer, frame)
      writer.zeros(padding)
    })
    assert.equal(hex(again), digits, name)
  }
  for (const { why, sender, hex: digits } of vectors.rejected.frames) {
    assert.equal(decodeFrames(fromHex(digits), sender), undefined, why)
  }
})

test('bodies', () => {
  for (const { name, hex: digits, message } of vectors.bodies) {
    const value = revived(message) as Message
    assert.deepEqual(decodeBody(fromHex(digits)), value, name)
    assert.equal(hex(bodyOf(value)), digits, name)
  }
  for (const { why, hex: digits } of vectors.rejected.bodies) {
    assert.equal(decodeBody(fromHex(digits)), undefined, why)
  }
})

test('a body that is long enough for a digest', () => {
  const { dataByte, dataBytes, bodyBytes, headHex, message } = vectors.longBody
  const data = new Uint8Array(dataBytes).fill(Number.parseInt(dataByte, 16))
  const value = { ...(revived(message) as Omit<Message, 'data'>), data }
  assert.deepEqual(value.digest, environment.sha256(data))
  assert.equal(bodyLength(value), bodyBytes)
  assert.equal(hex(written((writer) => encodeBodyHead(writer, value))), headHex)
  assert.deepEqual(decodeBody(concat(fromHex(headHex), data)), value)
})

test('streams of records', () => {
  for (const { name, hex: digits, events } of vectors.streams) {
    const values = revived(events) as RecordEvent[]
    assert.deepEqual(new RecordParser(1_048_576).feed(fromHex(digits)), values, name)
    assert.ok(digits.startsWith(hex(concat(...values.map(recordOf)))), name)
  }
  for (const { why, hex: digits } of vectors.rejected.streams) {
    const events = new RecordParser(1_048_576).feed(fromHex(digits))
    assert.equal(events.at(-1)?.type, 'malformed', why)
  }
})

test('digests of the chain', () => {
  const chain = new HashChain((...parts) => environment.sha256(...parts))
  for (const { sequence, digest } of vectors.chain) {
    for (let next = chain.sequence + 1; next <= sequence; next++) {
      chain.append(fromHex(next.toString(16).padStart(32, '0')))
    }
    assert.equal(hex(chain.digest()), digest)
  }
})

test('rules of identity', () => {
  for (const { rule, own, peer, a, n, database, watermark, ...vector } of vectors.rules) {
    const ours = fromHex('dd'.repeat(16))
    const lane = {
      ownDatabase: fromHex(own),
      addressIsOwn: false,
      peer: peer === null ? undefined : fromHex(peer),
      confirmed: a,
      numbered: n,
      digestAt: () => ours,
      oldestRowMs: () => undefined,
    }
    const digest = vector.digestIsOurs ? ours : fromHex('ee'.repeat(16))
    const opened = { database: fromHex(database), watermark, digest, logStart: 0 }
    const decision = applyIdentityRules(lane, opened)
    const event = decision.type === 'go' ? undefined : decision.event
    const range = event?.code === 'PEER_ROLLED_BACK' ? ` ${event.from} ${event.to}` : ''
    const result = decision.type === 'go' ? `go ${decision.from}` : `${event?.code}${range}`
    assert.equal(result, vector.result, `rule ${rule}`)
  }
})

test('key ids', () => {
  for (const { key, keyId } of vectors.keyIds) {
    assert.equal(hex(idBytesOf(deriveKeyId(environment, fromHex(key)))), keyId)
  }
})

function withEphemeral(privateKey: string): Environment {
  return { ...environment, generateKeyPair: () => keyPairFrom(fromHex(privateKey)) }
}

/** Both HELLOs as they are on the wire, and the options that make them. */
function shaken(vector: Handshake): HandshakeOptions {
  const key = vector.key === null ? undefined : fromHex(vector.key)
  const keyId = key === undefined ? undefined : deriveKeyId(environment, key)
  const scid = toConnectionId(fromHex(vector.initiatorId))
  const hello1 = decodePacket(fromHex(vector.hello1))
  assert.ok(hello1?.type === 'hello1')
  assert.equal(hello1.scid, scid)
  assert.equal(hello1.keyId, keyId)
  assert.deepEqual(hello1.versions, fromHex(vector.versions))
  const bound = prologue(hello1.versions, 1, scid, keyId, hello1.cookie)
  assert.equal(hex(bound), vector.prologue)
  return { environment: withEphemeral(vector.initiatorEphemeral), prologue: bound, key }
}

/** What a responder makes of a packet, as the vectors say it. */
function resultOf([fact]: readonly InboundFact[]): string {
  if (fact === undefined) return 'taken'
  return fact.type === 'broken' ? 'protocol error' : fact.type
}

test('sizes of datagrams', () => {
  const [vector] = vectors.handshakes
  assert.ok(vector !== undefined && vectors.sizes.length > 0)
  const keys = revived(vector.transportKeys) as TransportKeys
  const toResponder = toConnectionId(fromHex(vector.responderId))
  const toInitiator = toConnectionId(fromHex(vector.initiatorId))
  const initiator = new PacketProtection(environment, keys, 'initiator', toResponder)
  for (const { name, packetNumber, frames, datagramBytes, datagram, result } of vectors.sizes) {
    assert.equal(hex(initiator.seal(packetNumber, fromHex(frames))), datagram, name)
    const packet = decodePacket(fromHex(datagram))
    assert.ok(packet?.type === 'data' && packet.datagram.length === datagramBytes, name)
    const protection = new PacketProtection(environment, keys, 'responder', toInitiator)
    const options = { id: 1, key: '', keyId: undefined, creditShareBytes: 65_536 }
    const peer = { ip: '10.0.0.1', port: 9000 }
    const sessionKeys = new SessionKeys(protection, toInitiator)
    const session = new ResponderSession({ ...options, peer, keys: sessionKeys }, 0)
    const plain = sessionKeys.open(packet)
    assert.equal(hex(plain ?? new Uint8Array(0)), frames, name)
    const read = decodeFrames(fromHex(frames), 'initiator')
    assert.ok(read !== undefined, name)
    assert.equal(
      resultOf(session.onPacket(packetNumber, read, datagramBytes, peer, 0)),
      result,
      name,
    )
  }
})

for (const vector of vectors.handshakes) {
  test(`RETRY of ${vector.name}, and the HELLO1 that follows`, () => {
    const { before, retry, after, ...made } = vector.retry
    const [first, packet, second] = [before, retry, after].map((digits) => {
      const decoded = decodePacket(fromHex(digits))
      assert.ok(decoded !== undefined && decoded.type !== 'foreign-hello1')
      assert.equal(hex(encodePacket(decoded)), digits)
      return decoded
    })
    assert.ok(first?.type === 'hello1' && packet?.type === 'retry')
    assert.equal(packet.dcid, first.scid)
    assert.equal(first.cookie, undefined)
    assert.ok(second?.type === 'hello1')
    const { cookie } = packet
    assert.deepEqual(second, { ...first, cookie, noise: second.noise })
    // Each has an ephemeral key of its own: nothing is sealed twice under one key.
    const key = vector.key === null ? undefined : fromHex(vector.key)
    const { versions, scid, keyId } = first
    const bound = prologue(versions, 1, scid, keyId, cookie)
    assert.equal(hex(bound), made.prologue)
    assert.notEqual(made.beforeEphemeral, made.afterEphemeral)
    for (const [hello, ephemeral] of [
      [first, made.beforeEphemeral],
      [second, made.afterEphemeral],
    ] as const) {
      const options = {
        environment: withEphemeral(ephemeral),
        prologue: prologue(versions, 1, scid, keyId, hello.cookie),
        key,
      }
      assert.deepEqual(new Initiation(options).message, hello.noise)
    }
    const environment = withEphemeral(vector.responderEphemeral)
    const answer = respond({ environment, prologue: bound, key }, second.noise)
    assert.equal(hex(answer?.hash ?? new Uint8Array(0)), made.hash)
    if (key === undefined) return
    // The cookie is under the tag: a recorded HELLO1 cannot be given one.
    assert.equal(respond({ environment, prologue: bound, key }, first.noise), undefined)
  })

  test(`a handshake of ${vector.name}, from HELLO1 to transport keys`, () => {
    const options = shaken(vector)
    const hello1 = decodePacket(fromHex(vector.hello1))
    const hello2 = decodePacket(fromHex(vector.hello2))
    assert.ok(hello1?.type === 'hello1' && hello2?.type === 'hello2')
    assert.equal(hello2.dcid, hello1.scid)
    assert.equal(hex(idBytesOf(hello2.scid)), vector.responderId)
    const initiation = new Initiation(options)
    assert.deepEqual(initiation.message, hello1.noise)
    const responder = { ...options, environment: withEphemeral(vector.responderEphemeral) }
    const response = respond(responder, hello1.noise)
    assert.deepEqual(response?.message, hello2.noise)
    const agreement = initiation.finish(hello2.noise)
    assert.ok(agreement !== undefined)
    for (const side of [agreement, response]) {
      assert.equal(hex(side?.chainingKey ?? new Uint8Array(0)), vector.chainingKey)
      assert.equal(hex(side?.hash ?? new Uint8Array(0)), vector.hash)
    }
    assert.deepEqual(transportKeys(environment, agreement), revived(vector.transportKeys))
  })

  test(`DATA packets of ${vector.name}`, () => {
    const keys = revived(vector.transportKeys) as TransportKeys
    const toResponder = toConnectionId(fromHex(vector.responderId))
    const toInitiator = toConnectionId(fromHex(vector.initiatorId))
    const sides = {
      initiator: new PacketProtection(environment, keys, 'initiator', toResponder),
      responder: new PacketProtection(environment, keys, 'responder', toInitiator),
    }
    for (const { sender, packetNumber, frames, datagram } of vector.packets) {
      assert.equal(hex(sides[sender].seal(packetNumber, fromHex(frames))), datagram)
      const packet = decodePacket(fromHex(datagram))
      assert.ok(packet?.type === 'data')
      assert.equal(packet.packetNumber, packetNumber)
      const receiver = sender === 'initiator' ? sides.responder : sides.initiator
      const opened = receiver.open(packet)
      assert.equal(hex(opened ?? new Uint8Array(0)), frames)
      assert.notEqual(decodeFrames(fromHex(frames), sender), undefined)
    }
  })
}
