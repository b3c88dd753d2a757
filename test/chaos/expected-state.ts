/**
 * What was asked of the daemons and what came of it: the check of a chaos run. Every message that
 * was sent is there once, those of one sender in order, and what its owner took back or sent
 * elsewhere in time never came. Must never be content with a count.
 */

import { contentOf } from '../simulator/store/contents.ts'

/** A message says which it is: `sender:number:bytes:` and then filling. */
export type Label = { readonly sender: string; readonly number: number; readonly bytes: number }

/** Rows of one transaction. */
export type Batch = {
  readonly sender: string
  readonly to: string
  readonly first: number
  readonly last: number
}

/**
 * What must become of a message. `unsure`: whoever inserted it was killed; it comes with all of its
 * batch or not at all. `maybe`: deleted when it was in flight.
 */
type Fate = 'due' | 'unsure' | 'maybe' | 'never'

type Entry = { readonly batch: Batch; fate: Fate; to: string; wasMoved: boolean }

const problemsShown = 20

export function labelOf(text: string): Label | undefined {
  const [, sender, number, bytes] = /^(\w+):(\d+):(\d+):/.exec(text) ?? []
  if (sender === undefined) return undefined
  return { sender, number: Number(number), bytes: Number(bytes) }
}

/** Every fifth message is a BLOB, whoever sends it, and every third has headers. */
export const blobEvery = 5
const headersEvery = 3

export function headersNumberOf({ number }: Label): { readonly n: number } | undefined {
  return number % headersEvery === 0 ? { n: number } : undefined
}

/** The whole text of a message. */
export function textOf({ sender, number, bytes }: Label): string {
  const head = `${sender}:${number}:${bytes}:`
  const filled = Math.max(0, bytes - head.length)
  return head + contentOf(number, filled, false).toString('base64').slice(0, filled)
}

export class Ledger {
  readonly #entries = new Map<string, Entry>()
  readonly #arrivals: { readonly at: string; readonly key: string }[] = []
  readonly #damaged: string[] = []
  #cancelled = 0
  #moved = 0

  get sent(): number {
    return this.#entries.size
  }

  get arrived(): number {
    return this.#arrivals.length
  }

  get cancelled(): number {
    return this.#cancelled
  }

  get moved(): number {
    return this.#moved
  }

  /** Before its transaction begins: nobody knows yet whether it will be committed. */
  tries(batch: Batch): void {
    for (const key of keysOf(batch)) {
      this.#entries.set(key, { batch, fate: 'unsure', to: batch.to, wasMoved: false })
    }
  }

  committed(batch: Batch): void {
    this.#settle(batch, 'due')
  }

  rolledBack(batch: Batch): void {
    this.#settle(batch, 'never')
  }

  /** Its owner has deleted the row. One that had no number then must not come. */
  onDeleted(label: string, wasInFlight: boolean): void {
    const entry = this.#seen(label)
    if (entry === undefined) return
    entry.fate = wasInFlight ? 'maybe' : 'never'
    this.#cancelled++
  }

  /** Its owner has sent it elsewhere, and was not rejected. */
  onMoved(label: string, to: string): void {
    const entry = this.#seen(label)
    if (entry === undefined) return
    entry.to = to
    entry.wasMoved = true
    this.#moved++
  }

  /** A message in the order of the inbox of `at`. `isWhole`: it has all of its data. */
  onArrived(at: string, text: string, isWhole: boolean): void {
    if (!isWhole) this.#damaged.push(`damaged at ${at}: ${text.slice(0, 60)}`)
    this.#arrivals.push({ at, key: keyOf(text) })
  }

  /**
   * What is wrong already. Only while nobody changes rows: who deletes one hears of it later than
   * it happens.
   */
  harm(): string[] {
    const places = new Map<string, string>()
    const highest = new Map<string, number>()
    const problems = [...this.#damaged]
    for (const { at, key } of this.#arrivals) {
      const entry = this.#entries.get(key)
      const earlier = places.get(key)
      if (entry === undefined) problems.push(`unheard of at ${at}: ${key}`)
      else if (earlier !== undefined) problems.push(`duplicated: ${key} at ${earlier} and at ${at}`)
      else if (entry.fate === 'never') problems.push(`taken back, and came to ${at}: ${key}`)
      else if (entry.to !== at) problems.push(`sent to ${entry.to}, came to ${at}: ${key}`)
      else if (!entry.wasMoved) problems.push(...outOfOrder(highest, at, key))
      places.set(key, at)
      if (entry?.fate === 'unsure') this.#settle(entry.batch, 'due')
    }
    return problems.slice(0, problemsShown)
  }

  /** What is wrong when every outbox is empty and every inbox has been read. */
  verdict(): string[] {
    const problems = this.harm()
    const came = new Set(this.#arrivals.map(({ key }) => key))
    for (const [key, { fate, to }] of this.#entries) {
      if (fate === 'due' && !came.has(key)) problems.push(`lost: ${key} for ${to}`)
    }
    return problems.slice(0, problemsShown)
  }

  #settle(batch: Batch, fate: Fate): void {
    for (const key of keysOf(batch)) {
      const entry = this.#entries.get(key)
      if (entry?.fate === 'unsure') entry.fate = fate
    }
  }

  /** A row that was there has been committed, and so has all of its batch. */
  #seen(text: string): Entry | undefined {
    const entry = this.#entries.get(keyOf(text))
    if (entry === undefined) this.#damaged.push(`unheard of in an outbox: ${text.slice(0, 60)}`)
    else this.#settle(entry.batch, 'due')
    return entry
  }
}

function keyOf(text: string): string {
  const label = labelOf(text)
  return label === undefined ? text.slice(0, 60) : `${label.sender}:${label.number}`
}

function* keysOf({ sender, first, last }: Batch): Generator<string> {
  for (let number = first; number <= last; number++) yield `${sender}:${number}`
}

function outOfOrder(highest: Map<string, number>, at: string, key: string): string[] {
  const [sender = '', digits = ''] = key.split(':')
  const path = `${sender} ${at}`
  const number = Number(digits)
  const before = highest.get(path) ?? 0
  highest.set(path, Math.max(before, number))
  return number > before ? [] : [`out of order at ${at}: ${key} after ${before}`]
}
