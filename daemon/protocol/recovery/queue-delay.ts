/**
 * How long packets queue on the path, as read from round-trip times: the delay signal of the
 * congestion controller. The lowest time ever is taken for the empty path; what the recent lowest
 * exceeds it by is the standing queue. Where packets are late by chance, the lowest of a few times
 * lies above the lowest of many though nothing queues: that much is taken off. A queue changes
 * little from one sample to the next and chance much, so that their mean difference shows chance
 * alone. Must never decide anything about the window.
 */
import {
  emptyPathSlack,
  emptyPathSlackUs,
  jitterNoise,
  jitterSamples,
  jitterSlackUs,
  longPeakWindowUs,
  nearEmptyPart,
  nearEmptyUs,
  queueDelayUsMin,
  shortPathNoiseUs,
  shortPathUs,
  standingRttRttsMax,
  standingRttRttsMin,
  standingRttSamples,
} from './constants.ts'
import { WindowedFilter } from './rtt.ts'

const peakRtts = 4

export class QueueDelay {
  #minRttUs = Infinity
  #emptySeenAtUs = 0
  // Mean difference of a sample to the one before it.
  #jitterUs = 0
  #latestUs = 0
  readonly #standing = new WindowedFilter('min')
  readonly #peak = new WindowedFilter('max')
  readonly #longPeak = new WindowedFilter('max')
  // When the last few samples came, a ring: the standing window is never shorter than these.
  readonly #sampleTimes = new Float64Array(standingRttSamples)
  #samples = 0

  get hasSample(): boolean {
    return !this.#standing.isEmpty
  }

  /** The empty path's round-trip time, as far as it is known. */
  get minRttUs(): number {
    return this.#minRttUs
  }

  /**
   * Lowest round-trip time of the recent past: spikes of single packets are not in it, a queue that
   * stays is.
   */
  get standingRttUs(): number {
    return this.#standing.best
  }

  /**
   * Both ends are in one host or one building: scheduling delays packets more than the way does.
   */
  get isShortPath(): boolean {
    return this.#minRttUs < shortPathUs
  }

  /** Standing queue, never zero: rates are divided by it. */
  get queueUs(): number {
    return this.#queueBeyond(this.noiseUs)
  }

  /** How far the lowest of a few round trips lies above the lowest of many, by chance. */
  get noiseUs(): number {
    return Math.max(0, jitterNoise * this.#jitterUs - jitterSlackUs)
  }

  /**
   * The queue is empty, or nearly so next to its height of the last four round trips and beside
   * `packetUs`, the time that one packet takes at our rate. Nothing is taken off for chance here: a
   * path whose delay stays high, whatever makes it high, is one to compete for.
   */
  isNearEmpty(packetUs: number): boolean {
    const heightUs = this.#peak.best - this.#minRttUs
    return this.#queueBeyond(0) < nearEmptyPart * heightUs + Math.max(nearEmptyUs, packetUs)
  }

  /** By how much the slowest packet of the last ten seconds was slower than the empty path. */
  get longPeakUs(): number {
    return this.#longPeak.best - this.#minRttUs
  }

  onSample(rttUs: number, smoothedRttUs: number, nowUs: number): void {
    if (rttUs < this.#minRttUs) this.#minRttUs = rttUs
    this.#jitterUs += (Math.abs(rttUs - (this.#latestUs || rttUs)) - this.#jitterUs) / jitterSamples
    this.#latestUs = rttUs
    if (rttUs < this.#minRttUs * (1 + emptyPathSlack) + emptyPathSlackUs)
      this.#emptySeenAtUs = nowUs
    this.#standing.push(rttUs, nowUs, this.#standingSinceUs(smoothedRttUs, nowUs))
    this.#peak.push(rttUs, nowUs, nowUs - peakRtts * smoothedRttUs)
    this.#longPeak.push(rttUs, nowUs, nowUs - longPeakWindowUs)
  }

  /**
   * When the path last looked empty. Long ago means that the lowest time may belong to a path that
   * is no more.
   */
  get emptySeenAtUs(): number {
    return this.#emptySeenAtUs
  }

  /** The path was measured again, with little in flight. */
  onPathMeasured(minRttUs: number, nowUs: number): void {
    this.#minRttUs = minRttUs
    this.#emptySeenAtUs = nowUs
  }

  /** Nothing that is known of queues holds any more. How much chance there is, a path keeps. */
  reset(): void {
    this.#minRttUs = Infinity
    this.#latestUs = 0
    this.#standing.clear()
    this.#peak.clear()
    this.#longPeak.clear()
    this.#samples = 0
  }

  /** On a short path the noise is the hosts', and known. */
  #queueBeyond(chanceUs: number): number {
    const noiseUs = this.isShortPath ? shortPathNoiseUs : chanceUs
    return Math.max(queueDelayUsMin, this.#standing.best - this.#minRttUs - noiseUs)
  }

  /**
   * Half a round trip, or back to the eighth newest sample where acks are rare, but at most two
   * round trips.
   */
  #standingSinceUs(smoothedRttUs: number, nowUs: number): number {
    this.#sampleTimes[this.#samples % standingRttSamples] = nowUs
    this.#samples++
    const oldest = this.#samples < standingRttSamples ? 0 : this.#samples % standingRttSamples
    const samplesSinceUs = this.#sampleTimes[oldest] ?? nowUs
    return Math.min(
      nowUs - standingRttRttsMin * smoothedRttUs,
      Math.max(samplesSinceUs, nowUs - standingRttRttsMax * smoothedRttUs),
    )
  }
}
