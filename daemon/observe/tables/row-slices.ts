/**
 * Goes down through the ids of a table for rows that meet a condition, in slices that grow as long
 * as they are quick, until there are enough or the time is over. Must never run one statement over
 * more rows than a slice.
 */
import type Database from 'better-sqlite3'

/** Which rows, the newest first. `values` are bound to `condition` by name. */
export type SliceQuery = {
  readonly from: string
  /** The column of the id, as `from` names it. */
  readonly id: string
  readonly condition: string
  readonly values: { readonly [name: string]: string | number | null }
  /** Ids below this one. */
  readonly before: number
  /** Nothing can be at or below this id. */
  readonly floor: number
  readonly limit: number
}

export type Slices = {
  readonly ids: readonly number[]
  /** Go on below this id; null: nothing is left. */
  readonly next: number | null
  /** False: the time was over. */
  readonly isComplete: boolean
}

const budgetMs = 100
const sliceMs = 15
const rowsMin = 20
const rowsMax = 20_000

export function readSlices(db: Database.Database, query: SliceQuery): Slices {
  const { from, id, condition, values, floor, limit } = query
  const edge = db
    .prepare<{ before: number; rows: number }, number>(
      `SELECT ${id} FROM ${from} WHERE ${id} < @before ORDER BY ${id} DESC LIMIT 1 OFFSET @rows`,
    )
    .pluck()
  const slice = db
    .prepare<object, number>(
      `SELECT ${id} FROM ${from} WHERE ${id} < @before AND ${id} >= @lower AND (${condition})
       ORDER BY ${id} DESC LIMIT @limit`,
    )
    .pluck()
  const startMs = performance.now()
  const ids: number[] = []
  let [before, rows] = [query.before, rowsMin]
  for (;;) {
    const sliceStartMs = performance.now()
    const lower = Math.max(edge.get({ before, rows: rows - 1 }) ?? 0, floor + 1)
    ids.push(...slice.all({ ...values, before, lower, limit: limit - ids.length }))
    if (ids.length >= limit) return { ids, next: ids.at(-1) ?? null, isComplete: true }
    if (lower <= floor + 1) return { ids, next: null, isComplete: true }
    before = lower
    const nowMs = performance.now()
    if (nowMs - startMs >= budgetMs) return { ids, next: before, isComplete: false }
    if (nowMs - sliceStartMs < sliceMs / 2) rows = Math.min(rowsMax, rows * 2)
    else if (nowMs - sliceStartMs > sliceMs) rows = Math.max(rowsMin, Math.floor(rows / 4))
  }
}
