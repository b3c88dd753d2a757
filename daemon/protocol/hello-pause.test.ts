import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { assert as always, double, integer, nat, property } from 'fast-check'
import { helloPauseUs } from './hello-pause.ts'
import { helloPauseFirstUs, helloPauseMaxUs, helloPauseYoungUs } from './limits.ts'

const random = double({ min: 0, max: 1, noNaN: true })

test('pauses grow from half a second to a second and a half while the outage is young', () => {
  const pauses = [0, 1, 2, 3, 50].map((attempt) => helloPauseUs(attempt, 0, 0))
  deepStrictEqual(pauses, [helloPauseFirstUs, 750_000, 1_125_000, 1_500_000, 1_500_000])
})

test('no pause is longer than 2 % of the outage, a second and a half, or thirty seconds', () => {
  always(
    property(integer({ min: 0, max: 1e13 }), nat(100_000), random, (outageUs, attempt, chance) => {
      const pauseUs = helloPauseUs(attempt, outageUs, chance)
      ok(pauseUs <= Math.max(helloPauseYoungUs, outageUs / 50))
      ok(pauseUs <= helloPauseMaxUs)
      ok(pauseUs >= 0.8 * helloPauseFirstUs)
      ok(Number.isInteger(pauseUs))
    }),
  )
})

test('chance shortens a pause by up to a fifth', () => {
  deepStrictEqual(helloPauseUs(9, 1e12, 1), 0.8 * helloPauseMaxUs)
})
