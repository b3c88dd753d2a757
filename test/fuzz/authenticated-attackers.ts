/**
 * What somebody can send who may open sessions, as anybody near may where there are no keys: sound
 * handshakes, then frames and records that are sound, nearly sound or senseless, from addresses
 * that are not his. Must never be more than a few sessions at a time.
 */
import { unreachable } from '../../daemon/protocol/assert.ts'
import { encodeFrame, type Frame } from '../../daemon/protocol/codec/frame.ts'
import type { Key } from '../../daemon/protocol/crypto/handshake.ts'
import type { Address } from '../../daemon/protocol/io.ts'
import type { SessionKeys } from '../../daemon/protocol/crypto/packet-protection.ts'
import { mutated, sendWild, wildFrame } from '../support/hostile.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { at, keyNamed, type Machine } from '../simulator/core/scenario.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { datagramOf, openedFacts, openFrame } from '../support/session-pair.ts'
import { Writer } from '../../daemon/protocol/codec/buffer.ts'
import { type FuzzCluster, count, type Counts } from './fuzz-cluster.ts'
import { hostileRecord } from './hostile-record.ts'

type Session = {
  readonly keys: SessionKeys
  readonly stream: Uint8Array
  readonly sent: Uint8Array[]
  offset: number
  packets: number
}

const sessionsMax = 16
const packetsPerSession = 150
const victims = 65_536

const actions = [
  { weight: 30, kind: 'records' },
  { weight: 12, kind: 'records mutated' },
  { weight: 6, kind: 'pieces that overlap' },
  { weight: 10, kind: 'ping' },
  { weight: 3, kind: 'wild frames' },
  { weight: 1, kind: 'wild plaintext' },
  { weight: 8, kind: 'from another address' },
  { weight: 6, kind: 'padding from another address' },
  { weight: 10, kind: 'own packet again' },
  { weight: 4, kind: 'open again' },
  { weight: 10, kind: 'mutated under the tag' },
] as const

/** Somebody who opens sessions with `b` and answers those that `b` opens with him. */
export class AuthenticatedAttackers {
  readonly kinds: Counts = new Map()
  readonly #cluster: FuzzCluster
  readonly #random: SeededRandom
  readonly #peer: RawPeer
  readonly #host: RawPeer
  readonly #key: Key | undefined
  readonly #sessions: Session[] = []
  #hostKeys: SessionKeys | undefined
  #ids = 0

