import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { assert as always, double, integer, nat, property } from 'fast-check'
import { handshakeBackoffUs } from './handshake-initiator.ts'
import {
  handshakeBackoffFirstUs,
  handshakeBackoffMaxUs,
  handshakeBackoffYoungUs,
} from '../constants.ts'

const random = double({ min: 0, max: 1, noNaN: true })

test('pauses grow from a quarter to one and a half seconds while the outage is young', () => {
  const pauses = [0, 1, 2, 3, 50].map((attempt) => handshakeBackoffUs(attempt, 0, 0))
  deepStrictEqual(pauses, [handshakeBackoffFirstUs, 312_500, 390_625, 488_281, 1_500_000])
})

test('no pause is longer than 2 % of the outage, a second and a half, or thirty seconds', () => {
  always(
    property(integer({ min: 0, max: 1e13 }), nat(100_000), random, (outageUs, attempt, chance) => {
      const pauseUs = handshakeBackoffUs(attempt, outageUs, chance)
      ok(pauseUs <= Math.max(handshakeBackoffYoungUs, outageUs / 50))
      ok(pauseUs <= handshakeBackoffMaxUs)
      ok(pauseUs >= 0.8 * handshakeBackoffFirstUs)
      ok(Number.isInteger(pauseUs))
    }),
  )
})

test('chance shortens a pause by up to a fifth', () => {
  deepStrictEqual(handshakeBackoffUs(9, 1e12, 1), 0.8 * handshakeBackoffMaxUs)
})
