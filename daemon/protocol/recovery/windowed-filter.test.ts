import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { assert as always, array, boolean, integer, property, tuple } from 'fast-check'
import { WindowedFilter } from './rtt.ts'

test('the lowest of a window stands until it leaves the window', () => {
  const filter = new WindowedFilter('min')
  filter.push(5, 0, -100)
  filter.push(9, 50, -50)
  deepStrictEqual(filter.best, 5)
  filter.push(7, 90, -10)
  filter.push(8, 101, 1)
  deepStrictEqual(filter.best, 7)
})

test('a better value replaces all worse ones at once', () => {
  const filter = new WindowedFilter('max')
  for (const value of [3, 2, 1]) filter.push(value, 10 - value, -100)
  filter.push(4, 10, -90)
  deepStrictEqual(filter.best, 4)
})

test('the newest value is kept however old it is', () => {
  const filter = new WindowedFilter('min')
  filter.push(5, 0, -100)
  deepStrictEqual(filter.best, 5)
  filter.push(6, 1_000, 900)
  deepStrictEqual(filter.best, 6)
})

test('cleared, it begins again', () => {
  const filter = new WindowedFilter('min')
  filter.push(1, 0, -100)
  filter.clear()
  deepStrictEqual(filter.isEmpty, true)
  filter.push(2, 1, -99)
  deepStrictEqual(filter.best, 2)
})

test('it is exact but for the last 1/32 of the life of a value', () => {
  const width = 320
  const step = tuple(integer({ min: 1, max: 1_000 }), integer({ min: 0, max: 60 }))
  always(
    property(boolean(), array(step, { maxLength: 300 }), (isMin, steps) => {
      const filter = new WindowedFilter(isMin ? 'min' : 'max')
      const all: { value: number; at: number }[] = []
      let at = 0
      const best = (from: number): number => {
        const values = all.filter((entry) => entry.at >= from).map((entry) => entry.value)
        return isMin ? Math.min(...values) : Math.max(...values)
      }
      for (const [value, elapsed] of steps) {
        at += elapsed
        all.push({ value, at })
        filter.push(value, at, at - width)
        const [whole, shortened] = [best(at - width), best(at - width + width / 32 + 1)]
        const [low, high] = [Math.min(whole, shortened), Math.max(whole, shortened)]
        // A newest value that was left out may be missed for one division.
        ok(filter.best >= low && filter.best <= high)
      }
    }),
  )
})
