import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { HandshakeResponder } from './handshake-responder.ts'
import { closeCode } from '../codec/frame.ts'
import { InitiatorHandshake } from '../crypto/handshake.ts'
import { ResponderSessions } from './responder-sessions.ts'
import { KeyRing } from '../crypto/key-ring.ts'
import { silentForgetUs } from '../constants.ts'
import type { Output } from '../io.ts'
import { decodePacket, toConnectionId } from '../codec/packet.ts'
import type { SessionKeys } from '../crypto/packet-protection.ts'
import type { StoreWork } from '../store-messages.ts'
import {
  dataPacket,
  datagramOf,
  framesOf,
  initiatorAddress,
  openedFacts,
  openFrame,
} from '../../../test/support/session-pair.ts'
import { seededEnvironment } from '../../../test/support/seeded-environment.ts'

const from = initiatorAddress

class Sessions {
  readonly sessions: ResponderSessions
  readonly keys: SessionKeys
  readonly out: Output[] = []

  /** One handshake has been answered. */
  constructor(proxyIp?: string) {
    const environment = seededEnvironment(3)
    const ring = new KeyRing(environment, [])
    let session = 0
    const takeSessionId = (): number => ++session
    const options = { environment, ring, keylessFrom: 'private', proxyIp, takeSessionId } as const
    const handshakeResponder = new HandshakeResponder(options, 0)
    this.sessions = new ResponderSessions({ handshakeResponder, datagramBytesMax: 9_000 })
    const scid = toConnectionId(environment.randomBytes(8))
    const handshake = new InitiatorHandshake(environment, scid, undefined)
    const hello1 = decodePacket(handshake.hello1())
    ok(hello1?.type === 'hello1')
    const answer = handshakeResponder.onHello1(hello1, from, 0)
    const hello2 = answer && decodePacket(answer)
    const keys = hello2?.type === 'hello2' ? handshake.finish(hello2) : undefined
    ok(keys !== undefined)
    this.keys = keys
  }

  put(...frames: Parameters<typeof datagramOf>[0]): ReturnType<ResponderSessions['onData']> {
    const packet = dataPacket(datagramOf(frames, this.keys))
    return this.sessions.onData(packet, from, 0, this.out)
  }

  open(): void {
    this.put(openFrame)
    this.sessions.onAccepted({ type: 'accepted', session: 1, ...openedFacts })
  }

  /** Work for the store so far. */
  work(): StoreWork['type'][] {
    return this.out.flatMap((output) => (output.type === 'store' ? [output.work.type] : []))
  }

  /** The last frame that was sent. */
  lastFrame(): ReturnType<typeof framesOf>[number] | undefined {
    const sent = this.out.findLast((output) => output.type === 'send')
    return sent && framesOf(sent.bytes, this.keys, 'responder').at(-1)
  }
}

test('the first packet that opens begins a session, a forged one does not', () => {
  const all = new Sessions()
  const datagram = datagramOf([openFrame], all.keys)
  const forged = Uint8Array.from(datagram)
  forged[30] = (forged[30] ?? 0) ^ 1
  deepStrictEqual(all.sessions.onData(dataPacket(forged), from, 0, all.out), 'unauthenticated')
  deepStrictEqual([all.sessions.size, all.out.length], [0, 0])
  ok(all.sessions.onData(dataPacket(datagram), from, 0, all.out) !== 'unauthenticated')
  deepStrictEqual([all.sessions.size, all.work()], [1, ['accept']])
  deepStrictEqual(all.sessions.onData(dataPacket(datagram), from, 0, all.out), 'unauthenticated')
})

test('a packet of a session that nobody has is not ours', () => {
  const all = new Sessions()
  const other = Uint8Array.of(0x40, ...new Uint8Array(60))
  deepStrictEqual(all.sessions.onData(dataPacket(other), from, 0, all.out), undefined)
})

