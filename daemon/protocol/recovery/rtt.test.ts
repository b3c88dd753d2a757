import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { ackDelayUsMax } from './constants.ts'
import { Rtt } from './rtt.ts'

test('before the first sample the guess of RFC 9002 stands', () => {
  const rtt = new Rtt()
  deepStrictEqual([rtt.hasSample, rtt.smoothedUs, rtt.ptoBaseUs()], [false, 333_000, 1_004_000])
})

test('the first sample replaces the guess', () => {
  const rtt = new Rtt()
  deepStrictEqual(rtt.onSample(100_000, 0), 100_000)
  deepStrictEqual(
    [rtt.smoothedUs, rtt.varianceUs, rtt.minUs, rtt.latestUs],
    [100_000, 50_000, 100_000, 100_000],
  )
})

test('later samples move the average by an eighth and the variance by a quarter', () => {
  const rtt = new Rtt()
  rtt.onSample(100_000, 0)
  rtt.onSample(180_000, 0)
  deepStrictEqual([rtt.smoothedUs, rtt.varianceUs], [110_000, 57_500])
})

test('the stated ack delay is taken off, up to 5 ms', () => {
  const rtt = new Rtt()
  rtt.onSample(100_000, 0)
  deepStrictEqual(rtt.onSample(120_000, 3_000), 117_000)
  deepStrictEqual(rtt.onSample(120_000, 60_000_000), 115_000)
})

test('a stated ack delay never makes a sample shorter than the fastest ack', () => {
  const rtt = new Rtt()
  rtt.onSample(100_000, 5_000)
  deepStrictEqual([rtt.latestUs, rtt.minUs], [100_000, 100_000])
  deepStrictEqual(rtt.onSample(102_000, 5_000), 100_000)
})

test('the probe timeout stays 1 ms above a steady RTT, and allows for the peer’s delay', () => {
  const rtt = new Rtt()
  for (let i = 0; i < 200; i++) rtt.onSample(100, 0)
  ok(Math.abs(rtt.ptoBaseUs() - (100 + 1_000 + 5_000)) < 1)
})

test('an ack in the same microsecond counts as one microsecond', () => {
  deepStrictEqual(new Rtt().onSample(0, 0), 1)
})

test('a guess counts until the first sample', () => {
  const rtt = new Rtt(40_000)
  deepStrictEqual([rtt.hasSample, rtt.ptoBaseUs()], [false, 3 * 40_000 + ackDelayUsMax])
  rtt.onSample(10_000, 0)
  deepStrictEqual([rtt.smoothedUs, rtt.minUs], [10_000, 10_000])
})
