/**
 * A clock that only moves from event to event, and the seeded chance that goes with it: a run is
 * its seed. Must never look at the real time.
 */
import { assert } from '../../../daemon/protocol/assert.ts'

type TimedEvent = { readonly atUs: number; readonly order: number; readonly run: () => void }

export class VirtualTime {
  // A binary heap; events of one moment run in the order in which they were asked for.
  readonly #heap: TimedEvent[] = []
  #order = 0
  #nowUs = 0
  #random: number

  constructor(seed: number) {
    this.#random = seed >>> 0
  }

  get nowUs(): number {
    return this.#nowUs
  }

  /** From 0 to less than 1 (the generator is mulberry32). */
  chance(): number {
    this.#random = (this.#random + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#random ^ (this.#random >>> 15), this.#random | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  at(atUs: number, run: () => void): void {
    const event = { atUs: Math.max(atUs, this.#nowUs), order: this.#order++, run }
    let index = this.#heap.length
    this.#heap.push(event)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (isBefore(this.#event(parent), event)) break
      this.#heap[index] = this.#event(parent)
      index = parent
    }
    this.#heap[index] = event
  }

  runUntil(untilUs: number): void {
    while (this.#heap.length > 0 && this.#event(0).atUs <= untilUs) {
      const event = this.#takeFirst()
      this.#nowUs = event.atUs
      event.run()
    }
    this.#nowUs = untilUs
  }

  #takeFirst(): TimedEvent {
    const first = this.#event(0)
    const moved = this.#heap.pop()
    if (moved === undefined || this.#heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= this.#heap.length) break
      if (child + 1 < this.#heap.length && isBefore(this.#event(child + 1), this.#event(child))) {
        child++
      }
      if (isBefore(moved, this.#event(child))) break
      this.#heap[index] = this.#event(child)
      index = child
    }
    this.#heap[index] = moved
    return first
  }

  #event(index: number): TimedEvent {
    const event = this.#heap[index]
    assert(event !== undefined, 'An event lies inside the heap.')
    return event
  }
}

function isBefore(a: TimedEvent, b: TimedEvent): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order)
}
