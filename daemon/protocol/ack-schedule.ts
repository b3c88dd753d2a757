/**
 * When a responder acks: by count while packets come, by time when they stop (PROTOCOL §5.1).
 */
import {
  ackDelayMaxUs,
  ackEvery,
  ackEveryBytes,
  ackEveryWithGaps,
  ackYoungPackets,
} from './limits.ts'

export class AckSchedule {
  #unacked = 0
  #unackedBytes = 0
  #received = 0
  #largest = -1
  #largestAtUs = 0
  #deadlineUs: number | undefined

  /** Since when the largest number has waited for its ack. */
  delayUs(nowUs: number): number {
    return Math.max(0, Math.floor(nowUs - this.#largestAtUs))
  }

  deadlineUs(): number | undefined {
    return this.#deadlineUs
  }

  onPacket(packetNumber: number, bytes: number, hasGaps: boolean, nowUs: number): void {
    this.#unacked++
    this.#unackedBytes += bytes
    this.#received++
    if (packetNumber > this.#largest) {
      this.#largest = packetNumber
      this.#largestAtUs = nowUs
    }
    const every = hasGaps || this.#received <= ackYoungPackets ? ackEveryWithGaps : ackEvery
    const isMany = this.#unacked >= every || this.#unackedBytes >= ackEveryBytes
    if (isMany) this.#deadlineUs = nowUs
    else this.#deadlineUs ??= nowUs + ackDelayMaxUs
  }

  isDue(nowUs: number): boolean {
    return this.#deadlineUs !== undefined && this.#deadlineUs <= nowUs
  }

  onAckSent(): void {
    this.#unacked = 0
    this.#unackedBytes = 0
    this.#deadlineUs = undefined
  }
}
