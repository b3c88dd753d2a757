/**
 * A list that is read in pieces, the newest first: a page at a time, and a search in as many
 * requests as its scan takes. Must never take "no time to look further" for "there is no more".
 */
import type { Rows } from '../../observe/page-api.ts'
import type { Failure } from './link.ts'

export type RowsSearch<Row> =
  /** A request is under way. */
  | {
      readonly type: 'asking'
      readonly rows: readonly Row[]
      readonly before: number | null
      /** Rows that were there when this page was asked for. */
      readonly start: number
      /** Requests for this page so far. */
      readonly rounds: number
      /** What an earlier reading found: to be looked at until there is an answer. */
      readonly old: readonly Row[]
    }
  /** A page is there; `next` null: there is no more. `isFull`: not stopped in the middle. */
  | {
      readonly type: 'resting'
      readonly rows: readonly Row[]
      readonly next: number | null
      readonly isFull: boolean
      /** The browser's clock when it was read. */
      readonly readAtMs: number
    }
  | {
      readonly type: 'failed'
      readonly rows: readonly Row[]
      readonly before: number | null
      readonly failure: Failure
    }

export const pageRows = 50

/** Each request looks for 100 ms: after about this many, somebody must want it to go on. */
const roundsMax = 30

export function firstSearch<Row>(old: readonly Row[] = []): RowsSearch<Row> {
  return { type: 'asking', rows: [], before: null, start: 0, rounds: 0, old }
}

/** From the beginning, with the same question. */
export function searchAgain<Row>(search: RowsSearch<Row>): RowsSearch<Row> {
  return search.type === 'asking' ? search : firstSearch(search.rows)
}

/** The rows to look at now. */
export function shownRows<Row>(search: RowsSearch<Row>): readonly Row[] {
  return search.type === 'asking' && search.rounds === 0 && search.start === 0
    ? search.old
    : search.rows
}

/** Goes on where it rests or has failed. */
export function furtherSearch<Row>(search: RowsSearch<Row>): RowsSearch<Row> {
  if (search.type === 'asking') return search
  const { rows } = search
  const before = search.type === 'resting' ? search.next : search.before
  if (search.type === 'resting' && before === null) return search
  return { type: 'asking', rows, before, start: rows.length, rounds: 0, old: [] }
}

export function onAnswer<Row>(
  search: RowsSearch<Row>,
  answer: Rows<Row>,
  nowMs: number,
): RowsSearch<Row> {
  if (search.type !== 'asking') return search
  const rows = [...search.rows, ...answer.rows]
  const rounds = search.rounds + 1
  const isFull = answer.isComplete || rows.length - search.start >= pageRows
  if (!isFull && answer.next !== null && rounds < roundsMax) {
    return { ...search, rows, before: answer.next, rounds }
  }
  return { type: 'resting', rows, next: answer.next, isFull, readAtMs: nowMs }
}

export function onFailure<Row>(search: RowsSearch<Row>, failure: Failure): RowsSearch<Row> {
  if (search.type !== 'asking') return search
  return { type: 'failed', rows: search.rows, before: search.before, failure }
}

/** Somebody has seen enough: it rests where it is. */
export function onStop<Row>(search: RowsSearch<Row>, nowMs: number): RowsSearch<Row> {
  if (search.type !== 'asking') return search
  const { rows, before } = search
  return { type: 'resting', rows, next: before, isFull: false, readAtMs: nowMs }
}
