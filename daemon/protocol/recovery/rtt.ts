/**
 * Round-trip time of one path, estimated as in RFC 9002 §5, and the base of the probe timeout that
 * follows from it (§6.2.1). Must never know what the samples are used for.
 */
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
