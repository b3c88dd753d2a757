/**
 * Messages that say who sent them and which they are, and the check of a total queue over them:
 * every one is there once, and those of one sender are in order. Must never be content with a
 * count.
 */
import { ok } from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import Database from 'better-sqlite3'
import type { Destination } from './machine.ts'

export type Numbered = {
  /** Who sends: a word. A receiver shows the lanes apart by it. */
  readonly sender: string
  readonly to: Destination
  readonly first: number
  readonly last: number
  /** Of each message, in bytes. */
  readonly bytes?: number
}

/** Sizes that have gone wrong elsewhere: of buffers and datagrams, and one to either side. */
const smallSizes = [1_023, 1_024, 1_025, 1_199, 1_200, 1_201]
const largeSizes = [65_535, 65_536, 65_537]
const [smallEvery, blobEvery, headersEvery, largeEvery] = [10, 7, 6, 1_000]
const step = 7_919

/** A message as it is in a table. */
export type NumberedRow = {
  readonly text: string
  readonly type: string
  readonly token: string
  readonly headers: string | null
}

/** One statement that inserts the messages `first` to `last` in one transaction. */
export function insertNumbered({ sender, to, first, last, bytes = 100 }: Numbered): string {
  const head = `printf('${sender}:%d:${bytes}:', i)`
  const one = (sizes: readonly number[], every: number): string =>
    `CASE i / ${every} % ${sizes.length}
       ${sizes.map((size, at) => `WHEN ${at} THEN ${size}`).join(' ')} END`
  return `WITH RECURSIVE n(i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM n WHERE i < ${last}),
    sized(i, head, size) AS (SELECT i, ${head}, CASE
      WHEN i % ${largeEvery} = 0 THEN ${one(largeSizes, largeEvery)}
      WHEN i % ${smallEvery} = 9 THEN ${one(smallSizes, smallEvery)} ELSE ${bytes} END
      FROM n WHERE i <= ${last}),
    filled(i, data) AS (SELECT i, head || substr(
      replace(hex(zeroblob(max(0, size - length(head)))), '00', printf('%d/', i * ${step})),
      1, max(0, size - length(head))) FROM sized)
    INSERT INTO mqout (host, port, token, headers, data)
    SELECT '${to.host}', ${to.port}, 'token',
      iif(i % ${headersEvery} = 0, printf('{"n":%d}', i), NULL),
      iif(i % ${blobEvery} = 0, CAST(data AS BLOB), data)
    FROM filled ORDER BY i;`
}

/** What `insertNumbered` puts in for one message. */
export function numberedRow(sender: string, number: number, bytes = 100): NumberedRow {
  const head = `${sender}:${number}:${bytes}:`
  const filled = Math.max(0, sizeOf(number, bytes) - head.length)
  return {
    text: head + `${number * step}/`.repeat(filled).slice(0, filled),
    type: number % blobEvery === 0 ? 'blob' : 'text',
    token: 'token',
    headers: number % headersEvery === 0 ? `{"n":${number}}` : null,
  }
}

function sizeOf(number: number, bytes: number): number {
  const one = (sizes: readonly number[], every: number): number =>
    sizes[Math.floor(number / every) % sizes.length] ?? bytes
  if (number % largeEvery === 0) return one(largeSizes, largeEvery)
  return number % smallEvery === 9 ? one(smallSizes, smallEvery) : bytes
}

/** Numbers of the messages that must be in the inbox, from 1, by sender. */
export type Expected = { readonly [sender: string]: number | readonly number[] }

const problemsShown = 10

/** @throws AssertionError: missing, duplicated, out of order, changed or unheard of in `mqin`. */
export function checkInbox(database: string, expected: Expected): void {
  const queue = new TotalQueue(expected)
  const db = new Database(database, { readonly: true })
  try {
    const rows = db.prepare<[], NumberedRow>(`SELECT CAST(data AS TEXT) AS text,
      typeof(data) AS type, token, headers FROM mqin ORDER BY id`)
    for (const row of rows.iterate()) queue.receive(row)
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

  /** A message as `insertNumbered` makes it. */
  receive(row: NumberedRow): void {
    const [, sender = '', digits = '', bytes] = /^(\w+):(\d+):(\d+):/.exec(row.text) ?? []
    const shown = row.text.slice(0, 60)
    const number = Number(digits)
    const received = this.#received.get(sender) ?? new Set()
    this.#received.set(sender, received)
    const highest = this.#highest.get(sender) ?? 0
    if (this.#expected.get(sender)?.has(number) !== true)
      this.#problems.push(`unheard of: ${shown}`)
    else if (!isDeepStrictEqual(row, numberedRow(sender, number, Number(bytes)))) {
      this.#problems.push(`changed: ${shown}, ${row.text.length} long, ${row.type}, ${row.headers}`)
    } else if (received.has(number)) this.#problems.push(`duplicated: ${sender}:${number}`)
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
