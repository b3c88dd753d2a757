/**
 * A peer that is moved by hand: it has an address and the keys of the sessions that it took part
 * in, and says whatever a scenario wants it to say. Must never do anything by itself.
 */
import { ok } from 'node:assert/strict'
import type { Environment } from '../../daemon/protocol/crypto/provider.ts'
import { decodeFrames, type Frame, type Role } from '../../daemon/protocol/codec/frame.ts'
import { InitiatorHandshake, type Key, respond } from '../../daemon/protocol/crypto/handshake.ts'
import type { Address } from '../../daemon/protocol/io.ts'
import {
  decodePacket,
  type Hello1,
  type Packet,
  toConnectionId,
} from '../../daemon/protocol/codec/packet.ts'
import type { SessionKeys } from '../../daemon/protocol/crypto/packet-protection.ts'
import { seededEnvironment } from './seeded-environment.ts'
import { datagramOf } from './session-pair.ts'
import type { VirtualNetwork } from '../simulator/core/virtual-network.ts'

export class RawPeer {
  readonly address: Address
  readonly environment: Environment
  /** All that has come and can be read, oldest first. */
  readonly packets: Packet[] = []
  bytesIn = 0
  readonly #network: VirtualNetwork

  constructor(network: VirtualNetwork, address: Address, seed = 77) {
    this.#network = network
    this.address = address
    this.environment = seededEnvironment(seed)
    network.attach(address, (_, bytes) => {
      this.bytesIn += bytes.length
      const packet = decodePacket(Uint8Array.from(bytes))
      if (packet !== undefined) this.packets.push(packet)
    })
  }

  send(to: Address, bytes: Uint8Array, from: Address = this.address): void {
    this.#network.send(from, to, bytes)
  }

  /** The HELLO1 of a new handshake. */
  beginHandshake(key?: Key): InitiatorHandshake {
    const scid = toConnectionId(this.environment.randomBytes(8))
    return new InitiatorHandshake(this.environment, scid, key)
  }

  last<Type extends Packet['type']>(type: Type): Extract<Packet, { type: Type }> | undefined {
    const isOfType = (packet: Packet): packet is Extract<Packet, { type: Type }> =>
      packet.type === type
    return this.packets.findLast(isOfType)
  }

  /** Keys of a session as its initiator. */
  open(to: Address, passTime: () => void, key?: Key): SessionKeys {
    const handshake = this.beginHandshake(key)
    this.send(to, handshake.hello1())
    passTime()
    const hello2 = this.last('hello2')
    const keys = hello2 && handshake.finish(hello2)
    ok(keys !== undefined, 'A HELLO2 has come.')
    return keys
  }

  /** Keys of a session as the responder to the last HELLO1 that came. */
  answer(to: Address, key?: Key, from: Address = this.address): SessionKeys {
    const hello1: Hello1 | undefined = this.last('hello1')
    ok(hello1 !== undefined, 'A HELLO1 has come.')
    const localCid = toConnectionId(this.environment.randomBytes(8))
    const response = respond(this.environment, hello1, localCid, key)
    ok(response !== undefined, 'The key is the right one.')
    if (from === this.address) this.send(to, response.hello2)
    else this.#network.inject(from, to, response.hello2)
    return response.keys
  }

  sendFrames(to: Address, keys: SessionKeys, frames: readonly Frame[], bytesMin = 128): void {
    this.send(to, datagramOf(frames, keys, bytesMin))
  }

  /** Like `sendFrames`, without the checks that a sound peer passes. */
  inject(to: Address, keys: SessionKeys, frames: readonly Frame[], bytesMin: number): void {
    this.#network.inject(this.address, to, datagramOf(frames, keys, bytesMin))
  }

  /** Any bytes under the keys. */
  injectPlain(to: Address, keys: SessionKeys, plain: Uint8Array): void {
    this.#network.inject(this.address, to, keys.seal(plain))
  }

  /** The frames of all that opens under these keys and was not read yet. */
  read(keys: SessionKeys, sender: Role): Frame[] {
    return this.packets.flatMap((packet) => {
      const plain = packet.type === 'data' ? keys.open(packet) : undefined
      return (plain && decodeFrames(plain, sender)) ?? []
    })
  }
}
