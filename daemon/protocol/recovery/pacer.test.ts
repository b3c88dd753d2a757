import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Pacer } from './send-controller.ts'

const packetBytes = 1_200

function pacerOf(bytesPerSecond: number): Pacer {
  const pacer = new Pacer(packetBytes)
  pacer.onRateChanged(bytesPerSecond, 0)
  return pacer
}

/** Sends all that may leave at once; returns how many packets that was. */
function burst(pacer: Pacer, nowUs: number): number {
  let packets = 0
  for (; packets < 10_000 && pacer.delayUntilUs(nowUs) === nowUs; packets++) {
    pacer.onSent(packetBytes, nowUs)
  }
  return packets
}

test('before a rate is known nothing waits', () => {
  const pacer = new Pacer(packetBytes)
  deepStrictEqual(burst(pacer, 0), 10_000)
})

test('ten packets leave at once, the next waits for its credit', () => {
  const pacer = pacerOf(120_000)
  deepStrictEqual(burst(pacer, 0), 10)
  deepStrictEqual(pacer.delayUntilUs(0), 10_000)
  deepStrictEqual(pacer.delayUntilUs(8_000), 10_000)
  deepStrictEqual(pacer.delayUntilUs(9_001), 9_001)
})

test('what is due within a millisecond leaves now, and its debt is carried', () => {
  const pacer = pacerOf(2_400_000)
  // 500 us a packet: ten of credit, and two within the millisecond to come.
  deepStrictEqual(burst(pacer, 0), 12 - 1)
  deepStrictEqual(burst(pacer, 1_000), 2)
})

test('a fast rate may burst two milliseconds of it', () => {
  const pacer = pacerOf(120_000_000)
  const packets = burst(pacer, 0)
  ok(packets >= 200 && packets <= 300)
})

test('a pause saves up no more than one burst', () => {
  const pacer = pacerOf(120_000)
  burst(pacer, 0)
  deepStrictEqual(burst(pacer, 60_000_000), 10)
})

test('over a second the rate is kept, whatever the timer’s grain', () => {
  for (const grainUs of [100, 1_100, 4_000]) {
    const pacer = pacerOf(2_500_000)
    let packets = 0
    for (let nowUs = 0; nowUs < 1_000_000; nowUs += grainUs) packets += burst(pacer, nowUs)
    ok(Math.abs(packets * packetBytes - 2_500_000) < 20_000)
  }
})

test('a rate that falls takes saved credit back to its own burst', () => {
  const pacer = pacerOf(120_000_000)
  pacer.onRateChanged(120_000, 0)
  deepStrictEqual(burst(pacer, 0), 10)
})

test('larger packets burst by their own size', () => {
  const pacer = pacerOf(120_000)
  pacer.onPacketSizeChanged(9_000)
  deepStrictEqual(pacer.delayUntilUs(0), 0)
  pacer.onSent(9_000, 0)
  deepStrictEqual(pacer.delayUntilUs(0), 50_000)
})
