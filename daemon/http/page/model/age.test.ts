import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { clockText, distanceText, durationText, exactDurationText, exactTimeText } from './text.ts'

test('a duration has two units at most, and never reads as zero when it is not', () => {
  const durations = [
    -5, 0, 1, 999, 1_000, 59_999, 60_000, 61_500, 3_600_000, 11_100_000, 93_784_000,
  ]
  deepEqual(durations.map(durationText), [
    '0 s',
    '0 s',
    '< 1 s',
    '< 1 s',
    '1 s',
    '59 s',
    '1 min',
    '1 min 1 s',
    '1 h',
    '3 h 5 min',
    '1 d 2 h',
  ])
  equal(durationText(4_000 * 86_400_000 + 60_000), '4,000 d')
})

test('what was is ago, what comes is in', () => {
  equal(distanceText(1_000, 13_000), '12 s ago')
  equal(distanceText(13_000, 1_000), 'in 12 s')
  equal(distanceText(1_000, 1_500), 'now')
})

test('the exact value is there, of impossible times too', () => {
  equal(exactDurationText(1_234_567), '1,234,567 ms')
  equal(exactTimeText(0), '1970-01-01T00:00:00.000Z')
  equal(exactTimeText(9e15), '9000000000000000')
  equal(clockText(Number.NaN, 0), 'NaN')
})

test('the date is reported when it is another day', () => {
  const noon = new Date(2026, 10, 28, 12, 5, 9).getTime()
  equal(clockText(noon, noon), '12:05:09')
  match(clockText(noon - 86_400_000, noon), /^2026-11-27 \d\d:05:09$/)
})
