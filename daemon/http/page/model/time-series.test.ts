import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import type { HistorySample } from '../../api-types.ts'
import {
  columnsOf,
  extremesOf,
  picked,
  plots,
  sampleOf,
  spans,
  summaryOf,
  withSample,
} from './time-series.ts'
import { anOverview } from '../../../../test/support/overview-fixture.ts'

const sample = (at: number, waiting = at): HistorySample => {
  return { at, sentPerS: 1, receivedPerS: 0, waiting, oldestAgeMs: null }
}
const [tenMinutes] = spans

test('an overview goes on where the history ends, and the oldest sample leaves', () => {
  const first = [sample(0), sample(1_000)]
  const next = withSample(first, sampleOf(anOverview({ at: 600_500 })), tenMinutes)
  deepEqual(
    next.map(({ at }) => at),
    [1_000, 600_500],
  )
})

test('a sample that is not newer changes nothing', () => {
  const samples = [sample(0), sample(1_000)]
  equal(withSample(samples, sample(1_000, 9), tenMinutes), samples)
  equal(withSample(samples, sample(500, 9), tenMinutes), samples)
})

test('a line breaks where nothing was known', () => {
  deepEqual(columnsOf([sample(1_000), sample(2_000), sample(9_000)], 1_000, ['waiting']), [
    [1, 2, 3, 9],
    [1_000, 2_000, null, 9_000],
  ])
  deepEqual(columnsOf([], 1_000, ['waiting', 'sentPerS']), [[], [], []])
})

test('a table has the newest first and only so many', () => {
  const samples = Array.from({ length: 100 }, (_, at) => sample(at))
  const rows = picked(samples, 30).map(({ at }) => at)
  equal(rows.length <= 30, true)
  deepEqual(rows.slice(0, 3), [99, 95, 91])
  deepEqual(picked([], 30), [])
})

test('a sentence says what the plot shows', () => {
  const [backlog, age, throughput] = plots
  const samples = [sample(0, 3), sample(1, 1_200), sample(2, 30)]
  const text = (plot: typeof backlog): string =>
    plot === undefined ? '' : summaryOf(plot, samples, '10 min')
  equal(text(backlog), 'Backlog, last 10 min: rows in the outbox from 3 to 1,200, now 30.')
  equal(
    text(throughput),
    'Throughput, last 10 min: sent from 1/s to 1/s, now 1/s; received from 0/s to 0/s, now 0/s.',
  )
  equal(text(age), 'Oldest age, last 10 min: oldest row in the outbox: none.')
})

test('extremes of a million samples do not overflow the stack', () => {
  const many = Array.from({ length: 1_000_000 }, (_, at) => sample(at))
  deepEqual(extremesOf(many, 'waiting'), { min: 0, max: 999_999, last: 999_999 })
})

test('the grid of a plot has steps that rise, up to more than a plot will ever show', () => {
  for (const { steps } of plots) {
    deepEqual(
      steps,
      steps.toSorted((a, b) => a - b),
    )
    equal((steps.at(-1) ?? 0) > 1e12, true)
  }
})
