/**
 * The receiving half of a session's stream: puts pieces in order. Holds nothing beyond the credit
 * that was given; must never look into the bytes.
 */
import { assert } from './assert.ts'
import { streamSegmentsMax } from './limits.ts'

type Segment = { readonly offset: number; readonly bytes: Uint8Array }

export type Received = 'taken' | 'duplicate' | 'crowded' | 'beyond-credit'

export class ReceiveStream {
  /** Out of order, sorted by offset, without overlaps. */
  readonly #segments: Segment[] = []
  #heldBytes = 0
  #ready: Uint8Array[] = []
  #readyStart = 0
  #nextOffset = 0

  /** The first offset that has not come in order. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  get hasReady(): boolean {
    return this.#ready.length > 0
  }

  /** Bytes that wait for others before them. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * The peer may send below `credit`. A `crowded` piece must be treated as if its packet had been
   * lost.
   */
  onPiece(offset: number, bytes: Uint8Array, credit: number): Received {
    const end = offset + bytes.length
    if (end > credit) return 'beyond-credit'
    if (end <= this.#nextOffset) return 'duplicate'
    if (offset > this.#nextOffset) return this.#keep(offset, bytes)
    this.#take({ offset, bytes })
    this.#takeSegments()
    return 'taken'
  }

  /** All bytes that have come in order since the last call, as one buffer that the caller owns. */
  takeReady(): { readonly offset: number; readonly bytes: Uint8Array } {
    const offset = this.#readyStart
    const bytes = new Uint8Array(this.#nextOffset - offset)
    let position = 0
    for (const part of this.#ready) {
      bytes.set(part, position)
      position += part.length
    }
    assert(position === bytes.length, 'the ready parts add up to the ready bytes')
    this.#ready = []
    this.#readyStart = this.#nextOffset
    return { offset, bytes }
  }

  /** Keeps of a piece what is not there yet: overlaps must not hold more than the credit. */
  #keep(offset: number, bytes: Uint8Array): Received {
    const end = offset + bytes.length
    // Most pieces come behind all others, so the search begins there.
    let index = this.#segments.findLastIndex((segment) => endOf(segment) <= offset) + 1
    let received: Received = 'duplicate'
    for (let start = offset; start < end; index++) {
      const next = this.#segments[index]
      if (next === undefined || start < next.offset) {
        if (this.#segments.length >= streamSegmentsMax) return 'crowded'
        const stop = Math.min(end, next?.offset ?? end)
        // A copy: a few bytes must not keep a whole packet.
        const part = new Uint8Array(bytes.subarray(start - offset, stop - offset))
        this.#segments.splice(index, 0, { offset: start, bytes: part })
        this.#heldBytes += part.length
        received = 'taken'
        start = stop
      } else start = endOf(next)
    }
    return received
  }

  #takeSegments(): void {
    let taken = 0
    for (const segment of this.#segments) {
      if (segment.offset > this.#nextOffset) break
      if (endOf(segment) > this.#nextOffset) this.#take(segment)
      this.#heldBytes -= segment.bytes.length
      taken++
    }
    if (taken > 0) this.#segments.splice(0, taken)
  }

  #take(segment: Segment): void {
    const part = segment.bytes.subarray(this.#nextOffset - segment.offset)
    this.#ready.push(part)
    this.#nextOffset += part.length
  }
}

function endOf({ offset, bytes }: Segment): number {
  return offset + bytes.length
}
