/**
 * What a bad network does to each datagram, decided by a seed. Must never look at what is in it.
 */
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'

export type Impairment = {
  readonly seed: number
  readonly lossShare: number
  readonly duplicateShare: number
  /** Each way. */
  readonly delayMs: number
  /** Added to the delay, from 0 to this: datagrams overtake each other. */
  readonly jitterMs: number
  /** Longer ones vanish, as on an Ethernet path. */
  readonly datagramBytesMax: number
}

export class ImpairedPath {
  readonly #impairment: Impairment
  readonly #random: SeededRandom

  /** @param way shows the two directions apart, which must not have the same luck. */
  constructor(impairment: Impairment, way: number) {
    this.#impairment = impairment
    this.#random = new SeededRandom(impairment.seed * 2 + way)
  }

  /**
   * After how many milliseconds a copy of the datagram arrives, for each copy: none if it is lost.
   */
  arrivalsMs(bytes: number): number[] {
    const { lossShare, duplicateShare, datagramBytesMax } = this.#impairment
    if (bytes > datagramBytesMax || this.#random.chance(lossShare)) return []
    const copies = this.#random.chance(duplicateShare) ? 2 : 1
    return Array.from({ length: copies }, () => this.#delayMs())
  }

  #delayMs(): number {
    const { delayMs, jitterMs } = this.#impairment
    return delayMs + this.#random.next() * jitterMs
  }
}
