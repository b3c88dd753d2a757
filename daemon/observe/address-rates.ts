/**
 * So many events a second for each address, and some more at once. Must never remember more
 * addresses than it may, whoever sends from many.
 */

/** The oldest is forgotten, and has all at once again. */
const addressesMax = 1_024

type Bucket = { readonly tokens: number; readonly atMs: number }

export class AddressRates {
  readonly #buckets = new Map<string, Bucket>()
  readonly #perSecond: number
  readonly #burst: number

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
  }

  /** An event that counts for `cost`. @returns false: it is too many. */
  take(address: string, cost: number, nowMs: number): boolean {
    const { tokens, atMs } = this.#buckets.get(address) ?? { tokens: this.#burst, atMs: nowMs }
    const filled = Math.min(this.#burst, tokens + ((nowMs - atMs) * this.#perSecond) / 1_000)
    // Deleted first, it becomes the newest.
    this.#buckets.delete(address)
    this.#buckets.set(address, { tokens: Math.max(0, filled - cost), atMs: nowMs })
    if (this.#buckets.size > addressesMax) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    return filled >= cost
  }
}
