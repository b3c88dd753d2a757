/**
 * When an initiator that waits with nothing in flight asks for news (PROTOCOL §5.3): soon at first,
 * slower and slower while nothing changes. Must never run while something is in flight.
 */
import { askPauseMaxUs } from './limits.ts'

const growth = 1.5

export class AskTimer {
  #asks = 0
  #atUs: number | undefined

  get deadlineUs(): number | undefined {
    return this.#atUs
  }

  /** Runs from now, unless it runs already. */
  start(firstPauseUs: number, nowUs: number): void {
    this.#atUs ??= nowUs + Math.min(firstPauseUs * growth ** this.#asks, askPauseMaxUs)
  }

  stop(): void {
    this.#atUs = undefined
  }

  /** True when it is time, once. */
  take(nowUs: number): boolean {
    if (this.#atUs === undefined || this.#atUs > nowUs) return false
    this.#atUs = undefined
    this.#asks++
    return true
  }

  /** There was news. */
  onProgress(): void {
    this.#asks = 0
    this.#atUs = undefined
  }
}
