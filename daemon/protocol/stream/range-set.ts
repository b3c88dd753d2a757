/**
 * A set of stream offsets as sorted, disjoint ranges. Must stay small: its owner bounds what is in
 * flight.
 */
import { assert } from '../assert.ts'

/** Offsets from `start` up to, not including, `end`. */
export type OffsetRange = { readonly start: number; readonly end: number }

export class RangeSet {
  // Parallel arrays keep the hot path free of objects.
  readonly #starts: number[] = []
  readonly #ends: number[] = []

  get size(): number {
    return this.#starts.length
  }

  first(): OffsetRange | undefined {
    const start = this.#starts[0]
    const end = this.#ends[0]
    return start === undefined || end === undefined ? undefined : { start, end }
  }

  add(start: number, end: number): void {
    assert(start < end, 'a range that is added holds at least one offset')
    const from = this.#firstEndingAtOrAfter(start)
    let to = from
    let low = start
    let high = end
    while (to < this.#starts.length && at(this.#starts, to) <= end) {
      low = Math.min(low, at(this.#starts, to))
      high = Math.max(high, at(this.#ends, to))
      to++
    }
    this.#starts.splice(from, to - from, low)
    this.#ends.splice(from, to - from, high)
  }

  remove(start: number, end: number): void {
    let index = this.#firstEndingAtOrAfter(start)
    while (index < this.#starts.length && at(this.#starts, index) < end) {
      const low = at(this.#starts, index)
      const high = at(this.#ends, index)
      this.#starts.splice(index, 1)
      this.#ends.splice(index, 1)
      if (low < start) this.#insert(index++, low, Math.min(high, start))
      if (high > end) this.#insert(index++, Math.max(low, end), high)
    }
  }

  /** The parts of [start, end) that are not in the set, in order. */
  gaps(start: number, end: number): OffsetRange[] {
    const gaps: OffsetRange[] = []
    let position = start
    for (let index = this.#firstEndingAtOrAfter(start); index < this.#starts.length; index++) {
      const low = at(this.#starts, index)
      if (low >= end) break
      if (low > position) gaps.push({ start: position, end: low })
      position = Math.max(position, at(this.#ends, index))
    }
    if (position < end) gaps.push({ start: position, end })
    return gaps
  }

  #insert(index: number, start: number, end: number): void {
    this.#starts.splice(index, 0, start)
    this.#ends.splice(index, 0, end)
  }

  #firstEndingAtOrAfter(offset: number): number {
    let low = 0
    let high = this.#ends.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (at(this.#ends, middle) < offset) low = middle + 1
      else high = middle
    }
    return low
  }
}

function at(numbers: readonly number[], index: number): number {
  const value = numbers[index]
  assert(value !== undefined, 'a range index lies inside the set')
  return value
}
