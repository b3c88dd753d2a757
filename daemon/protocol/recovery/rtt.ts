/**
 * Round-trip time of one path, estimated as in RFC 9002 §5, and the base of the probe timeout that
 * follows from it (§6.2.1). Must never know what the samples are used for.
 */
import { assert } from '../assert.ts'
import { ackDelayUsMax, granularityUs, initialRttUs } from './constants.ts'

export class Rtt {
  #latestUs: number
  #minUs = Infinity
  #smoothedUs: number
  #varianceUs: number

  /** `guessUs` counts until the first sample: RFC 9002 §6.2.2 allows what a handshake took. */
  constructor(guessUs: number = initialRttUs) {
    this.#latestUs = guessUs
    this.#smoothedUs = guessUs
    this.#varianceUs = guessUs / 2
  }

  get hasSample(): boolean {
    return this.#minUs !== Infinity
  }

  /** The newest sample; the initial guess before the first one. */
  get latestUs(): number {
    return this.#latestUs
  }

  /** The lowest time ever between a packet and its ack; Infinity before the first. */
  get minUs(): number {
    return this.#minUs
  }

  get smoothedUs(): number {
    return this.#smoothedUs
  }

  get varianceUs(): number {
    return this.#varianceUs
  }

  /**
   * `elapsedUs` from sending to ack, `ackDelayUs` as the peer stated it. Returns the sample:
   * elapsed without the stated delay, of which no more is believed than the protocol allows and
   * none that would beat the fastest ack seen, or a peer that lies could shorten our timers.
   */
  onSample(elapsedUs: number, ackDelayUs: number): number {
    // Two events of one loop turn carry one time; nothing divides by an RTT of zero.
    const rawUs = Math.max(1, elapsedUs)
    const isFirst = !this.hasSample
    this.#minUs = Math.min(this.#minUs, rawUs)
    const sampleUs = Math.max(this.#minUs, rawUs - Math.min(ackDelayUs, ackDelayUsMax))
    this.#latestUs = sampleUs
    if (isFirst) {
      this.#smoothedUs = sampleUs
      this.#varianceUs = sampleUs / 2
      return sampleUs
    }
    const deviationUs = Math.abs(this.#smoothedUs - sampleUs)
    this.#varianceUs += (deviationUs - this.#varianceUs) / 4
    this.#smoothedUs += (sampleUs - this.#smoothedUs) / 8
    return sampleUs
  }

  /** How long to wait for an ack before the first probe. */
  ptoBaseUs(): number {
    return this.#smoothedUs + Math.max(4 * this.#varianceUs, granularityUs) + ackDelayUsMax
  }
}

// The lowest or highest of the values of a moving window, in constant time and memory. A queue
// holds the best value and those that will be best once it has left the window. The window is
// divided: of values that come within 1/32 of it and are no better than the one before, the
// first stands for all, so that a long steady rise cannot fill memory.

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
