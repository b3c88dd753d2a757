/**
 * One table of deadlines for everything in a node: a binary heap that knows where each owner
 * stands. No callbacks: the node asks who is due.
 */
import { assert } from './assert.ts'

type Entry<Owner> = { readonly owner: Owner; atUs: number; index: number }

export class TimerQueue<Owner> {
  readonly #heap: Entry<Owner>[] = []
  readonly #entries = new Map<Owner, Entry<Owner>>()

  /** The earliest deadline, in monotonic microseconds. */
  earliestUs(): number | undefined {
    return this.#heap[0]?.atUs
  }

  /** `undefined` takes the owner's deadline away. */
  set(owner: Owner, atUs: number | undefined): void {
    const entry = this.#entries.get(owner)
    if (atUs === undefined) {
      if (entry !== undefined) this.#remove(entry)
      return
    }
    if (entry === undefined) {
      const added = { owner, atUs, index: this.#heap.length }
      this.#entries.set(owner, added)
      this.#heap.push(added)
      this.#up(added)
      return
    }
    const earlier = atUs < entry.atUs
    entry.atUs = atUs
    if (earlier) this.#up(entry)
    else this.#down(entry)
  }

  /** Takes out one owner that is due. */
  takeDue(nowUs: number): Owner | undefined {
    const first = this.#heap[0]
    if (first === undefined || first.atUs > nowUs) return undefined
    this.#remove(first)
    return first.owner
  }

  #remove(entry: Entry<Owner>): void {
    this.#entries.delete(entry.owner)
    const last = this.#heap.pop()
    assert(last !== undefined, 'an entry that is removed stands in the heap')
    if (last === entry) return
    this.#place(last, entry.index)
    this.#up(last)
    this.#down(last)
  }

  #place(entry: Entry<Owner>, index: number): void {
    this.#heap[index] = entry
    entry.index = index
  }

  #up(entry: Entry<Owner>): void {
    while (entry.index > 0) {
      const parent = this.#heap[(entry.index - 1) >> 1]
      assert(parent !== undefined, 'a heap entry below the top has a parent')
      if (parent.atUs <= entry.atUs) return
      this.#swap(entry, parent)
    }
  }

  #down(entry: Entry<Owner>): void {
    for (;;) {
      const left = this.#heap[2 * entry.index + 1]
      const right = this.#heap[2 * entry.index + 2]
      if (left === undefined) return
      const child = right !== undefined && right.atUs < left.atUs ? right : left
      if (child.atUs >= entry.atUs) return
      this.#swap(entry, child)
    }
  }

  #swap(one: Entry<Owner>, other: Entry<Owner>): void {
    const index = one.index
    this.#place(one, other.index)
    this.#place(other, index)
  }
}

/** The first of those that there are. */
export function earliest(...deadlines: readonly (number | undefined)[]): number | undefined {
  const earliestUs = Math.min(...deadlines.map((deadline) => deadline ?? Infinity))
  return earliestUs === Infinity ? undefined : earliestUs
}

// So many events a second, counted in whole seconds: cheap enough to stand before everything else.

export class RateLimit {
  readonly #perSecond: number
  #secondStartUs = -Infinity
  #taken = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** False: this one is too many. */
  take(nowUs: number): boolean {
    if (nowUs - this.#secondStartUs >= 1_000_000) {
      this.#secondStartUs = nowUs
      this.#taken = 0
    }
    if (this.#taken >= this.#perSecond) return false
    this.#taken++
    return true
  }
}

/** The same for each of many sources. Of too many, those that began to be counted first go. */
export class RateLimits {
  readonly #perSecond: number
  readonly #sourcesMax: number
  readonly #bySource = new Map<string, RateLimit>()

  constructor(perSecond: number, sourcesMax: number) {
    this.#perSecond = perSecond
    this.#sourcesMax = sourcesMax
  }

  take(source: string, nowUs: number): boolean {
    let limit = this.#bySource.get(source)
    if (limit === undefined) {
      const [oldest] = this.#bySource.size >= this.#sourcesMax ? this.#bySource.keys() : []
      if (oldest !== undefined) this.#bySource.delete(oldest)
      limit = new RateLimit(this.#perSecond)
      this.#bySource.set(source, limit)
    }
    return limit.take(nowUs)
  }
}
