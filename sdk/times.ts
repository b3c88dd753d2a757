/**
 * Times as they stand in the tables, for JavaScript. Any program can have written them, so that
 * they may be what no calendar has: they must never end the program that shows them.
 */

/** What Date can hold, in ms before and after 1970. */
const dateMsMax = 8.64e15

const isDate = (ms: unknown): ms is number =>
  typeof ms === 'number' && Number.isFinite(ms) && Math.abs(ms) <= dateMsMax

/** The time, null when there is none or no calendar has it. */
export const dateOf = (ms: unknown): Date | null => (isDate(ms) ? new Date(ms) : null)

/** ISO 8601 in UTC; what no calendar has as the value that it is. */
export const timeText = (ms: unknown): string => dateOf(ms)?.toISOString() ?? `"${String(ms)}"`
