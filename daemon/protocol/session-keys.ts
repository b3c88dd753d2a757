/**
 * The keys of one session at one side: seals with the next packet number, opens each number once.
 * Must never use a packet number twice, which would give the keys away.
 */
import { assert } from './assert.ts'
import { failedOpensMax, packetsMax, packetsToEnd } from './limits.ts'
import type { ConnectionId, DataPacket } from './packet.ts'
import type { PacketProtection } from './protection.ts'
import { ReplayWindow } from './replay-window.ts'

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
  get isWorn(): boolean {
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
