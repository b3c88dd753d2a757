/**
 * The clocks of one machine: a monotonic one that runs a little too fast or too slow and stands
 * still while the machine sleeps, and a wall clock that people and time servers set. Must never let
 * the monotonic clock go backwards.
 */
import type { VirtualTime } from './core/virtual-time.ts'

/** All simulations begin here: 2027-01-15. */
export const epochMs = 1_800_000_000_000

export class MachineClock {
  readonly #time: VirtualTime
  #rate: number
  #baseUs = 0
  #baseWorldUs = 0
  #wallOffsetMs = 0
  #isAsleep = false

  /** `rate` 1.0001: 100 parts in a million too fast. */
  constructor(time: VirtualTime, rate = 1) {
    this.#time = time
    this.#rate = rate
  }

  /** Monotonic, in whole microseconds. */
  nowUs(): number {
    const awakeUs = this.#isAsleep ? 0 : this.#time.nowUs - this.#baseWorldUs
    return Math.floor(this.#baseUs + awakeUs * this.#rate)
  }

  /** The wall clock, in whole milliseconds since 1970. */
  nowMs(): number {
    return epochMs + Math.floor(this.#time.nowUs / 1_000) + this.#wallOffsetMs
  }

  /** When the world's clock will be, once this machine's has gone on by so much. */
  worldUsIn(us: number): number {
    return this.#time.nowUs + Math.max(0, Math.ceil(us / this.#rate))
  }

  /** Somebody sets the wall clock; 0: to the right time. */
  setWallOffset(ms: number): void {
    this.#wallOffsetMs = ms
  }

  /** From now on the monotonic clock goes at this rate. */
  setRate(rate: number): void {
    const nowUs = this.nowUs()
    this.#rate = rate
    this.#startAt(nowUs)
  }

  /** The machine sleeps from now on: its monotonic clock does not move. */
  sleep(): void {
    this.#startAt(this.nowUs())
    this.#isAsleep = true
  }

  /** It wakes, or is switched on again before it would have. */
  wake(): void {
    this.#startAt(this.nowUs())
    this.#isAsleep = false
  }

  #startAt(us: number): void {
    this.#baseUs = us
    this.#baseWorldUs = this.#time.nowUs
  }
}
