import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { DeliveryRate } from './delivery-rate.ts'

test('the rate is what was delivered over the time that it took', () => {
  const rate = new DeliveryRate()
  const first = rate.stamp(0, 0)
  rate.onDelivered(1_000, 100_000)
  rate.sample(first, 0)
  const second = rate.stamp(1_000, 100_000)
  rate.onDelivered(9_000, 200_000)
  deepStrictEqual(rate.sample(second, 100_000), {
    bytesPerSecond: 90_000,
    intervalUs: 100_000,
    priorDeliveredBytes: 1_000,
    deliveredBytes: 10_000,
    isAppLimited: false,
  })
})

test('acks that come in one burst do not show a rate faster than the packets were sent', () => {
  const rate = new DeliveryRate()
  rate.stamp(0, 0)
  const last = rate.stamp(9_000, 50_000)
  rate.onDelivered(10_000, 50_100)
  // Sent over 50 ms, acked within 0.1 ms.
  deepStrictEqual(rate.sample(last, 50_000).bytesPerSecond, 10_000 / 0.0501)
})

test('a pause with nothing in flight is not counted as slow delivery', () => {
  const rate = new DeliveryRate()
  const first = rate.stamp(0, 0)
  rate.onDelivered(1_000, 100_000)
  rate.sample(first, 0)
  const later = rate.stamp(0, 60_000_000)
  rate.onDelivered(1_000, 60_100_000)
  deepStrictEqual(rate.sample(later, 60_000_000).bytesPerSecond, 10_000)
})

test('packets sent while the application had nothing more are marked until delivered', () => {
  const rate = new DeliveryRate()
  const before = rate.stamp(0, 0)
  rate.onAppLimited(1_000)
  const within = rate.stamp(1_000, 10)
  rate.onDelivered(1_000, 100)
  rate.onDelivered(1_000, 200)
  const after = rate.stamp(0, 300)
  deepStrictEqual(
    [before.isAppLimited, within.isAppLimited, after.isAppLimited],
    [false, true, false],
  )
})
