/**
 * Shows loss that the sender causes from loss that the path has anyway. Rounds in which the queue
 * was empty show the path's own loss; a round with a queue that loses clearly more than those has
 * overflowed a buffer. A flow that has joined others whose queue is always full takes that queue
 * for an empty path, and what it overflows for the path's loss: so what rounds have taught is held
 * against a probe with little in flight, and against the best round of the last seconds. Must never
 * check a round of few packets, nor any round before it has a reference.
 */
import {
  ambientAboveBestMax,
  ambientUnprovedMax,
  bestRoundWindowUs,
  excessSigmas,
  excessMin,
  lossRoundPackets,
  misledProbes,
  queuedRoundNoise,
  queuedRoundPart,
  queuedRoundUs,
  referencePackets,
  referenceProbePackets,
} from './constants.ts'
import { WindowedFilter } from './rtt.ts'

const ambientMin = 0.005
const varianceLossMax = 0.6

/** What else is known of a round. */
type LossRound = {
  readonly nowUs: number
  readonly minRttUs: number
  /** By how much chance makes the lowest round trips longer. */
  readonly noiseUs: number
  /** Highest queue of the last ten seconds. */
  readonly longPeakUs: number
  /** Nothing is lost between two ends in one building but by ourselves. */
  readonly isShortPath: boolean
  /** More was sent than the path was known to deliver: its loss says nothing about the path. */
  readonly isOverdriven: boolean
}

export class BaselineLoss {
  #acked = 0
  #lost = 0
  #rttSumUs = 0
  #rttCount = 0
  #emptyAcked = 0
  #emptyLost = 0
  #ambient = 0
  #latest = 0
  #lowest = 1
  #lowestPackets = 0
  /** Loss of the best round of the last seconds. */
  readonly #best = new WindowedFilter('min')
  /** What the last probe has lost. */
  #proved = 0
  /** Probes in a row that lost less than the rounds that looked empty. */
  #lowerProbes = 0
  /** The rounds that look empty are not. */
  #isMisled = false
  /** The last probe had enough packets to tell. */
  #isMeasurable = true

  /** The part of packets that the path loses with an empty queue; 0 until it is known. */
  get ambient(): number {
    return Math.min(this.#ambient, this.#ambientMax)
  }

  /** More than the last probe has lost, or any yet, or known to be wrong: a probe should look. */
  get isUnproved(): boolean {
    if (!this.#isMeasurable) return false
    return this.#isMisled || this.ambient > this.#proved + ambientUnprovedMax
  }

  /** Of the last round. */
  get latest(): number {
    return this.#latest
  }

  onAcked(packets: number): void {
    this.#acked += packets
  }

  onLost(packets: number): void {
    this.#lost += packets
  }

  /** Packets that were counted as lost have come. */
  onSpurious(packets: number): void {
    this.#lost = Math.max(0, this.#lost - packets)
  }

  onRtt(rttUs: number): void {
    this.#rttSumUs += rttUs
    this.#rttCount++
  }

  /**
   * A round trip is over: the part of its packets that were lost beyond what the path loses anyway,
   * 0 if that is none, or too little to be sure of. The caller asks once a round.
   */
  takeExcess(round: LossRound): number {
    const packets = this.#acked + this.#lost
    if (packets < lossRoundPackets || this.#rttCount === 0) return 0
    const loss = this.#lost / packets
    const meanQueueUs = this.#rttSumUs / this.#rttCount - round.minRttUs
    const chanceUs = Math.max(queuedRoundUs, queuedRoundNoise * round.noiseUs)
    const emptyUs = Math.max(chanceUs, queuedRoundPart * round.longPeakUs)
    const isEmpty = !this.#isMisled && meanQueueUs <= emptyUs
    if (isEmpty && !round.isOverdriven) this.#learn()
    this.#latest = loss
    this.#best.push(loss, round.nowUs, round.nowUs - bestRoundWindowUs)
    if (loss <= this.#lowest) {
      this.#lowest = loss
      this.#lowestPackets = packets
    }
    this.#acked = 0
    this.#lost = 0
    this.#rttSumUs = 0
    this.#rttCount = 0
    if (round.isShortPath) return loss > excessMin ? loss : 0
    return isEmpty && loss <= this.#ambientMax ? 0 : this.#excess(loss, packets)
  }

  /**
   * What a probe of the path has lost: more than the path itself loses if others fill it, never
   * less.
   */
  onPathMeasured(loss: number, packets: number): void {
    const ambient = Math.max(ambientMin, Math.min(varianceLossMax, this.#ambient))
    const chance = excessSigmas * Math.sqrt((ambient * (1 - ambient)) / packets)
    this.#proved = loss + chance
    this.#isMeasurable = true
    if (this.#emptyAcked + this.#emptyLost >= lossRoundPackets) {
      const isLower = loss < this.#ambient - Math.max(excessMin, chance)
      this.#lowerProbes = isLower ? this.#lowerProbes + 1 : 0
      if (!isLower && loss + chance > this.#latest) this.#isMisled = false
      if (this.#lowerProbes < misledProbes) return
      this.#isMisled = true
    }
    this.#ambient = loss
    this.#emptyAcked = (1 - loss) * referenceProbePackets
    this.#emptyLost = loss * referenceProbePackets
  }

  /** A probe had too few packets to tell: as on a slow path, where the next would have no more. */
  onPathUnmeasured(): void {
    this.#isMeasurable = false
  }

  /** The path looks emptier than it ever did: its rounds may be believed again. */
  onEmptierPath(): void {
    this.#isMisled = false
  }

  reset(): void {
    this.#best.clear()
    this.#proved = 0
    this.#isMeasurable = true
    this.#isMisled = false
    this.#lowerProbes = 0
    this.#acked = 0
    this.#lost = 0
    this.#rttSumUs = 0
    this.#rttCount = 0
    this.#emptyAcked = 0
    this.#emptyLost = 0
    this.#ambient = 0
    this.#latest = 0
    this.#lowest = 1
    this.#lowestPackets = 0
  }

  get #ambientMax(): number {
    return this.#best.isEmpty ? 1 : this.#best.best + ambientAboveBestMax
  }

  #learn(): void {
    this.#emptyAcked += this.#acked
    this.#emptyLost += this.#lost
    const known = this.#emptyAcked + this.#emptyLost
    if (known >= lossRoundPackets) this.#ambient = this.#emptyLost / known
    if (known > referencePackets) {
      this.#emptyAcked /= 2
      this.#emptyLost /= 2
    }
  }

  #excess(loss: number, packets: number): number {
    const known = this.#emptyAcked + this.#emptyLost
    // Without a round of an empty queue, the one that lost least stands in.
    const isKnown = known >= lossRoundPackets
    const reference = isKnown ? this.ambient : this.#lowest
    const p = Math.min(varianceLossMax, Math.max(loss, reference, ambientMin))
    const variance = p * (1 - p) * (1 / packets + 1 / (isKnown ? known : this.#lowestPackets))
    const excess = loss - reference
    return excess > Math.max(excessMin, excessSigmas * Math.sqrt(variance)) ? excess : 0
  }
}
