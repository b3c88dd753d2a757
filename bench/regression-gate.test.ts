import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { better, isRegression, regressionsOf } from './regression-gate.ts'
import { type Goal, measured, meetsGoal } from './measure.ts'

const least: Goal = { type: 'at least', of: 'ratio', value: 0.6 }
const most: Goal = { type: 'at most', of: 'figure', value: 8 }
const between: Goal = { type: 'between', of: 'figure', least: 0.3, most: 0.7 }

const figure = (value: number, goal: Goal) =>
  measured({ what: 'x', unit: 'ms', figures: [value], goal })

const ratio = (value: number) =>
  measured(
    { what: 'drain', unit: 'rows/s', figures: [value], goal: least },
    {
      what: 'copy',
      figures: [1],
    },
  )

test('half of a goal that must be reached is the floor', () => {
  deepEqual(
    [0.31, 0.3, 0.29].map((value) => isRegression(ratio(value))),
    [false, false, true],
  )
  equal(meetsGoal(ratio(0.59)), false)
  equal(meetsGoal(ratio(0.6)), true)
})

test('twice a goal that must not be passed is the ceiling', () => {
  deepEqual(
    [15, 16, 16.1].map((value) => isRegression(figure(value, most))),
    [false, false, true],
  )
  equal(meetsGoal(figure(8.1, most)), false)
})

test('what the machine takes of a time comes on top of the goal, and of nothing else', () => {
  const beside = (unit: 'ms' | 'MB', value: number, bare: number) =>
    isRegression(
      measured({ what: 'x', unit, figures: [value], goal: most }, { what: 'y', figures: [bare] }),
    )
  // (8 + 2) ms, twice.
  deepEqual([beside('ms', 20, 2), beside('ms', 20.1, 2)], [false, true])
  equal(beside('MB', 16.1, 2), true)
})

test('a share may be off on either side', () => {
  deepEqual(
    [0.14, 0.15, 0.5, 1.4, 1.5].map((value) => isRegression(figure(value, between))),
    [true, false, false, false, true],
  )
})

test('what could not be measured is a regression, what has no goal never is', () => {
  equal(isRegression(figure(Number.NaN, most)), true)
  equal(isRegression(ratio(Number.NaN)), true)
  equal(isRegression(ratio(Number.POSITIVE_INFINITY)), true)
  equal(isRegression(measured({ what: 'x', unit: 'ms', figures: [1e9] })), false)
})

test('a second look clears a measure that fell below, and is not asked for another', () => {
  equal(better(ratio(0.1), ratio(0.5)).ratio?.median, 0.5)
  equal(better(ratio(0.5), ratio(0.1)).ratio?.median, 0.5)
  equal(isRegression(better(ratio(0.1), ratio(0.2))), true)
})

test('a regression is reported with its figure and its goal', () => {
  const reported = regressionsOf([ratio(0.2), ratio(0.5)])
  equal(reported.length, 1)
  match(reported[0] ?? '', /drain: 0\.2 .* goal of ≥ 0\.6 ×/)
})
