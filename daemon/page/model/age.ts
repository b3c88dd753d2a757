/**
 * Times and durations in human words. "Now" is an argument, and it is the daemon's: the browser's
 * clock may be wrong. Must never show an age without a way to its exact value.
 */

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** `93784000` → `1 d 2 h`: two units at most, whole seconds; `< 1 s` below one. */
export function durationText(ms: number): string {
  if (ms < 1_000) return ms <= 0 ? '0 s' : '< 1 s'
  const first = units.findIndex(([, unitMs]) => ms >= unitMs)
  const parts = units.slice(first, first + 2).map(([name, unitMs], at) => {
    const [, largerMs = Infinity] = units[first + at - 1] ?? []
    return [Math.floor((at === 0 ? ms : ms % largerMs) / unitMs), name] as const
  })
  return parts
    .filter(([count], at) => at === 0 || count > 0)
    .map(([count, name]) => `${count.toLocaleString('en-US')} ${name}`)
    .join(' ')
}

/** `4 min ago`; `in 12 s` for what is to come. */
export function distanceText(at: number, nowMs: number): string {
  const ms = nowMs - at
  if (Math.abs(ms) < 1_000) return 'now'
  return ms > 0 ? `${durationText(ms)} ago` : `in ${durationText(-ms)}`
}

/** `1,234,567 ms` as the exact value behind an age. */
export function exactDurationText(ms: number): string {
  return `${Math.round(ms).toLocaleString('en-US')} ms`
}

/** ISO 8601 in UTC with milliseconds; a time that no calendar has as the number that it is. */
export function exactTimeText(at: number): string {
  return isDate(at) ? new Date(at).toISOString() : String(at)
}

/** Local time of day with seconds, and the date when that is not today's (of `nowMs`). */
export function clockText(at: number, nowMs: number): string {
  if (!isDate(at)) return String(at)
  const [date, now] = [new Date(at), new Date(nowMs)]
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(':')
  const isToday = date.toDateString() === now.toDateString()
  return isToday ? time : `${dayText(date)} ${time}`
}

function dayText(date: Date): string {
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join('-')
}

const twoDigits = (part: number): string => String(part).padStart(2, '0')

/** What Date can hold: ±8.64e15 ms. Columns hold whatever somebody has inserted. */
const isDate = (at: number): boolean => Number.isFinite(at) && Math.abs(at) <= 8.64e15
