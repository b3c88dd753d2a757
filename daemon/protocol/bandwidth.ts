/**
 * The highest rate at which the path delivered in the last ten rounds, and the rounds themselves: a
 * round ends when a packet is acked that was sent after the round began. Must never count what the
 * application, not the path, has limited.
 */
import type { RateSample } from './delivery-rate.ts'
import { bandwidthRounds } from './recovery-limits.ts'
import { WindowedFilter } from './windowed-filter.ts'

// Shorter intervals than half a round trip measure bursts.
const intervalRttsMin = 0.5

export class Bandwidth {
  readonly #highest = new WindowedFilter('max')
  #round = 0
  #roundEndsAtBytes = 0

  /** Undefined before the first sample. */
  get bytesPerSecond(): number | undefined {
    return this.#highest.isEmpty ? undefined : this.#highest.best
  }

  /** True if this ack began a round. */
  onSample(sample: RateSample, minRttUs: number): boolean {
    const isNewRound = sample.priorDeliveredBytes >= this.#roundEndsAtBytes
    if (isNewRound) {
      this.#roundEndsAtBytes = sample.deliveredBytes
      this.#round++
    }
    const rate = sample.bytesPerSecond
    const isFast = this.#highest.isEmpty || rate > this.#highest.best
    if (sample.intervalUs >= intervalRttsMin * minRttUs && (isFast || !sample.isAppLimited)) {
      this.#highest.push(rate, this.#round, this.#round - bandwidthRounds)
    }
    return isNewRound
  }

  reset(): void {
    this.#highest.clear()
  }
}
