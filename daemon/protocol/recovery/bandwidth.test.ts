import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { Bandwidth, type RateSample } from './delivery-rate.ts'

const minRttUs = 100_000

/** A sample of round `round`, in which one packet of 1,000 bytes is delivered a round. */
function sample(round: number, bytesPerSecond: number, changes?: Partial<RateSample>): RateSample {
  return {
    bytesPerSecond,
    intervalUs: minRttUs,
    priorDeliveredBytes: round * 1_000,
    deliveredBytes: (round + 1) * 1_000,
    isAppLimited: false,
    ...changes,
  }
}

test('the highest rate of ten rounds stands', () => {
  const bandwidth = new Bandwidth()
  bandwidth.onSample(sample(0, 9_000), minRttUs)
  for (let round = 1; round <= 10; round++) bandwidth.onSample(sample(round, 5_000), minRttUs)
  deepStrictEqual(bandwidth.bytesPerSecond, 9_000)
  bandwidth.onSample(sample(11, 5_000), minRttUs)
  deepStrictEqual(bandwidth.bytesPerSecond, 5_000)
})

test('a round ends with a packet that was sent after it began', () => {
  const bandwidth = new Bandwidth()
  deepStrictEqual(bandwidth.onSample(sample(0, 5_000), minRttUs), true)
  deepStrictEqual(bandwidth.onSample(sample(0, 5_000), minRttUs), false)
  deepStrictEqual(bandwidth.onSample(sample(1, 5_000), minRttUs), true)
})

test('what the application has limited counts only when it is the fastest', () => {
  const bandwidth = new Bandwidth()
  bandwidth.onSample(sample(0, 5_000), minRttUs)
  for (let round = 1; round < 30; round++) {
    bandwidth.onSample(sample(round, 100, { isAppLimited: true }), minRttUs)
  }
  deepStrictEqual(bandwidth.bytesPerSecond, 5_000)
  bandwidth.onSample(sample(30, 6_000, { isAppLimited: true }), minRttUs)
  deepStrictEqual(bandwidth.bytesPerSecond, 6_000)
})

test('bursts shorter than half a round trip are no measure', () => {
  const bandwidth = new Bandwidth()
  bandwidth.onSample(sample(0, 1e9, { intervalUs: 1_000 }), minRttUs)
  deepStrictEqual(bandwidth.bytesPerSecond, undefined)
})
