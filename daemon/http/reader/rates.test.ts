import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { Rates, type RateTotals } from './overview.ts'

const look = (watermark: number, packets = 0, lost = 0): ReadonlyMap<string, RateTotals> =>
  new Map([['a', { watermark, packets, lost }]])

test('a rate is of the last seconds, a loss of the last minute', () => {
  const paces = new Rates()
  paces.onLook(look(0, 100, 50), 0)
  deepEqual(paces.paceOf('a'), { rowsPerS: null, lossShare: 0.5 })
  for (let second = 1; second <= 100; second++) {
    paces.onLook(look(second * 10, 100 + second * 10, 50 + second), second * 1_000)
  }
  deepEqual(paces.paceOf('a'), { rowsPerS: 10, lossShare: 0.1 })
})

test('a stream that begins again is not slower than nothing', () => {
  const paces = new Rates()
  paces.onLook(look(1_000), 0)
  paces.onLook(look(5), 1_000)
  equal(paces.paceOf('a').rowsPerS, null)
  paces.onLook(look(25), 3_000)
  equal(paces.paceOf('a').rowsPerS, 10)
})

test('a stream that is gone is forgotten', () => {
  const paces = new Rates()
  paces.onLook(look(1_000), 0)
  paces.onLook(new Map(), 1_000)
  paces.onLook(look(2_000), 2_000)
  equal(paces.paceOf('a').rowsPerS, null)
})
