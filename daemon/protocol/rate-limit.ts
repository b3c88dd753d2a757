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
