import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { TimeSeries, type HistoryPoint } from './time-series.ts'

const startedAt = 1_000_000_000_000
const point = (at: number, sent: number, more: Partial<HistoryPoint> = {}): HistoryPoint => ({
  at: startedAt + at,
  sent,
  received: 0,
  waiting: 0,
  oldestAt: null,
  ...more,
})

test('a steady rate reads as that rate, although the points come at odd moments', () => {
  const history = new TimeSeries(startedAt)
  for (let at = 1_013; at < 100_000; at += 1_037) history.add(point(at, at / 10))
  const { stepMs, samples } = history.read(1, startedAt + 99_000)
  equal(stepMs, 1_000)
  equal(samples.length, 60)
  for (const { sentPerS } of samples) ok(Math.abs(sentPerS - 100) < 1e-6, String(sentPerS))
})

test('what came after a silence is of the second before it, not of the silence', () => {
  const history = new TimeSeries(startedAt)
  history.add(point(1_000, 50))
  history.add(point(60_000, 90))
  const { samples } = history.read(10, startedAt + 61_000)
  const rates = samples.filter(({ sentPerS }) => sentPerS > 0)
  deepEqual(
    rates.map(({ at, sentPerS }) => [at - startedAt, sentPerS]),
    [
      [1_000, 50],
      [60_000, 40],
    ],
  )
})

test('rows that wait in silence are there all the while, and grow older', () => {
  const history = new TimeSeries(startedAt)
  history.add(point(2_000, 0, { waiting: 7, oldestAt: startedAt + 1_500 }))
  const { samples } = history.read(5, startedAt + 120_000)
  const [first, last] = [samples[0], samples.at(-1)]
  deepEqual([first?.waiting, first?.oldestAgeMs], [0, null])
  deepEqual([last?.waiting, last?.oldestAgeMs], [7, 118_500])
})

test('a day is read by minutes, and nothing is shown of the time before the start', () => {
  const history = new TimeSeries(startedAt)
  for (let minute = 1; minute <= 2_000; minute++) history.add(point(minute * 60_000, minute * 60))
  const { stepMs, samples } = history.read(1_440, startedAt + 2_000 * 60_000)
  deepEqual([stepMs, samples.length], [60_000, 1_440])
  const young = new TimeSeries(startedAt).read(1_440, startedAt + 180_000)
  ok(young.samples.length <= 3 && young.samples.every(({ at }) => at > startedAt))
})

test('whatever the clock does, no more is reported than was sent, and no ring grows', () => {
  const steps = fc.array(
    fc.record({ by: fc.integer({ min: -5_000, max: 200_000 }), sent: fc.nat(1_000) }),
    { maxLength: 400 },
  )
  fc.assert(
    fc.property(steps, (moves) => {
      const history = new TimeSeries(startedAt)
      let [at, sent] = [0, 0]
      for (const move of moves) {
        at += move.by
        sent += move.sent
        history.add(point(at, sent))
      }
      for (const minutes of [1, 10, 1_440]) {
        const { stepMs, samples } = history.read(minutes, startedAt + at + 1_000)
        const reported = samples.reduce((sum, one) => sum + (one.sentPerS * stepMs) / 1_000, 0)
        ok(reported <= sent + 1e-6 && samples.every(({ sentPerS }) => sentPerS >= 0))
      }
    }),
  )
})
