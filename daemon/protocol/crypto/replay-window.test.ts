import { deepStrictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { assert as always, integer, array, property } from 'fast-check'
import { replayWindowPackets } from '../recovery/constants.ts'
import { ReplayWindow } from './packet-protection.ts'

test('a number is fresh until it is marked', () => {
  const window = new ReplayWindow()
  deepStrictEqual(window.isFresh(0), true)
  window.mark(0)
  deepStrictEqual(window.isFresh(0), false)
  deepStrictEqual(window.isFresh(1), true)
})

test('asking does not mark', () => {
  const window = new ReplayWindow()
  deepStrictEqual([window.isFresh(9), window.isFresh(9), window.largest], [true, true, -1])
})

test('a late number is fresh down to 2,047 below the highest and no further', () => {
  const window = new ReplayWindow()
  window.mark(10_000)
  deepStrictEqual(window.isFresh(10_000 - replayWindowPackets + 1), true)
  deepStrictEqual(window.isFresh(10_000 - replayWindowPackets), false)
})

test('numbers beyond 2^32 are distinguished from those that share their low bits', () => {
  const window = new ReplayWindow()
  window.mark(2 ** 47)
  deepStrictEqual(window.isFresh(2 ** 47), false)
  deepStrictEqual(window.isFresh(2 ** 47 + replayWindowPackets), true)
  deepStrictEqual(window.isFresh(2 ** 47 - 1), true)
  deepStrictEqual(window.isFresh(0), false)
})

test('marking a number twice is our own bug', () => {
  const window = new ReplayWindow()
  window.mark(5)
  throws(() => window.mark(5), { name: 'AssertionFailure' })
})

test('it agrees with a set of all numbers ever seen', () => {
  always(
    property(array(integer({ min: -3000, max: 3000 }), { maxLength: 300 }), (steps) => {
      const window = new ReplayWindow()
      const seen = new Set<number>()
      let at = 5000
      let largest = -1
      for (const step of steps) {
        at = Math.max(0, at + step)
        const expected = at > largest - replayWindowPackets && !seen.has(at)
        deepStrictEqual(window.isFresh(at), expected)
        if (!expected) continue
        window.mark(at)
        seen.add(at)
        largest = Math.max(largest, at)
      }
    }),
  )
})
