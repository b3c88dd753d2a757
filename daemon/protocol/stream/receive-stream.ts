/**
 * The receiving half of a session's stream: puts pieces in order. Holds nothing beyond the credit
 * that was given; must never look into the bytes.
 */
import {
  creditGrowthUs,
  creditWindowFirst,
  creditWindowMax,
  creditWindowMin,
  heldBytesAll,
  spillBytesMax,
  streamSegmentBytes,
  streamSegmentBytesMax,
  streamSegmentsMax,
} from '../constants.ts'
import { assert } from '../assert.ts'

/** The first `length` bytes of the buffer are those of the stream from `offset`. */
type Segment = { readonly offset: number; length: number; buffer: Uint8Array }

export type Received = 'taken' | 'duplicate' | 'buffer-full' | 'beyond-credit'

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

  /** The same, with what each segment costs besides: a thousand single bytes are no kilobyte. */
  get chargedBytes(): number {
    return this.#heldBytes + this.#segments.length * streamSegmentBytes
  }

  /**
   * The peer may send below `credit`, and be charged for `heldMax` bytes that wait. A `bufferFull`
   * piece must be treated as if its packet had been lost.
   */
  onPiece(offset: number, bytes: Uint8Array, credit: number, heldMax: number): Received {
    const end = offset + bytes.length
    if (end > credit) return 'beyond-credit'
    if (end <= this.#nextOffset) return 'duplicate'
    if (offset > this.#nextOffset) return this.#keep(offset, bytes, heldMax)
    this.#take(offset, bytes)
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
  #keep(offset: number, bytes: Uint8Array, heldMax: number): Received {
    const end = offset + bytes.length
    let index = this.#firstBehind(offset)
    let received: Received = 'duplicate'
    for (let start = offset; start < end;) {
      const next = this.#segments[index]
      if (next === undefined || start < next.offset) {
        const stop = Math.min(end, next?.offset ?? end)
        const part = bytes.subarray(start - offset, stop - offset)
        const before = this.#segments[index - 1]
        const joins = before !== undefined && mayJoin(before, start, part)
        const charge = part.length + (joins ? 0 : streamSegmentBytes)
        if (this.chargedBytes + charge > heldMax) return 'buffer-full'
        if (joins) append(before, part)
        else {
          if (this.#segments.length >= streamSegmentsMax) return 'buffer-full'
          // A copy: a few bytes must not keep a whole packet.
          const segment = { offset: start, length: part.length, buffer: new Uint8Array(part) }
          this.#segments.splice(index, 0, segment)
          index++
        }
        this.#heldBytes += part.length
        received = 'taken'
        start = stop
      } else {
        start = endOf(next)
        index++
      }
    }
    return received
  }

  /** The place of the first segment that ends behind `offset`. */
  #firstBehind(offset: number): number {
    let low = 0
    let high = this.#segments.length
    while (low < high) {
      const middle = (low + high) >> 1
      const segment = this.#segments[middle]
      if (segment !== undefined && endOf(segment) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  #takeSegments(): void {
    let taken = 0
    for (const segment of this.#segments) {
      if (segment.offset > this.#nextOffset) break
      const { offset, length, buffer } = segment
      if (endOf(segment) > this.#nextOffset) this.#take(offset, buffer.subarray(0, length))
      this.#heldBytes -= length
      taken++
    }
    if (taken > 0) this.#segments.splice(0, taken)
  }

  #take(offset: number, bytes: Uint8Array): void {
    const part = bytes.subarray(this.#nextOffset - offset)
    this.#ready.push(part)
    this.#nextOffset += part.length
  }
}

function endOf({ offset, length }: Segment): number {
  return offset + length
}

/** Pieces that come one behind the other are one segment. */
function mayJoin(before: Segment, start: number, part: Uint8Array): boolean {
  return endOf(before) === start && before.length + part.length <= streamSegmentBytesMax
}

function append(segment: Segment, part: Uint8Array): void {
  const length = segment.length + part.length
  if (length > segment.buffer.length) {
    // Twice as much, so that each byte is copied a few times at most.
    const buffer = new Uint8Array(
      Math.min(Math.max(2 * segment.length, length), streamSegmentBytesMax),
    )
    buffer.set(segment.buffer.subarray(0, segment.length))
    segment.buffer = buffer
  }
  segment.buffer.set(part, segment.length)
  segment.length = length
}

// How much a responder lets one initiator send: the durable offset plus a window that grows
// while the store keeps up. What all windows may hold together is the owner's share, so a crowd
// gets small windows, not a full memory (P9).

/** What one of `sessions` inbound sessions may hold. */
export function creditShare(sessions: number): number {
  return Math.max(creditWindowMin, Math.floor(heldBytesAll / Math.max(1, sessions)))
}

export class Credit {
  #windowBytes: number
  #durable = 0
  #offset: number
  #grownAt = 0
  #grownAtUs: number

  constructor(shareBytes: number, nowUs: number) {
    this.#windowBytes = Math.min(creditWindowFirst, shareBytes)
    this.#offset = this.#windowBytes
    this.#grownAtUs = nowUs
  }

  /** The absolute stream offset of PROTOCOL §5.3. */
  get offset(): number {
    return this.#offset
  }

  /** What the initiator may have sent that is not on disk. */
  get outstanding(): number {
    return this.#offset - this.#durable
  }

  /**
   * How large an incomplete body may grow before it is written down: well below the window, or the
   * sender would stall.
   */
  get spillBytes(): number {
    return Math.min(spillBytesMax, this.#windowBytes >> 1)
  }

  /** The stream is on disk up to `durable`. */
  onDurable(durable: number, shareBytes: number, nowUs: number): void {
    if (durable <= this.#durable) return
    this.#durable = durable
    if (2 * (durable - this.#grownAt) >= this.#windowBytes) {
      if (nowUs - this.#grownAtUs < creditGrowthUs) this.#windowBytes *= 2
      this.#grownAt = durable
      this.#grownAtUs = nowUs
    }
    this.#windowBytes = Math.min(this.#windowBytes, creditWindowMax, shareBytes)
    this.#offset = Math.max(this.#offset, durable + this.#windowBytes)
  }
}
