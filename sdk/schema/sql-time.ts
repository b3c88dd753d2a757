/**
 * Times in the views for people: how long ago, how long until, and since when a lane has given no
 * sign of life. Must hold in every SQLite from 3.37 on.
 */

const nowS = "(julianday('now') - 2440587.5) * 86400"

/** Seconds since `at` (ms since 1970), never below 0. */
export const agoS = (at: string): string => `max(0, round(${nowS} - ${at} / 1000.0, 1))`

/** Seconds until `at` (ms since 1970), never below 0. */
export const inS = (at: string): string => `max(0, round(${at} / 1000.0 - ${nowS}, 1))`

/** After this a row that nobody has touched is worth a word. */
export const untouchedS = 60

/** A daemon writes down when it will try again every few seconds: this late, there is none. */
const lateS = 120

/** No row of this lane was completed for a while, nor has anything else changed about it. */
export const isQuiet = (lane: string): string =>
  `${agoS(`coalesce(${lane}.since, 0)`)} > ${untouchedS} AND ${agoS(
    `coalesce((SELECT r.done_at FROM mqbatch AS r WHERE r.lane = ${lane}.id` +
      ' AND r.done_at IS NOT NULL ORDER BY r.first DESC LIMIT 1), 0)',
  )} > ${untouchedS}`

/** What was to be tried again was not. */
export const isLate = (lane: string): string => `${agoS(`${lane}.retry_at`)} > ${lateS}`

// Times as they stand in the tables, for JavaScript. Any program can have written them, so that
// they may be what no calendar has: they must never end the program that shows them.

/** What Date can hold, in ms before and after 1970. */
const dateMsMax = 8.64e15

const isDate = (ms: unknown): ms is number =>
  typeof ms === 'number' && Number.isFinite(ms) && Math.abs(ms) <= dateMsMax

/** The time, null when there is none or no calendar has it. */
export const dateOf = (ms: unknown): Date | null => (isDate(ms) ? new Date(ms) : null)

/** ISO 8601 in UTC; what no calendar has as the value that it is. */
export const timeText = (ms: unknown): string => dateOf(ms)?.toISOString() ?? `"${String(ms)}"`
