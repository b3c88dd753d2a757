/**
 * Hosts by address, and the paths between them. Every datagram that is sent or arrives is shown to
 * the checker first. Must never hold a datagram back other than by its parts.
 */
import { type Address, addressKey } from '../../../daemon/protocol/io.ts'
import { SeededRandom } from '../../../sdk/testing/lossy-network.ts'
import type { VirtualTime } from './virtual-time.ts'
import { WireChecker } from './wire-checker.ts'
import type { InTransit, WirePart } from '../../../sdk/testing/wire-parts.ts'

type Receive = (from: Address, bytes: Uint8Array) => void

export class VirtualNetwork {
  readonly time: VirtualTime
  readonly checker = new WireChecker()
  /** Set by a scenario that wants to see what is sent, and what arrives. */
  onSend: (bytes: Uint8Array, to: Address, from: Address) => void = () => {}
  onArrive: (bytes: Uint8Array, to: Address, from: Address) => void = () => {}
  readonly #random: SeededRandom
  readonly #hosts = new Map<string, Receive>()
  readonly #paths = new Map<string, readonly WirePart[]>()
  #usual: readonly WirePart[]

  /** `usual`: the parts of every path that has none of its own. */
  constructor(time: VirtualTime, seed: number, usual: readonly WirePart[]) {
    this.time = time
    this.#random = new SeededRandom(seed)
    this.#usual = usual
  }

  /** From now on. */
  setUsual(parts: readonly WirePart[]): void {
    this.#usual = parts
  }

  setPath(from: Address, to: Address, parts: readonly WirePart[]): void {
    this.#paths.set(`${addressKey(from)} ${addressKey(to)}`, parts)
  }

  attach(address: Address, receive: Receive): void {
    this.#hosts.set(addressKey(address), receive)
  }

  detach(address: Address): void {
    this.#hosts.delete(addressKey(address))
  }

  /** `from` is what the receiver will see: the outside of a NAT. */
  send(from: Address, to: Address, bytes: Uint8Array): void {
    this.checker.onSent(from, to, bytes)
    this.onSend(bytes, to, from)
    this.#carry(from, to, bytes)
  }

  /** A datagram of somebody who keeps no rule, and may lie about where it comes from. */
  inject(from: Address, to: Address, bytes: Uint8Array): void {
    this.#carry(from, to, bytes)
  }

  #carry(from: Address, to: Address, bytes: Uint8Array): void {
    const { nowUs } = this.time
    const parts = this.#paths.get(`${addressKey(from)} ${addressKey(to)}`) ?? this.#usual
    let datagrams: readonly InTransit[] = [{ from, to, bytes, delayUs: 0 }]
    for (const part of parts) {
      datagrams = datagrams.flatMap((one) => part(one, { nowUs, random: this.#random }))
    }
    for (const datagram of datagrams) {
      this.time.at(nowUs + datagram.delayUs, () => this.#arrive(datagram))
    }
  }

  #arrive({ from, to, bytes }: InTransit): void {
    const receive = this.#hosts.get(addressKey(to))
    if (receive === undefined) return
    this.checker.onArrived(from, to, bytes)
    this.onArrive(bytes, to, from)
    // A copy: nobody may count on what comes off the wire to stay as it is.
    const copy = Uint8Array.from(bytes)
    receive(from, copy)
    copy.fill(0xee)
  }
}
