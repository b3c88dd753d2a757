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
} from './recovery-limits.ts'

const ambientMin = 0.005
const varianceLossMax = 0.6

export class LossReference {
  #acked = 0
  #lost = 0
  #rttSumUs = 0
  #rttCount = 0
  #emptyAcked = 0
  #emptyLost = 0
  #ambient = 0

  /** The part of packets that the path loses with an empty queue; 0 until it is known. */
  get ambient(): number {
    return this.#ambient
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
   * 0 if that is none, or too little to be sure of. `longPeakUs` is the highest queue of the last
   * ten seconds.
   */
  takeExcess(minRttUs: number, longPeakUs: number): number {
    const packets = this.#acked + this.#lost
    if (packets < lossRoundPackets || this.#rttCount === 0) return 0
    const loss = this.#lost / packets
    const meanQueueUs = this.#rttSumUs / this.#rttCount - minRttUs
    const isEmpty = meanQueueUs <= Math.max(queuedRoundUs, queuedRoundPart * longPeakUs)
    if (isEmpty) this.#learn()
    this.#acked = 0
    this.#lost = 0
    this.#rttSumUs = 0
    this.#rttCount = 0
    return isEmpty ? 0 : this.#excess(loss, packets)
  }

  reset(): void {
    this.#acked = 0
    this.#lost = 0
    this.#rttSumUs = 0
    this.#rttCount = 0
    this.#emptyAcked = 0
    this.#emptyLost = 0
    this.#ambient = 0
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
    if (known < lossRoundPackets) return 0
    const p = Math.min(varianceLossMax, Math.max(loss, this.#ambient, ambientMin))
    const sigma = Math.sqrt(p * (1 - p) * (1 / packets + 1 / known))
    const excess = loss - this.#ambient
    return excess > Math.max(excessMin, excessSigmas * sigma) ? excess : 0
  }
}
