import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { assert as always, array, integer, property } from 'fast-check'
import { AckRanges } from './ack-tracker.ts'
import { ackRangesMax } from './constants.ts'

function rangesOf(...packetNumbers: number[]): AckRanges {
  const ranges = new AckRanges()
  for (const packetNumber of packetNumbers) ranges.insert(packetNumber)
  return ranges
}

test('numbers that follow each other are one range', () => {
  const ranges = rangesOf(0, 1, 2)
  deepStrictEqual(ranges.newestFirst(64), [{ first: 0, last: 2 }])
  deepStrictEqual([ranges.largest, ranges.hasGaps], [2, false])
})

test('a missing number makes a gap, and its arrival closes it', () => {
  const ranges = rangesOf(0, 1, 3)
  deepStrictEqual(ranges.newestFirst(64), [
    { first: 3, last: 3 },
    { first: 0, last: 1 },
  ])
  deepStrictEqual(ranges.hasGaps, true)
  deepStrictEqual(ranges.insert(2), true)
  deepStrictEqual(ranges.newestFirst(64), [{ first: 0, last: 3 }])
})

test('a number that is there already is not new', () => {
  deepStrictEqual(rangesOf(4, 5).insert(4), false)
})

test('a limit keeps the newest ranges', () => {
  deepStrictEqual(rangesOf(0, 2, 4, 6).newestFirst(2), [
    { first: 6, last: 6 },
    { first: 4, last: 4 },
  ])
})

test('a range too many makes the oldest forgotten', () => {
  const ranges = new AckRanges()
  for (let n = 0; n <= ackRangesMax; n++) ranges.insert(2 * n)
  deepStrictEqual(ranges.newestFirst(2 * ackRangesMax).length, ackRangesMax)
  deepStrictEqual(ranges.newestFirst(ackRangesMax).at(-1), { first: 2, last: 2 })
  deepStrictEqual(ranges.insert(0), false)
  deepStrictEqual(ranges.largest, 2 * ackRangesMax)
})

test('what is not worth telling is forgotten, inside a range too', () => {
  const ranges = rangesOf(0, 1, 5, 6, 7)
  ranges.forgetBelow(6)
  deepStrictEqual(ranges.newestFirst(64), [{ first: 6, last: 7 }])
  ranges.forgetBelow(100)
  deepStrictEqual([ranges.newestFirst(64).length, ranges.largest], [0, -1])
})

test('it agrees with a sorted set while the ranges fit', () => {
  always(
    property(array(integer({ min: 0, max: 90 }), { maxLength: 200 }), (packetNumbers) => {
      const ranges = new AckRanges()
      const set = new Set<number>()
      for (const packetNumber of packetNumbers) {
        deepStrictEqual(ranges.insert(packetNumber), !set.has(packetNumber))
        set.add(packetNumber)
      }
      const listed = ranges
        .newestFirst(ackRangesMax)
        .flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => last - i))
      deepStrictEqual(
        listed,
        [...set].toSorted((a, b) => b - a),
      )
    }),
  )
})
