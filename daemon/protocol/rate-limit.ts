/**
 * So many events a second, counted in whole seconds: cheap enough to stand before everything else.
 */
export class RateLimit {
  readonly #perSecond: number
  #secondStartUs = -Infinity
  #taken = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** False: this one is too many. */
  take(nowUs: number): boolean {
    if (nowUs - this.#secondStartUs >= 1_000_000) {
      this.#secondStartUs = nowUs
      this.#taken = 0
    }
    if (this.#taken >= this.#perSecond) return false
    this.#taken++
    return true
  }
}

/** The same for each of many sources. Of too many, those that began to be counted first go. */
export class RateLimits {
  readonly #perSecond: number
  readonly #sourcesMax: number
  readonly #bySource = new Map<string, RateLimit>()

  constructor(perSecond: number, sourcesMax: number) {
    this.#perSecond = perSecond
    this.#sourcesMax = sourcesMax
  }

  take(source: string, nowUs: number): boolean {
    let limit = this.#bySource.get(source)
    if (limit === undefined) {
      const [oldest] = this.#bySource.size >= this.#sourcesMax ? this.#bySource.keys() : []
      if (oldest !== undefined) this.#bySource.delete(oldest)
      limit = new RateLimit(this.#perSecond)
      this.#bySource.set(source, limit)
    }
    return limit.take(nowUs)
  }
}
