import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { jainIndex, median, quantile, spreadOf } from './distribution.ts'

test('the median lies in the middle, whatever the order and the number of values', () => {
  equal(median([3, 1, 2]), 2)
  equal(median([4, 1, 3, 2]), 2.5)
  equal(median([7]), 7)
})

test('one disturbed repeat widens the spread and leaves the median', () => {
  deepEqual(spreadOf([10, 12, 900]), { median: 12, least: 10, most: 900 })
  throws(() => spreadOf([]), /needs a value/)
})

test('quantiles are values that were measured: the nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
  equal(quantile(hundred, 0.5), 50)
  equal(quantile(hundred, 0.99), 99)
  equal(quantile(hundred, 1), 100)
  equal(quantile(hundred, 0), 1)
  equal(quantile([5], 0.99), 5)
  ok(Number.isNaN(quantile([], 0.5)))
})

test('ten values are sorted as numbers, not as text', () => {
  equal(quantile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 1), 10)
  equal(median([10, 9, 100]), 10)
})

test("Jain's index is 1 for equals, and one in n when one has everything", () => {
  equal(jainIndex([5, 5, 5, 5]), 1)
  equal(jainIndex([1, 0, 0, 0]), 0.25)
  ok(Math.abs(jainIndex([2, 1]) - 0.9) < 1e-9)
})
