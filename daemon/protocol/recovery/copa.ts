/**
 * How much may be in flight, and how fast it may leave: Copa, which steers by queueing delay and
 * not by loss, so that it keeps its rate on a path that loses packets anyway. Three guards bound
 * what a sender that is blind to loss could do to a path whose delay shows it nothing: the rate
 * never exceeds what the path has delivered by more than a factor; loss beyond that of the empty
 * path cuts the window; and a path that has not looked empty for ten seconds is emptied once, to
 * measure it again. Lateness by chance is no queue (`QueueDelay`). Must never react to a single
 * loss.
 *
 * Copa: a sender whose queueing delay is q aims at packetBytes / (delta q) bytes a second. Below
 * that rate the window grows, above it it shrinks, by `velocity` / delta packets in a round trip,
 * and the velocity doubles while the direction stays. Alone it keeps about 1 / delta packets
 * queued. Where others keep the queue full (no near-empty queue for five round trips) delta follows
 * their loss response instead: competitive mode.
 */
import { Bandwidth, type RateSample } from './delivery-rate.ts'
import { BaselineLoss } from './baseline-loss.ts'
import { ProbeRtt } from './probe-rtt.ts'
import { QueueDelay } from './queue-delay.ts'
import {
  competitiveAfterRtts,
  competitiveBackoff,
  competitiveStepUs,
  copaDelta,
  copaDeltaMin,
  copaStepBytesMax,
  emptierPathUs,
  excessCutMax,
  excessCutMin,
  lossRoundRttsMin,
  rateCapMax,
  rateCapSlowStart,
  rateCapSteady,
  pathProbeEveryUs,
  pathProbeEveryUsDoubtful,
  pathProbeLossMin,
  pathProbeWindowPart,
  shortPathWindowBytes,
  shortPathWindowPackets,
  slowStartUse,
  velocityMax,
  windowInitialPackets,
  windowMinPackets,
  windowRttsPaced,
  windowSmallBytes,
  windowSmallPackets,
} from './constants.ts'

/** What an ack, or a loss, shows the controller. */
export type PacketsAcked = {
  readonly nowUs: number
  readonly ackedBytes: number
  readonly ackedPackets: number
  /** After this ack. */
  readonly inFlightBytes: number
  readonly smoothedRttUs: number
  /**
   * Undefined: there is none, or it was taken while this process was late and shows our delay, not
   * the path's.
   */
  readonly rttSampleUs: number | undefined
  readonly rateSample: RateSample | undefined
}

export type PacketsLost = {
  readonly nowUs: number
  readonly lostPackets: number
  /** When the newest of them was sent. */
  readonly newestSentAtUs: number
}

type CopaOptions = {
  /** An operator's limit. */
  readonly bytesPerSecondMax?: number
}

type Mode =
  | { readonly type: 'default' }
  /**
   * `delta` falls by a step each round trip and doubles on loss: additive increase, multiplicative
   * decrease.
   */
  | { readonly type: 'competitive'; delta: number; steppedAtUs: number; reactedAtUs: number }

type Phase = { readonly type: 'slow-start'; doubledAtUs: number } | { readonly type: 'steady' }

export class Copa {
  readonly #bytesPerSecondMax: number
  readonly #queue = new QueueDelay()
  readonly #bandwidth = new Bandwidth()
  readonly #loss = new BaselineLoss()
  readonly #probe = new ProbeRtt()
  #packetBytes: number
  #windowBytes: number
  #mode: Mode = { type: 'default' }
  #phase: Phase = { type: 'slow-start', doubledAtUs: -Infinity }
  #velocity = 1
  #direction: 'up' | 'down' = 'down'
  #roundsInDirection = 0
  #steppedAtUs = -Infinity
  #steppedWindowBytes = 0
  #nearEmptyAtUs = 0
  #lossRoundAtUs = -Infinity
  #holdUntilUs = -Infinity

  constructor(packetBytes: number, options?: CopaOptions) {
    this.#packetBytes = packetBytes
    this.#bytesPerSecondMax = options?.bytesPerSecondMax ?? Infinity
    this.#windowBytes = this.#windowInitialBytes()
  }

