/**
 * Stores back to back under whatever can happen to them, from a seed, then peace, then a verdict:
 * each message once, in order, and none lost without a word.
 */
import { test } from 'node:test'
import { scaled } from '../../test/support/scale.ts'
import { oddRows, runSeed, statementFaults } from '../../test/simulator/store/run-seed.ts'
import { World } from '../../test/simulator/store/world.ts'

const seedsOf = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => first + index)

test('crashes, cancels, reroutes, reused ids and rejections lose and double nothing', (t) => {
  const world = World.of(t)
  for (const seed of seedsOf(1, scaled(180)))
    runSeed(world, seed, { restores: false, large: false, steps: 60 })
})

test('restored, copied and removed databases lose and double nothing', (t) => {
  const world = World.of(t)
  for (const seed of seedsOf(1_001, scaled(110)))
    runSeed(world, seed, { restores: true, large: false, steps: 70 })
})

test('large messages arrive whole through crashes and restores', (t) => {
  const world = World.of(t)
  for (const seed of seedsOf(2_001, scaled(12)))
    runSeed(world, seed, { restores: seed % 2 === 0, large: true, steps: 40 })
})

/** Many: npm run fuzz:store -- --runs 10000 */
const faultRuns = scaled(20)

test('statements that fail at any time lose, double and misdeliver nothing', (t) => {
  const world = World.of(t)
  for (const seed of seedsOf(3_001, faultRuns)) runSeed(world, seed, statementFaults)
})

test('rows without a time or with text that is not UTF-8 double and stop nothing', (t) => {
  const world = World.of(t)
  for (const seed of seedsOf(4_001, faultRuns)) runSeed(world, seed, oddRows)
})
