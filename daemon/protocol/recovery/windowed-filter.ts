/**
 * The lowest or highest of the values of a moving window, in constant time and memory. A queue
 * holds the best value and those that will be best once it has left the window. The window is
 * divided: of values that come within 1/32 of it and are no better than the one before, the first
 * stands for all, so that a long steady rise cannot fill memory.
 */
import { assert } from '../assert.ts'

const capacity = 64
const divisions = 32

export class WindowedFilter {
  // 1 for a minimum, -1 for a maximum: one comparison serves both.
  readonly #sign: 1 | -1
  readonly #values = new Float64Array(capacity)
  readonly #times = new Float64Array(capacity)
  #begin = 0
  #end = 0

  constructor(kind: 'min' | 'max') {
    this.#sign = kind === 'min' ? 1 : -1
  }

  get isEmpty(): boolean {
    return this.#begin === this.#end
  }

  /** Only when something has been pushed. */
  get best(): number {
    assert(!this.isEmpty, 'A filter is asked after its first value.')
    return this.#values[this.#begin & (capacity - 1)] ?? 0
  }

  /**
   * `at` never falls; values before `windowStart` leave. Both in any one unit: microseconds,
   * rounds.
   */
  push(value: number, at: number, windowStart: number): void {
    while (!this.isEmpty && !this.#newestBeats(value)) this.#end--
    if (this.isEmpty || at - this.#newestTime() > (at - windowStart) / divisions) {
      // Only a window that has shrunk can leave more than it has divisions; its oldest are due to
      // leave.
      if (this.#end - this.#begin === capacity) this.#begin++
      this.#values[this.#end & (capacity - 1)] = value
      this.#times[this.#end & (capacity - 1)] = at
      this.#end++
    }
    while (this.#end - this.#begin > 1 && this.#oldestTime() < windowStart) this.#begin++
  }

  clear(): void {
    this.#begin = this.#end
  }

  #newestBeats(value: number): boolean {
    return this.#sign * (this.#values[(this.#end - 1) & (capacity - 1)] ?? 0) < this.#sign * value
  }

  #newestTime(): number {
    return this.#times[(this.#end - 1) & (capacity - 1)] ?? 0
  }

  #oldestTime(): number {
    return this.#times[this.#begin & (capacity - 1)] ?? 0
  }
}