test('where the sender can be answered is what it says, or where it comes from', () => {
  const hosts = ['', 'MachineA'].map((host) => {
    const all = new Sessions()
    all.put({ ...openFrame, host, port: host === '' ? 0 : 7 })
    const [output] = all.out
    return output?.type === 'store' && output.work.type === 'accept'
      ? `${output.work.host} ${output.work.port}`
      : ''
  })
  deepStrictEqual(hosts, [`${from.ip} ${from.port}`, 'MachineA 7'])
})

test('who comes through an address that may be a proxy must be known to the store', () => {
  const mustBeKnown = (proxyIp?: string): boolean[] => {
    const all = new Sessions(proxyIp)
    all.open()
    return all.out.flatMap((output) =>
      output.type === 'store' && output.work.type === 'accept' ? [output.work.mustBeKnown] : [],
    )
  }
  deepStrictEqual([mustBeKnown(), mustBeKnown('10.9.9.9')], [[false], [false]])
  deepStrictEqual(mustBeKnown(from.ip), [true])
})

test('what the store answers to a session that is gone does nothing', () => {
  const { sessions, out } = new Sessions()
  const gone = { session: 99 } as const
  const facts = { sequence: 0, retryAfterMs: 0, reason: '' }
  deepStrictEqual(sessions.onAccepted({ type: 'accepted', ...gone, ...openedFacts }), undefined)
  const received = { type: 'received', ...gone, sequence: 5, durable: 5 } as const
  deepStrictEqual(sessions.onReceived(received, 0), undefined)
  deepStrictEqual(sessions.onSuperseded(99, out), undefined)
  const rejected = { type: 'rejected', ...gone, code: closeCode.busy, ...facts } as const
  deepStrictEqual(sessions.onRejected(rejected, out), undefined)
  deepStrictEqual(out, [])
})

test('whoever is turned away is informed why, as far as there is room, and forgotten', () => {
  const all = new Sessions()
  all.open()
  const code = closeCode.store
  const reason = 'ü'.repeat(300)
  const rejected = { session: 1, code, sequence: 0, retryAfterMs: 5, reason } as const
  all.sessions.onRejected({ type: 'rejected', ...rejected }, all.out)
  const frame = all.lastFrame()
  ok(frame?.type === 'close')
  deepStrictEqual([frame.code, frame.retryAfterMs, frame.reason], [code, 5, 'ü'.repeat(100)])
  deepStrictEqual([all.sessions.size, all.work()], [0, ['accept', 'release-session']])
})

test('rows are handed to the store when the session has its turn', () => {
  const all = new Sessions()
  all.open()
  const session = all.put({ type: 'stream', offset: 0, bytes: Uint8Array.of(1, 2, 3) })
  ok(typeof session === 'object')
  all.sessions.onDeadline(session, 0, all.out)
  all.sessions.onDeadline(session, 0, all.out)
  deepStrictEqual(all.work(), ['accept', 'receive'])
})

test('a session that is silent for 90 s is closed and forgotten', () => {
  const all = new Sessions()
  const session = all.put(openFrame)
  ok(typeof session === 'object')
  all.sessions.onDeadline(session, silentForgetUs - 1, all.out)
  deepStrictEqual(all.sessions.size, 1)
  all.sessions.onDeadline(session, silentForgetUs, all.out)
  deepStrictEqual([all.sessions.size, all.lastFrame()?.type], [0, 'close'])
})

test('frames that cannot be read end the session, with one line in the log', () => {
  const all = new Sessions()
  all.open()
  const packet = dataPacket(all.keys.seal(new Uint8Array(120).fill(0x55)))
  all.sessions.onData(packet, from, 0, all.out)
  const frame = all.lastFrame()
  ok(frame?.type === 'close' && frame.code === closeCode.protocol)
  deepStrictEqual(all.sessions.size, 0)
  deepStrictEqual(all.out.filter(({ type }) => type === 'event').length, 2)
})

test('a node that stops closes all', () => {
  const all = new Sessions()
  all.open()
  all.sessions.stop(all.out)
  const frame = all.lastFrame()
  ok(frame?.type === 'close' && frame.code === closeCode.stopping)
  deepStrictEqual(all.sessions.size, 0)
})
