/**
 * Which addresses of its name a lane greets. An address is not an identity: what each of them has
 * turned out to be is remembered here for as long as the lane lives. Must never decide when.
 */
import { addressesKnownMax, addressesPerNameMax, peerAbsentUs, unopenedUs } from './limits.ts'

export class PeerAddresses {
  readonly #isOwn: (ip: string) => boolean
  /** Of the last look-up that found any, in the order in which they were first seen. */
  #ips: readonly string[] = []
  #greeted = 0
  /** Addresses that go last, and until when. */
  readonly #avoided = new Map<string, number>()
  /** Where another database answered than the one that the lane has been with. */
  readonly #foreign = new Set<string>()
  #foreignSinceUs = 0

  /** `isOwn`: a datagram to this address, at the lane's port, comes to this node. */
  constructor(isOwn: (ip: string) => boolean) {
    this.#isOwn = isOwn
  }

  get isEmpty(): boolean {
    return this.#ips.length === 0
  }

  /** The name can mean no other node: each of its addresses is one of our own. */
  get leadHere(): boolean {
    return this.#ips.length > 0 && this.#ips.every(this.#isOwn)
  }

  /** For people: what is greeted, and why the rest is not. */
  get description(): string {
    const ips = this.#candidates().filter((ip) => !this.#foreign.has(ip))
    const [first, more] = [ips.slice(0, addressesPerNameMax), ips.length - addressesPerNameMax]
    return first.join(' and ') + (more > 0 ? ` and ${more} more` : '')
  }

  /** For people: addresses of the name that are not taken for the peer's; '' for none. */
  get exceptions(): string {
    const own = this.#candidates().length < this.#ips.length ? this.#ips.filter(this.#isOwn) : []
    const said = own.map((ip) => `${ip} is an address of this machine too, and is not asked`)
    for (const ip of this.#foreign) said.push(`at ${ip} another database answers than before`)
    return said.join('; ')
  }

  has(ip: string): boolean {
    return this.#ips.includes(ip)
  }

  some(isSo: (ip: string) => boolean): boolean {
    return this.#candidates().some(isSo)
  }

  // ---- facts

  /** @returns whether there are new ones. */
  onResolved(ips: readonly string[]): boolean {
    const usable = ips.slice(0, addressesKnownMax)
    const isKnown = !this.isEmpty && usable.every((ip) => this.has(ip))
    this.#ips = isKnown ? this.#ips.filter((ip) => usable.includes(ip)) : usable
    return !isKnown
  }

  /** A session there never got OPENED: the other addresses first. */
  onUnopened(ip: string, nowUs: number): void {
    this.#avoided.set(ip, nowUs + unopenedUs)
  }

  /**
   * PROTOCOL §7.3, rule 2: another database answered there than the lane has been with.
   *
   * @returns whether another address may still be that of the lane's peer.
   */
  onForeign(ip: string, nowUs: number): boolean {
    if (this.#foreign.size === 0) this.#foreignSinceUs = nowUs
    this.#foreign.add(ip)
    const untilUs = this.#foreignSinceUs + peerAbsentUs
    this.#avoided.set(ip, untilUs)
    return nowUs < untilUs && this.#candidates().some((other) => !this.#foreign.has(other))
  }

  /** The lane's peer is found. */
  onFound(): void {
    this.#foreign.clear()
    this.#avoided.clear()
  }

  // ---- decisions

  /** Where the next HELLO1s go: to a few addresses at once, to each of them in turn. */
  next(nowUs: number): readonly string[] {
    const candidates = this.#candidates()
    const preferred = candidates.filter((ip) => (this.#avoided.get(ip) ?? nowUs) <= nowUs)
    const ips = preferred.length > 0 ? preferred : candidates
    if (ips.length <= addressesPerNameMax) return ips
    const first = this.#greeted % ips.length
    this.#greeted += addressesPerNameMax
    return [...ips, ...ips].slice(first, first + addressesPerNameMax)
  }

  /** An own address among others is not the peer's: two machines may have the same. */
  #candidates(): readonly string[] {
    return this.leadHere ? this.#ips : this.#ips.filter((ip) => !this.#isOwn(ip))
  }
}
