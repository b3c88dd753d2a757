/**
 * Tells loss that the sender causes from loss that the path has anyway. Rounds in which the queue
 * was empty show the path's own loss; a round with a queue that loses clearly more than those has
 * overflowed a buffer. Must never judge a round of few packets, nor any round before it has a
 * reference.
 */
import {
  excessSigmas,
  excessMin,
  lossRoundPackets,
  queuedRoundPart,
  queuedRoundUs,
  referencePackets,
  referenceProbePackets,
} from './recovery-limits.ts'

const ambientMin = 0.005
const varianceLossMax = 0.6

/** What else is known of a round. */
export type LossRound = {
  readonly minRttUs: number
  /** Highest queue of the last ten seconds. */
  readonly longPeakUs: number
  /** Nothing is lost between two ends in one building but by ourselves. */
  readonly isShortPath: boolean
  /** More was sent than the path was known to deliver: its loss says nothing about the path. */
  readonly isOverdriven: boolean
}

export class LossReference {
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

  /** The part of packets that the path loses with an empty queue; 0 until it is known. */
  get ambient(): number {
    return this.#ambient
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
    const isEmpty = meanQueueUs <= Math.max(queuedRoundUs, queuedRoundPart * round.longPeakUs)
    if (isEmpty && !round.isOverdriven) this.#learn()
    this.#latest = loss
    if (loss <= this.#lowest) {
      this.#lowest = loss
      this.#lowestPackets = packets
    }
    this.#acked = 0
    this.#lost = 0
    this.#rttSumUs = 0
    this.#rttCount = 0
    if (round.isShortPath) return loss > excessMin ? loss : 0
    return isEmpty ? 0 : this.#excess(loss, packets)
  }

  /**
   * What a probe of the path has lost: more than the path itself loses if others fill it, never
   * less.
   */
  onPathMeasured(loss: number): void {
    const known = this.#emptyAcked + this.#emptyLost
    if (known >= lossRoundPackets && loss >= this.#ambient) return
    this.#ambient = loss
    this.#emptyAcked = (1 - loss) * referenceProbePackets
    this.#emptyLost = loss * referenceProbePackets
  }

  reset(): void {
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
    const reference = isKnown ? this.#ambient : this.#lowest
    const p = Math.min(varianceLossMax, Math.max(loss, reference, ambientMin))
    const variance = p * (1 - p) * (1 / packets + 1 / (isKnown ? known : this.#lowestPackets))
    const excess = loss - reference
    return excess > Math.max(excessMin, excessSigmas * Math.sqrt(variance)) ? excess : 0
  }
}
