/**
 * Messages that say who sent them and which they are, and the check of a total queue over them:
 * every one is there once, and those of one sender are in order. Must never be content with a
 * count.
 */
import { ok } from 'node:assert/strict'
import Database from 'better-sqlite3'
import type { Destination } from './machine.ts'

export type Numbered = {
  /** Who sends: a word. A receiver tells the lanes apart by it. */
  readonly sender: string
  readonly to: Destination
  readonly first: number
  readonly last: number
  /** Of each message, in bytes. */
  readonly bytes?: number
}

/** One statement that inserts the messages `first` to `last` in one transaction. */
export function insertNumbered({ sender, to, first, last, bytes = 100 }: Numbered): string {
  const text = `printf('${sender}:%d:', i)`
  return `WITH RECURSIVE n(i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM n WHERE i < ${last})
    INSERT INTO mqout (host, port, token, data)
    SELECT '${to.host}', ${to.port}, 'token', ${text} ||
      printf('%.*c', max(0, ${bytes} - length(${text})), 'x')
    FROM n WHERE i <= ${last};`
}

/** Numbers of the messages that must be in the inbox, from 1, by sender. */
export type Expected = { readonly [sender: string]: number | readonly number[] }

const problemsShown = 10

/** @throws AssertionError with what is missing, doubled, out of order or unheard of in `mqin`. */
export function checkInbox(database: string, expected: Expected): void {
  const queue = new TotalQueue(expected)
  const db = new Database(database, { readonly: true })
  try {
    const texts = db.prepare<[], string>('SELECT substr(data, 1, 60) FROM mqin ORDER BY id')
    for (const text of texts.pluck().iterate()) queue.receive(text)
  } finally {
    db.close()
  }
  const problems = queue.problems()
  const shown = problems.slice(0, problemsShown).join('\n')
  ok(problems.length === 0, `${problems.length} problems in ${database}:\n${shown}`)
}

/** What was sent against what has come, in the order in which it came. */
export class TotalQueue {
  readonly #expected: ReadonlyMap<string, ReadonlySet<number>>
  readonly #received = new Map<string, Set<number>>()
  readonly #highest = new Map<string, number>()
  readonly #problems: string[] = []

  constructor(expected: Expected) {
    const sets = Object.entries(expected).map(
      ([sender, numbers]) => [sender, new Set(listOf(numbers))] as const,
    )
    this.#expected = new Map(sets)
  }

  /** The text of a message as `insertNumbered` makes it. */
  receive(text: string): void {
    const [, sender = '', digits = ''] = /^(\w+):(\d+):/.exec(text) ?? []
    const number = Number(digits)
    const received = this.#received.get(sender) ?? new Set()
    this.#received.set(sender, received)
    const highest = this.#highest.get(sender) ?? 0
    if (this.#expected.get(sender)?.has(number) !== true) this.#problems.push(`unheard of: ${text}`)
    else if (received.has(number)) this.#problems.push(`doubled: ${sender}:${number}`)
    else if (number < highest) {
      this.#problems.push(`out of order: ${sender}:${number} after ${highest}`)
    }
    received.add(number)
    this.#highest.set(sender, Math.max(highest, number))
  }

  problems(): string[] {
    const missing = Array.from(this.#expected).flatMap(([sender, numbers]) =>
      Array.from(numbers)
        .filter((number) => this.#received.get(sender)?.has(number) !== true)
        .map((number) => `missing: ${sender}:${number}`),
    )
    return [...this.#problems, ...missing]
  }
}

function listOf(numbers: number | readonly number[]): readonly number[] {
  return typeof numbers === 'number'
    ? Array.from({ length: numbers }, (_, index) => index + 1)
    : numbers
}

/** The whole numbers from `first` to `last`. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
