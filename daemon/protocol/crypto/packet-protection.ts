/**
 * The keys of one session at one side: seals with the next packet number, opens each number once.
 * Must never use a packet number twice, which would give the keys away.
 */
import { assert } from '../assert.ts'
import { writeUint48 } from '../codec/buffer.ts'
import type { Role } from '../codec/frame.ts'
import {
  type ConnectionId,
  dataHeader,
  dataHeaderBytes,
  type DataPacket,
  dataSealed,
  tagBytes,
  writeDataHeader,
} from '../codec/packet.ts'
import { failedOpensMax, packetsMax, packetsToEnd } from '../constants.ts'
import { replayWindowPackets } from '../recovery/constants.ts'
import type { DirectionKeys, TransportKeys } from './noise.ts'
import type { Aead, Environment } from './provider.ts'

export class SessionKeys {
  readonly #protection: PacketProtection
  readonly #opened = new ReplayWindow()
  readonly peerCid: ConnectionId
  #nextPacketNumber: number

  constructor(protection: PacketProtection, peerCid: ConnectionId, firstPacketNumber = 0) {
    this.#nextPacketNumber = firstPacketNumber
    this.#protection = protection
    this.peerCid = peerCid
  }

  get nextPacketNumber(): number {
    return this.#nextPacketNumber
  }

  /** Only so many packets are left that the session can be ended in order. */
  get needsRekey(): boolean {
    return this.#nextPacketNumber >= packetsMax - packetsToEnd
  }

  /** A whole datagram with these frames. */
  seal(frames: Uint8Array): Uint8Array {
    assert(this.#nextPacketNumber < packetsMax, 'A session is renewed before its keys wear out.')
    return this.#protection.seal(this.#nextPacketNumber++, frames)
  }

  /** PROTOCOL §3.8. `undefined`: seen before, too old, or forged. */
  open(packet: DataPacket): Uint8Array | undefined {
    // PROTOCOL §4.5: whoever forges so much shall not go on; in silence a new session is made.
    if (this.#protection.failedOpens >= failedOpensMax) return undefined
    if (!this.#opened.isFresh(packet.packetNumber)) return undefined
    const frames = this.#protection.open(packet)
    if (frames !== undefined) this.#opened.mark(packet.packetNumber)
    return frames
  }
}

// Seals and opens the DATA packets of one session (PROTOCOL §3.8). Must never seal two packets with
// one number: who calls counts them.

export class PacketProtection {
  readonly #sending: Direction
  readonly #receiving: Direction
  readonly #peerId: ConnectionId
  #failedOpens = 0

  /** For the side `role`; `peerId` is the connection id that the other side has chosen. */
  constructor(environment: Environment, keys: TransportKeys, role: Role, peerId: ConnectionId) {
    const fromInitiator = new Direction(environment, keys.fromInitiator)
    const fromResponder = new Direction(environment, keys.fromResponder)
    this.#sending = role === 'initiator' ? fromInitiator : fromResponder
    this.#receiving = role === 'initiator' ? fromResponder : fromInitiator
    this.#peerId = peerId
  }

  /** Packets that did not open: forged or damaged (PROTOCOL §4.5 says how many are too many). */
  get failedOpens(): number {
    return this.#failedOpens
  }

  /** The whole datagram, the caller's own. */
  seal(packetNumber: number, frames: Uint8Array): Uint8Array {
    const datagram = new Uint8Array(dataHeaderBytes + frames.length + tagBytes)
    writeDataHeader(datagram, this.#peerId, packetNumber)
    const { aead } = this.#sending
    const header = datagram.subarray(0, dataHeaderBytes)
    aead.sealInto(datagram, dataHeaderBytes, this.#sending.nonce(packetNumber), header, frames)
    return datagram
  }

  /** The frames; `undefined`: not sealed by the peer. Ask before whether the number is fresh. */
  open(packet: DataPacket): Uint8Array | undefined {
    const nonce = this.#receiving.nonce(packet.packetNumber)
    const frames = this.#receiving.aead.open(nonce, dataHeader(packet), dataSealed(packet))
    if (frames === undefined) this.#failedOpens++
    return frames
  }
}

class Direction {
  readonly aead: Aead
  readonly #iv: Uint8Array
  readonly #nonce: Uint8Array

  constructor(environment: Environment, keys: DirectionKeys) {
    this.aead = environment.aead(keys.key)
    this.#iv = keys.iv
    this.#nonce = new Uint8Array(keys.iv)
  }

  // The IV xor the number in its last six bytes. One buffer for all packets: no cipher keeps it.
  nonce(packetNumber: number): Uint8Array {
    writeUint48(this.#nonce, 6, packetNumber)
    for (let index = 6; index < this.#iv.length; index++) {
      this.#nonce[index] = (this.#nonce[index] ?? 0) ^ (this.#iv[index] ?? 0)
    }
    return this.#nonce
  }
}

// Which packet numbers of one session have been opened before. Asked before the costly opening,
// reported after it, so that a forged packet can never mark a number. Must never accept a number
// twice.

const wordBits = 32

/**
 * PROTOCOL §3.8: a number that was opened before, or is 2,048 or more below the highest opened one,
 * is dropped.
 */
export class ReplayWindow {
  // One bit for each of the newest numbers, at number modulo window; older ones are cleared as the
  // window moves on.
  readonly #words = new Uint32Array(replayWindowPackets / wordBits)
  #largest = -1

  /** Highest number marked, -1 before the first. */
  get largest(): number {
    return this.#largest
  }

  /** Whether a packet of this number may be opened. Any number is a legal question. */
  isFresh(packetNumber: number): boolean {
    if (packetNumber > this.#largest) return true
    if (packetNumber <= this.#largest - replayWindowPackets) return false
    return ((this.#words[wordOf(packetNumber)] ?? 0) & bitOf(packetNumber)) === 0
  }

  /** The packet has opened. Only for numbers that are fresh. */
  mark(packetNumber: number): void {
    assert(this.isFresh(packetNumber), 'Only a fresh packet number is marked.')
    if (packetNumber > this.#largest) this.#advance(packetNumber)
    const word = wordOf(packetNumber)
    this.#words[word] = (this.#words[word] ?? 0) | bitOf(packetNumber)
  }

  #advance(packetNumber: number): void {
    if (packetNumber - this.#largest >= replayWindowPackets) this.#words.fill(0)
    else for (let n = this.#largest + 1; n < packetNumber; n++) this.#clear(n)
    this.#clear(packetNumber)
    this.#largest = packetNumber
  }

  #clear(packetNumber: number): void {
    const word = wordOf(packetNumber)
    this.#words[word] = (this.#words[word] ?? 0) & ~bitOf(packetNumber)
  }
}

// The bit operators work modulo 2^32, which leaves the low bits of any safe integer as they are.
function wordOf(packetNumber: number): number {
  return (packetNumber & (replayWindowPackets - 1)) >>> 5
}

function bitOf(packetNumber: number): number {
  return 1 << (packetNumber & (wordBits - 1))
}