  constructor(cluster: FuzzCluster, seed: number) {
    this.#cluster = cluster
    this.#random = cluster.random
    this.#key = cluster.key === '' ? undefined : keyNamed('k')
    this.#peer = new RawPeer(cluster.scenario.network, at('10.66.200.1'), seed)
    this.#host = new RawPeer(cluster.scenario.network, at('10.0.0.200'), seed + 1)
    cluster.scenario.names.set('odd', [this.#host.address.ip])
    cluster.knows(this.#host.address)
    cluster.scenario.insert(cluster.b, 'odd', cluster.key, 20)
  }

  attack(): void {
    if (this.#random.chance(0.2)) return this.#answer()
    const session = this.#session()
    if (session === undefined) return
    const { kind } = this.#random.oneByWeight(actions)
    count(this.kinds, kind)
    session.packets++
    this.#do(kind, session)
    this.#peer.packets.length = 0
  }

  // ---- as an initiator

  #session(): Session | undefined {
    if (this.#sessions.length < sessionsMax && this.#random.chance(0.1)) this.#open()
    if (this.#sessions.length === 0) return undefined
    const place = this.#random.below(this.#sessions.length)
    const session = this.#sessions[place]
    if ((session?.packets ?? 0) > packetsPerSession) this.#sessions.splice(place, 1)
    return session
  }

  #open(): void {
    const { b, scenario } = this.#cluster
    const handshake = this.#peer.beginHandshake(this.#key)
    this.#peer.send(b.host.address, handshake.hello1())
    scenario.run(5_000)
    const hello2 = this.#peer.last('hello2')
    const retry = this.#peer.last('retry')
    if (hello2 === undefined && retry !== undefined && handshake.onCookie(retry.cookie)) {
      this.#peer.send(b.host.address, handshake.hello1())
      scenario.run(5_000)
    }
    const answer = this.#peer.last('hello2')
    const keys = answer && handshake.finish(answer)
    this.#peer.packets.length = 0
    count(this.kinds, keys === undefined ? 'handshake without an answer' : 'handshake')
    if (keys === undefined) return
    const stream = new Uint8Array(16)
    new DataView(stream.buffer).setUint32(0, ++this.#ids)
    this.#sessions.push({ keys, stream, sent: [], offset: 0, packets: 0 })
    if (this.#random.chance(0.9)) this.#send(keys, [{ ...openFrame, stream }])
    scenario.run(5_000)
  }

  #do(kind: (typeof actions)[number]['kind'], session: Session): void {
    const random = this.#random
    const { keys, stream } = session
    const to = this.#cluster.b.host.address
    switch (kind) {
      case 'records':
        return this.#records(session, this.#record())
      case 'records mutated':
        return this.#records(session, mutated(this.#record(), random))
      case 'pieces that overlap': {
        const offset = Math.max(0, session.offset + random.below(3_000) - 1_000)
        const bytes = new Uint8Array(1 + random.below(1_000)).fill(random.below(4))
        return this.#send(keys, [{ type: 'stream', offset, bytes }])
      }
      case 'ping':
        return this.#send(keys, [{ type: 'ping' }], session)
      case 'wild frames':
        return this.#inject(keys, [wildFrame(random)], random.one([40, 128, 1_200]))
      case 'wild plaintext':
        count(this.#cluster.taken, 'data')
        return sendWild(this.#peer, keys, to, random)
      case 'from another address':
        return this.#inject(keys, [{ type: 'ping' }], 128, this.#victim())
      case 'padding from another address':
        return this.#fromVictimThenAnswers(session)
      case 'own packet again': {
        const packet = session.sent[random.below(Math.max(1, session.sent.length))]
        if (packet !== undefined) this.#cluster.inject(this.#victim(), this.#cluster.b, packet)
        return
      }
      case 'open again': {
        // Answered again, or another OPEN, which breaks a rule.
        const confirmed = random.below(2)
        return this.#send(keys, [{ ...openFrame, confirmed, stream }])
      }
      case 'mutated under the tag':
        return this.#plain(keys, mutated(this.#plainFrames(session), random))
      default:
        return unreachable(kind)
    }
  }

  /** The session moves to an address that has asked for nothing; then much is to be answered. */
  #fromVictimThenAnswers(session: Session): void {
    const plains = Array.from({ length: 4 }, () => this.#record())
    const packets = plains.map((bytes) => {
      const frame: Frame = { type: 'stream', offset: session.offset, bytes }
      session.offset += bytes.length
      return datagramOf([frame], session.keys, 128)
    })
    const moving = session.keys.seal(new Uint8Array(1))
    this.#cluster.inject(this.#victim(), this.#cluster.b, moving)
    for (const packet of packets) this.#cluster.inject(this.#peer.address, this.#cluster.b, packet)
  }

  #records(session: Session, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const half = 1 + this.#random.below(bytes.length)
    for (const piece of [bytes.subarray(0, half), bytes.subarray(half)]) {
      if (piece.length === 0) continue
      this.#send(session.keys, [{ type: 'stream', offset: session.offset, bytes: piece }], session)
      session.offset += piece.length
    }
  }

  #record(): Uint8Array {
    return hostileRecord(this.#random, ++this.#ids)
  }

  #victim(): Address {
    const index = this.#random.below(victims)
    return { ip: `10.67.${index >> 8}.${index & 255}`, port: 9000 }
  }

  /** Sound frames, and the padding that makes them long enough. */
  #plainFrames({ stream, offset }: Session): Uint8Array {
    const writer = new Writer(128)
    encodeFrame(writer, { type: 'ping' })
    encodeFrame(writer, { ...openFrame, stream })
    encodeFrame(writer, { type: 'stream', offset, bytes: this.#record() })
    writer.zeros(Math.max(0, 100 - writer.length))
    return writer.written
  }

  #plain(keys: SessionKeys, plain: Uint8Array): void {
    if (plain.length === 0) return
    this.#cluster.inject(this.#peer.address, this.#cluster.b, keys.seal(plain))
  }

  #inject(
    keys: SessionKeys,
    frames: readonly Frame[],
    bytesMin: number,
    from: Address = this.#peer.address,
  ): void {
    this.#cluster.inject(from, this.#cluster.b, datagramOf(frames, keys, bytesMin))
  }

  #send(keys: SessionKeys, frames: readonly Frame[], session?: Session): void {
    const packet = datagramOf(frames, keys, 128)
    session?.sent.push(packet)
    if ((session?.sent.length ?? 0) > 64) session?.sent.shift()
    this.#cluster.inject(this.#peer.address, this.#cluster.b, packet)
  }

  // ---- as a responder

  #answer(): void {
    const { b, scenario, key } = this.#cluster
    if (this.#host.last('hello1') !== undefined) return this.#acceptHello()
    if (this.#hostKeys === undefined || this.#random.chance(0.02)) {
      b.store.outbox.want({ host: 'odd', port: 9000, key })
      if (this.#random.chance(0.2)) scenario.insert(b, 'odd', key)
      b.host.look()
      count(this.kinds, 'asked to be tried')
      return
    }
    count(this.kinds, 'answer')
    this.#host.packets.length = 0
    if (this.#random.chance(0.5)) return this.#answerSoundly(this.#hostKeys, b)
    sendWild(this.#host, this.#hostKeys, b.host.address, this.#random)
    count(this.#cluster.taken, 'data')
  }

  /** Sometimes from where nobody has asked for anything. */
  #acceptHello(): void {
    const { b, scenario } = this.#cluster
    const from = this.#random.chance(0.3) ? this.#victim() : this.#host.address
    this.#hostKeys = this.#host.answer(b.host.address, this.#key, from)
    count(
      this.kinds,
      from === this.#host.address ? 'session taken' : 'session taken from elsewhere',
    )
    this.#host.packets.length = 0
    scenario.run(5_000)
    const facts = { ...openedFacts, credit: 100_000, datagramBytesMax: 65_507 }
    if (this.#random.chance(0.7)) {
      this.#host.inject(b.host.address, this.#hostKeys, [{ type: 'opened', ...facts }], 128)
    }
  }

  #answerSoundly(keys: SessionKeys, b: Machine): void {
    const number = this.#random.below(40)
    const first = this.#random.below(number + 1)
    const frames: Frame[] = [
      { type: 'credit', offset: this.#random.below(1_000_000) },
      { type: 'ack', largest: number, delayUs: 0, ranges: [{ first, last: number }] },
    ]
    count(this.#cluster.taken, 'data')
    this.#host.inject(b.host.address, keys, frames, 64)
  }
}
