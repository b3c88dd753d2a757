/**
 * How fast the path delivers, sampled with each ack: the bytes delivered between the sending of a
 * packet and its ack, over the longer of the time that it took to send them and the time that it
 * took to ack them (the sampler of draft-cheng-iccrg-delivery-rate-estimation). The longer of the
 * two, because acks that arrive in one burst would otherwise show a rate that the path never had.
 */
import { bandwidthRounds } from './constants.ts'
import { WindowedFilter } from './rtt.ts'

/** What a packet remembers of the moment at which it was sent. */
export type DeliveryStamp = {
  readonly deliveredBytes: number
  readonly deliveredAtUs: number
  /** When the packet was sent whose ack was the newest at that moment. */
  readonly firstSentAtUs: number
  readonly isAppLimited: boolean
}

export type RateSample = {
  readonly bytesPerSecond: number
  readonly intervalUs: number
  /**
   * Delivered in all when the sampled packet was sent, and now: a round has passed when the first
   * reaches an older second.
   */
  readonly priorDeliveredBytes: number
  readonly deliveredBytes: number
  /** The sender had nothing more to send: the path may be faster than this. */
  readonly isAppLimited: boolean
}

export class DeliveryRate {
  #deliveredBytes = 0
  #deliveredAtUs = 0
  #firstSentAtUs = 0
  // Samples of packets sent before this many bytes are delivered show the application's rate.
  #appLimitedUntilBytes = -1

  /** For a packet about to leave, `inFlightBytes` without it. */
  stamp(inFlightBytes: number, nowUs: number): DeliveryStamp {
    if (inFlightBytes === 0) {
      this.#firstSentAtUs = nowUs
      this.#deliveredAtUs = nowUs
    }
    return {
      deliveredBytes: this.#deliveredBytes,
      deliveredAtUs: this.#deliveredAtUs,
      firstSentAtUs: this.#firstSentAtUs,
      isAppLimited: this.#deliveredBytes <= this.#appLimitedUntilBytes,
    }
  }

  /** There was room to send and nothing to send. */
  onAppLimited(inFlightBytes: number): void {
    this.#appLimitedUntilBytes = this.#deliveredBytes + inFlightBytes
  }

  onDelivered(bytes: number, nowUs: number): void {
    this.#deliveredBytes += bytes
    this.#deliveredAtUs = nowUs
  }

  /**
   * Once for each ack, after `onDelivered` of all that it covers; `stamp` is that of the newest
   * packet among them.
   */
  sample(stamp: DeliveryStamp, sentAtUs: number): RateSample {
    this.#firstSentAtUs = sentAtUs
    const sendElapsedUs = sentAtUs - stamp.firstSentAtUs
    const ackElapsedUs = this.#deliveredAtUs - stamp.deliveredAtUs
    // A clock that did not tick in between must not divide by zero.
    const intervalUs = Math.max(1, sendElapsedUs, ackElapsedUs)
    return {
      bytesPerSecond: ((this.#deliveredBytes - stamp.deliveredBytes) * 1e6) / intervalUs,
      intervalUs,
      priorDeliveredBytes: stamp.deliveredBytes,
      deliveredBytes: this.#deliveredBytes,
      isAppLimited: stamp.isAppLimited,
    }
  }
}

// The highest rate at which the path delivered in the last ten rounds, and the rounds themselves: a
// round ends when a packet is acked that was sent after the round began. Must never count what the
// application, not the path, has limited.

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
