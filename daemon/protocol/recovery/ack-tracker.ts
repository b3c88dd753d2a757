/**
 * Which packet numbers have come and are to be acked: a few ranges, so that an ack stays small
 * whatever the peer sends. When there are more than fit, the oldest is forgotten: its packets are
 * then sent again, which costs bytes, never data.
 */
import { assert } from '../assert.ts'
import {
  ackDelayMaxUs,
  ackEvery,
  ackEveryBytes,
  ackEveryWithGaps,
  ackYoungPackets,
} from '../constants.ts'
import { ackRangesMax } from './constants.ts'

/** Packet numbers from `first` to `last`, both included. */
export type AckRange = { readonly first: number; readonly last: number }

export class AckRanges {
  // Oldest range at index 0, disjoint, never adjacent: growing the newest, the common case, touches
  // one number.
  readonly #firsts = new Float64Array(ackRangesMax)
  readonly #lasts = new Float64Array(ackRangesMax)
  #count = 0

  /** Highest number kept, -1 while there is none. */
  get largest(): number {
    return this.#count === 0 ? -1 : this.#last(this.#count - 1)
  }

  /** Numbers are missing between those that came. */
  get hasGaps(): boolean {
    return this.#count > 1
  }

  /** False if the number was there already, or is too old to be kept. */
  insert(packetNumber: number): boolean {
    let index = this.#count - 1
    while (index >= 0 && this.#first(index) > packetNumber) index--
    if (index >= 0 && this.#last(index) >= packetNumber) return false
    const growsOlder = index >= 0 && this.#last(index) === packetNumber - 1
    const growsNewer = index + 1 < this.#count && this.#first(index + 1) === packetNumber + 1
    if (growsOlder && growsNewer) {
      this.#lasts[index] = this.#last(index + 1)
      this.#removeAt(index + 1)
    } else if (growsOlder) this.#lasts[index] = packetNumber
    else if (growsNewer) this.#firsts[index + 1] = packetNumber
    else return this.#insertAt(index + 1, packetNumber)
    return true
  }

  /** At most `rangesMax` ranges, newest first: the order of an ACK frame. */
  newestFirst(rangesMax: number): AckRange[] {
    const ranges: AckRange[] = []
    const oldest = Math.max(0, this.#count - rangesMax)
    for (let index = this.#count - 1; index >= oldest; index--) {
      ranges.push({ first: this.#first(index), last: this.#last(index) })
    }
    return ranges
  }

  /** What lies below is not worth telling any more. */
  forgetBelow(packetNumber: number): void {
    let forgotten = 0
    while (forgotten < this.#count && this.#last(forgotten) < packetNumber) forgotten++
    this.#removeOldest(forgotten)
    if (this.#count > 0 && this.#first(0) < packetNumber) this.#firsts[0] = packetNumber
  }

  #insertAt(position: number, packetNumber: number): boolean {
    let index = position
    if (this.#count === ackRangesMax) {
      if (index === 0) return false
      this.#removeOldest(1)
      index--
    }
    this.#firsts.copyWithin(index + 1, index, this.#count)
    this.#lasts.copyWithin(index + 1, index, this.#count)
    this.#firsts[index] = packetNumber
    this.#lasts[index] = packetNumber
    this.#count++
    return true
  }

  #removeAt(index: number): void {
    this.#firsts.copyWithin(index, index + 1, this.#count)
    this.#lasts.copyWithin(index, index + 1, this.#count)
    this.#count--
  }

  #removeOldest(ranges: number): void {
    if (ranges === 0) return
    this.#firsts.copyWithin(0, ranges, this.#count)
    this.#lasts.copyWithin(0, ranges, this.#count)
    this.#count -= ranges
  }

  #first(index: number): number {
    const first = this.#firsts[index]
    assert(first !== undefined, 'A range lies inside its array.')
    return first
  }

  #last(index: number): number {
    const last = this.#lasts[index]
    assert(last !== undefined, 'A range lies inside its array.')
    return last
  }
}

// When a responder acks: by count while packets come, by time when they stop (PROTOCOL §5.1).

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
