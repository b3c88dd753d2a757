/**
 * The time of a row, `created_at` (PROTOCOL §7.5). It travels as it is; what is no time in
 * milliseconds says nothing of how old the row is. Must never be told by the clock of today.
 */

/** The end of the year 9999. */
const timeMsMax = 253_402_300_799_999

/** Whether this is a time: 0 stands for none, and what is above is in another unit. */
export function isTime(timeMs: number): boolean {
  return timeMs > 0 && timeMs <= timeMsMax
}
