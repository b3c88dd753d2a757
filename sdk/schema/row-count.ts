/**
 * How many rows a table with an integer key has. A few are counted; of many a sample is, because to
 * count them all is to read through the table. Must never take longer for more rows.
 */

import { prepare, type SqliteHandle } from './sqlite-handle.ts'

/** `isExact` false: an estimate, to three digits. */
export type RowCount = { readonly value: number; readonly isExact: boolean }

type Table = 'mqout' | 'mqin' | 'mqdead' | 'mqparked'

/** So many take half a millisecond. */
const countedMax = 10_000
/** Ids in one look, and looks, spread evenly over all ids. */
const windowIds = 64
const windows = 64

/** The number of rows in `table`, as one read sees them. */
export function countRows(db: SqliteHandle, table: Table): RowCount {
  const few = prepare(
    db,
    `SELECT count(*) AS count FROM (SELECT 1 FROM ${table} LIMIT ${countedMax + 1})`,
  )
  const { count } = few.get() as { count: number }
  if (count <= countedMax) return { value: count, isExact: true }
  return { value: Math.max(countedMax, rounded(estimate(db, table))), isExact: false }
}

/** Rows leave mostly from one end, so that what is left lies close together. */
function estimate(db: SqliteHandle, table: Table): number {
  const ends = prepare(
    db,
    `SELECT (SELECT min(id) FROM ${table}) AS first, (SELECT max(id) FROM ${table}) AS last`,
  )
  const { first, last } = ends.get() as { first: number; last: number }
  const window = prepare(db, `SELECT count(*) AS count FROM ${table} WHERE id >= ? AND id < ?`)
  const span = last - first + 1
  let [found, looked] = [0, 0]
  for (let at = 0; at < windows; at++) {
    const from = first + Math.floor(((span - windowIds) * at) / (windows - 1))
    found += (window.get(from, from + windowIds) as { count: number }).count
    looked += windowIds
  }
  return (span * found) / looked
}

const rounded = (value: number): number => Number(value.toPrecision(3))
