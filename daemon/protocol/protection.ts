/**
 * Seals and opens the DATA packets of one session (PROTOCOL §3.8). Must never seal two packets with
 * one number: who calls counts them.
 */
import type { Aead, Environment } from './environment.ts'
import type { Role } from './frame.ts'
import type { DirectionKeys, TransportKeys } from './noise.ts'
import type { ConnectionId, DataPacket } from './packet.ts'
import { dataHeader, dataHeaderBytes, dataSealed, tagBytes, writeDataHeader } from './packet.ts'
import { writeUint48 } from './wire.ts'

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
