import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { RateLimit, RateLimits } from './timer-queue.ts'

function takenOf(limit: RateLimit, count: number, nowUs: number): number {
  return Array.from({ length: count }, () => limit.take(nowUs)).filter(Boolean).length
}

test('so many pass in a second, and as many again in the next', () => {
  const limit = new RateLimit(5)
  deepStrictEqual(takenOf(limit, 20, 100), 5)
  deepStrictEqual(takenOf(limit, 20, 1_000_099), 0)
  deepStrictEqual(takenOf(limit, 20, 1_000_100), 5)
})

test('a long pause saves nothing up', () => {
  const limit = new RateLimit(5)
  takenOf(limit, 5, 0)
  deepStrictEqual(takenOf(limit, 50, 60_000_000), 5)
})

test('each source has a limit of its own, and so many are counted', () => {
  const limits = new RateLimits(2, 3)
  const taken = (source: string): boolean => limits.take(source, 0)
  deepStrictEqual(['a', 'a', 'a', 'b'].map(taken), [true, true, false, true])
  deepStrictEqual(['c', 'd', 'a'].map(taken), [true, true, true])
})