  /** Most bytes in flight. Probes after a timeout may exceed it. */
  windowBytes(): number {
    if (!this.#probe.isActive) return this.#windowBytes
    return Math.min(this.#windowBytes, this.#probeWindowBytes())
  }

  /** Infinity before the path is known. */
  pacingBytesPerSecond(): number {
    if (!this.#queue.hasSample) return this.#bytesPerSecondMax
    const perSecond = 1e6 / this.#queue.standingRttUs
    const windowRate = windowRttsPaced * this.#windowBytes * perSecond
    const delivered = this.#bandwidth.bytesPerSecond
    const rateCap =
      delivered === undefined
        ? Infinity
        : Math.max(delivered * this.#rateCapFactor(), this.#windowMinBytes() * perSecond)
    return Math.min(windowRate, rateCap, this.#bytesPerSecondMax)
  }

  onPacketsAcked(acked: PacketsAcked): void {
    const { nowUs, rttSampleUs, rateSample, smoothedRttUs } = acked
    this.#loss.onAcked(acked.ackedPackets)
    if (rttSampleUs !== undefined) this.#onRttSample(rttSampleUs, smoothedRttUs, nowUs)
    if (!this.#queue.hasSample) return
    if (rateSample !== undefined && this.#bandwidth.onSample(rateSample, this.#queue.minRttUs)) {
      this.#onRoundEnded(smoothedRttUs, nowUs)
    }
    this.#advanceProbe(acked)
    if (this.#probe.isActive) return
    this.#chooseMode(smoothedRttUs, nowUs)
    if (nowUs >= this.#holdUntilUs) this.#moveWindow(acked)
  }

  onPacketsLost(lost: PacketsLost): void {
    this.#loss.onLost(lost.lostPackets)
    this.#probe.onPacketsLost(lost.lostPackets)
    if (this.#mode.type !== 'competitive') return
    // Once for each round trip: packets that were sent before the last reaction tell nothing new.
    if (lost.newestSentAtUs <= this.#mode.reactedAtUs) return
    this.#mode.reactedAtUs = lost.nowUs
    this.#mode.delta = Math.min(copaDelta, competitiveBackoff * this.#mode.delta)
  }

  onSpuriousLoss(packets: number): void {
    this.#loss.onSpurious(packets)
  }

  /** Nothing was in flight for a second or more: what was known of the path is stale. */
  onIdle(): void {
    this.#restart()
  }

  /**
   * Several probe timeouts in a row without an answer: the path that the window was made for is
   * gone.
   */
  onPersistentCongestion(): void {
    this.#windowBytes = this.#windowMinBytes()
    this.#phase = { type: 'slow-start', doubledAtUs: -Infinity }
    this.#settleVelocity()
  }

  /** The size of a full packet, as far as the path is known to carry it. */
  onPacketSizeChanged(bytes: number): void {
    this.#packetBytes = bytes
    this.#windowBytes = Math.max(this.#windowBytes, this.#windowMinBytes())
  }

  #onRttSample(rttUs: number, smoothedRttUs: number, nowUs: number): void {
    if (!this.#queue.hasSample) this.#nearEmptyAtUs = nowUs
    if (rttUs < this.#queue.minRttUs - emptierPathUs) this.#loss.onEmptierPath()
    this.#queue.onSample(rttUs, smoothedRttUs, nowUs)
    this.#loss.onRtt(rttUs)
    const delivered = this.#bandwidth.bytesPerSecond
    const packetUs = delivered === undefined ? 0 : (this.#packetBytes * 1e6) / delivered
    if (this.#queue.isNearEmpty(packetUs)) this.#nearEmptyAtUs = nowUs
  }

  #onRoundEnded(smoothedRttUs: number, nowUs: number): void {
    if (nowUs - this.#lossRoundAtUs < lossRoundRttsMin * smoothedRttUs) return
    this.#lossRoundAtUs = nowUs
    const excess = this.#loss.takeExcess({
      nowUs,
      minRttUs: this.#queue.minRttUs,
      noiseUs: this.#queue.noiseUs,
      longPeakUs: this.#queue.longPeakUs,
      isShortPath: this.#queue.isShortPath,
      isOverdriven: this.#phase.type === 'slow-start',
    })
    if (excess === 0) return
    const cut = Math.min(excessCutMax, Math.max(excessCutMin, excess))
    this.#windowBytes = Math.max(this.#windowMinBytes(), this.#windowBytes * (1 - cut))
    this.#phase = { type: 'steady' }
    this.#settleVelocity()
    // For one round trip the window stays, to see what the cut has done.
    this.#holdUntilUs = nowUs + smoothedRttUs
  }

  #advanceProbe(acked: PacketsAcked): void {
    const { nowUs, ackedPackets, rttSampleUs, smoothedRttUs } = acked
    const isStale = nowUs - this.#queue.emptySeenAtUs > pathProbeEveryUs
    if (!this.#probe.isActive) {
      const isLossy = this.#loss.latest > pathProbeLossMin
      const isDue = this.#probe.isRested(nowUs, pathProbeEveryUs) && (isStale || isLossy)
      const isDoubtful =
        this.#loss.isUnproved && this.#probe.isRested(nowUs, pathProbeEveryUsDoubtful)
      if (isDue || isDoubtful) this.#probe.start()
    }
    const isDrained = acked.inFlightBytes <= this.#probeWindowBytes() + this.#packetBytes
    const measure = this.#probe.onPacketsAcked(
      ackedPackets,
      rttSampleUs,
      smoothedRttUs,
      isDrained,
      nowUs,
    )
    if (measure === undefined) return
    if (isStale && measure.rttUs !== Infinity) this.#queue.onPathMeasured(measure.rttUs, nowUs)
    if (measure.loss === undefined) this.#loss.onPathUnmeasured()
    else this.#loss.onPathMeasured(measure.loss, measure.packets)
    this.#nearEmptyAtUs = nowUs
    this.#settleVelocity()
  }

  #chooseMode(smoothedRttUs: number, nowUs: number): void {
    const isBufferFull = nowUs - this.#nearEmptyAtUs > competitiveAfterRtts * smoothedRttUs
    if (!isBufferFull) {
      if (this.#mode.type !== 'default') this.#mode = { type: 'default' }
    } else if (this.#mode.type === 'default') {
      this.#mode = { type: 'competitive', delta: copaDelta, steppedAtUs: nowUs, reactedAtUs: -1 }
    } else if (nowUs - this.#mode.steppedAtUs > smoothedRttUs) {
      this.#mode.steppedAtUs = nowUs
      this.#mode.delta = Math.max(
        copaDeltaMin,
        1 / (1 / this.#mode.delta + Math.max(1, smoothedRttUs / competitiveStepUs)),
      )
    }
  }

  #moveWindow(acked: PacketsAcked): void {
    const delta = this.#mode.type === 'competitive' ? this.#mode.delta : copaDelta
    const targetBytesPerUs = this.#stepBytes() / (delta * this.#queue.queueUs)
    const usedBytes = acked.inFlightBytes + acked.ackedBytes
    const isBelow = this.#windowBytes / this.#queue.standingRttUs <= targetBytesPerUs
    if (this.#phase.type === 'slow-start') {
      if (isBelow) {
        if (acked.nowUs - this.#phase.doubledAtUs < acked.smoothedRttUs) return
        this.#phase.doubledAtUs = acked.nowUs
        // A window far beyond what the pacer lets out means nothing.
        if (usedBytes >= slowStartUse * this.#windowBytes) this.#windowBytes *= 2
        return
      }
      this.#phase = { type: 'steady' }
    }
    const stepBytes =
      (this.#velocity * this.#stepBytes() * acked.ackedBytes) / (delta * this.#windowBytes)
    if (!isBelow) {
      this.#windowBytes -= Math.min(stepBytes, acked.ackedBytes / 2)
      this.#windowBytes = Math.max(this.#windowMinBytes(), this.#windowBytes)
    } else if (usedBytes >= this.#windowBytes / 2) {
      // A window that is not used, because of the pacer or for want of data, proves nothing and
      // does not grow.
      this.#windowBytes += Math.min(stepBytes, acked.ackedBytes)
    }
    this.#steer(isBelow ? 'up' : 'down', acked)
  }

  /** Once in a round trip: the velocity doubles from the third round in one direction on. */
  #steer(wanted: 'up' | 'down', acked: PacketsAcked): void {
    if (acked.nowUs - this.#steppedAtUs >= acked.smoothedRttUs) {
      const direction = this.#windowBytes > this.#steppedWindowBytes ? 'up' : 'down'
      if (direction !== this.#direction) this.#settleVelocity()
      else if (++this.#roundsInDirection >= 3) {
        this.#velocity = Math.min(velocityMax, 2 * this.#velocity)
      }
      this.#direction = direction
      this.#steppedWindowBytes = this.#windowBytes
      this.#steppedAtUs = acked.nowUs
    }
    if (wanted !== this.#direction && this.#velocity > 1) this.#settleVelocity()
  }

  #settleVelocity(): void {
    this.#velocity = 1
    this.#roundsInDirection = 0
  }

  #restart(): void {
    this.#windowBytes = Math.min(this.#windowBytes, this.#windowInitialBytes())
    this.#queue.reset()
    this.#bandwidth.reset()
    this.#loss.reset()
    this.#mode = { type: 'default' }
    this.#phase = { type: 'slow-start', doubledAtUs: -Infinity }
    this.#probe.reset()
    this.#holdUntilUs = -Infinity
    this.#settleVelocity()
  }

  /** The peer is in the same host or building (`shortPathUs`). */
  get isShortPath(): boolean {
    return this.#queue.isShortPath
  }

  #rateCapFactor(): number {
    if (this.#phase.type === 'slow-start') return rateCapSlowStart
    return Math.min(rateCapMax, rateCapSteady / (1 - this.#loss.ambient))
  }

  #probeWindowBytes(): number {
    const deliveredPerUs = (this.#bandwidth.bytesPerSecond ?? 0) / 1e6
    return Math.max(
      this.#windowMinBytes(),
      pathProbeWindowPart * deliveredPerUs * this.#queue.minRttUs,
    )
  }

  #windowInitialBytes(): number {
    return this.#windowOf(windowInitialPackets)
  }

  #windowMinBytes(): number {
    if (!this.#queue.isShortPath) return this.#windowOf(windowMinPackets)
    return Math.max(shortPathWindowBytes, shortPathWindowPackets * this.#packetBytes)
  }

  /** Copa counts in packets; so few large ones would fill the socket's buffer. */
  #stepBytes(): number {
    return Math.min(this.#packetBytes, copaStepBytesMax)
  }

  // RFC 9002 §7.2: fewer packets where they are large.
  #windowOf(packets: number): number {
    return Math.min(
      packets * this.#packetBytes,
      Math.max(windowSmallBytes, windowSmallPackets * this.#packetBytes),
    )
  }
}
