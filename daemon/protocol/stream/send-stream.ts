/**
 * The sending half of a session's stream: bytes that the store has handed over, until the peer has
 * acked them. Decides what goes next (lost bytes first); must never look into the bytes.
 */
import { assert } from '../assert.ts'
import { type OffsetRange, RangeSet } from './range-set.ts'

export type StreamPiece = { readonly offset: number; readonly bytes: Uint8Array }

type Chunk = { readonly start: number; readonly bytes: Uint8Array }

export class SendStream {
  /** Handed over and not yet acked as a prefix, oldest first. */
  readonly #chunks: Chunk[] = []
  readonly #acked = new RangeSet()
  readonly #lost = new RangeSet()
  /** Everything below is acked and forgotten. */
  #ackedBelow = 0
  #nextOffset = 0
  #end = 0

  /** Bytes that are held: not yet sent, in flight, or lost. */
  get heldBytes(): number {
    return this.#end - this.#ackedBelow
  }

  /** Bytes that were handed over and never sent. */
  get unsentBytes(): number {
    return this.#end - this.#nextOffset
  }

  /** Where `next` will begin. */
  get nextStart(): number {
    return this.#lost.first()?.start ?? this.#nextOffset
  }

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#chunks.push({ start: this.#end, bytes })
    this.#end += bytes.length
  }

  hasNext(credit: number): boolean {
    return this.#lost.size > 0 || this.#nextOffset < Math.min(this.#end, credit)
  }

  /**
   * At most `bytesMax` bytes of one chunk, and nothing at or beyond `credit`; a view, not a copy.
   */
  next(bytesMax: number, credit: number): StreamPiece | undefined {
    const lost = this.#lost.first()
    const start = lost?.start ?? this.#nextOffset
    const limit = lost?.end ?? Math.min(this.#end, credit)
    if (start >= limit || bytesMax <= 0) return undefined
    const chunk = this.#chunkAt(start)
    const end = Math.min(limit, start + bytesMax, chunk.start + chunk.bytes.length)
    if (lost === undefined) this.#nextOffset = end
    else this.#lost.remove(start, end)
    return { offset: start, bytes: chunk.bytes.subarray(start - chunk.start, end - chunk.start) }
  }

  onAcked(range: OffsetRange): void {
    if (range.end <= this.#ackedBelow) return
    this.#lost.remove(range.start, range.end)
    this.#acked.add(Math.max(range.start, this.#ackedBelow), range.end)
    const first = this.#acked.first()
    if (first === undefined || first.start > this.#ackedBelow) return
    this.#ackedBelow = first.end
    this.#acked.remove(first.start, first.end)
    this.#dropAckedChunks()
  }

  onLost(range: OffsetRange): void {
    if (range.end <= this.#ackedBelow) return
    for (const gap of this.#acked.gaps(Math.max(range.start, this.#ackedBelow), range.end)) {
      this.#lost.add(gap.start, gap.end)
    }
  }

  /** So many of the bytes that wait longest for their ack shall go again, lost or not. */
  repeatOldest(bytesMax: number): void {
    let left = bytesMax
    for (const { start, end } of this.#acked.gaps(this.#ackedBelow, this.#nextOffset)) {
      if (left <= 0) return
      const part = Math.min(left, end - start)
      this.#lost.add(start, start + part)
      left -= part
    }
  }

  #dropAckedChunks(): void {
    let drop = 0
    for (const chunk of this.#chunks) {
      if (chunk.start + chunk.bytes.length > this.#ackedBelow) break
      drop++
    }
    if (drop > 0) this.#chunks.splice(0, drop)
  }

  #chunkAt(offset: number): Chunk {
    let low = 0
    let high = this.#chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      const chunk = this.#chunks[middle]
      if (chunk !== undefined && chunk.start <= offset) low = middle
      else high = middle - 1
    }
    const chunk = this.#chunks[low]
    assert(chunk !== undefined && chunk.start <= offset, 'an offset to be sent is still held')
    return chunk
  }
}
