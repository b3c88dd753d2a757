import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Copa, type PacketsAcked } from './copa.ts'

const packetBytes = 1_200
const minRttUs = 100_000

/** Acks one packet a millisecond; the path delivers what is asked for. */
class Acks {
  readonly congestion: Copa
  nowUs = 1_000_000
  #deliveredBytes = 0

  constructor(congestion: Copa) {
    this.congestion = congestion
  }

  feed(count: number, rttUs: number | undefined, changes?: Partial<PacketsAcked>): void {
    const interval = rttUs ?? minRttUs
    for (let i = 0; i < count; i++) {
      this.nowUs += 1_000
      this.#deliveredBytes += packetBytes
      this.congestion.onPacketsAcked({
        nowUs: this.nowUs,
        ackedBytes: packetBytes,
        ackedPackets: 1,
        inFlightBytes: this.congestion.windowBytes(),
        smoothedRttUs: interval,
        rttSampleUs: rttUs,
        rateSample: {
          bytesPerSecond: packetBytes * 1_000,
          intervalUs: interval,
          priorDeliveredBytes: this.#deliveredBytes - (packetBytes * interval) / 1_000,
          deliveredBytes: this.#deliveredBytes,
          isAppLimited: false,
        },
        ...changes,
      })
    }
  }

  lose(count: number): void {
    this.congestion.onPacketsLost({
      nowUs: this.nowUs,
      lostPackets: count,
      newestSentAtUs: this.nowUs - minRttUs,
    })
  }
}

function acksOf(...args: ConstructorParameters<typeof Copa>): Acks {
  return new Acks(new Copa(...args))
}

test('it begins with ten packets and without pacing', () => {
  const congestion = new Copa(packetBytes)
  deepStrictEqual(congestion.windowBytes(), 12_000)
  deepStrictEqual(congestion.pacingBytesPerSecond(), Infinity)
})

test('large packets begin with two of them', () => {
  deepStrictEqual(new Copa(61_440).windowBytes(), 122_880)
})

test('while no queue builds up the window doubles in each round trip', () => {
  const acks = acksOf(packetBytes)
  acks.feed(1, minRttUs)
  deepStrictEqual(acks.congestion.windowBytes(), 24_000)
  acks.feed(100, minRttUs)
  deepStrictEqual(acks.congestion.windowBytes(), 48_000)
})

test('a queue ends the doubling and shrinks the window', () => {
  const acks = acksOf(packetBytes)
  acks.feed(350, minRttUs)
  const before = acks.congestion.windowBytes()
  acks.feed(1_500, minRttUs + 80_000, { inFlightBytes: 0 })
  ok(acks.congestion.windowBytes() < 0.8 * before)
})

test('a window that is not used does not grow', () => {
  const acks = acksOf(packetBytes)
  acks.feed(300, minRttUs, { inFlightBytes: 0 })
  deepStrictEqual(acks.congestion.windowBytes(), 12_000)
})

test('loss by chance leaves the window alone', () => {
  const acks = acksOf(packetBytes)
  acks.feed(200, minRttUs)
  let highest = 0
  let rounds = 0
  for (let i = 0; i < 200; i++) {
    acks.lose(6)
    acks.feed(14, minRttUs, { inFlightBytes: Math.min(acks.congestion.windowBytes(), 60_000) })
    // While the path is probed, to learn whether the loss is its own, the window is smaller.
    if (acks.congestion.windowBytes() < highest) continue
    highest = acks.congestion.windowBytes()
    rounds++
  }
  ok(rounds > 150, `${rounds}`)
  ok(acks.congestion.windowBytes() >= highest)
})

test('loss that comes with a queue cuts the window', () => {
  const acks = acksOf(packetBytes)
  acks.feed(100, minRttUs)
  // A queue has ended slow start; then rounds without one show that the path loses nothing.
  acks.feed(50, minRttUs + 60_000)
  acks.feed(500, minRttUs)
  const before = acks.congestion.windowBytes()
  for (let i = 0; i < 120; i++) {
    acks.lose(5)
    acks.feed(5, minRttUs + 30_000, { inFlightBytes: 0 })
  }
  ok(acks.congestion.windowBytes() <= before / 2)
})

test('the rate stays within one and a half times what the path delivered', () => {
  const acks = acksOf(packetBytes)
  acks.feed(100, minRttUs)
  acks.feed(50, minRttUs + 60_000)
  acks.feed(3_000, minRttUs)
  ok(acks.congestion.pacingBytesPerSecond() <= 1.5 * packetBytes * 1_000 + 1)
})

test('an operator’s limit bounds the rate, also before the path is known', () => {
  const acks = acksOf(packetBytes, { bytesPerSecondMax: 50_000 })
  deepStrictEqual(acks.congestion.pacingBytesPerSecond(), 50_000)
  acks.feed(500, minRttUs)
  deepStrictEqual(acks.congestion.pacingBytesPerSecond(), 50_000)
})

test('acks without an RTT sample count as delivered and say nothing of the queue', () => {
  const acks = acksOf(packetBytes)
  acks.feed(300, undefined)
  deepStrictEqual(acks.congestion.pacingBytesPerSecond(), Infinity)
  acks.feed(300, minRttUs)
  const before = acks.congestion.windowBytes()
  acks.feed(20, undefined)
  ok(acks.congestion.windowBytes() >= before)
})

test('after an idle time the path is learnt again from ten packets', () => {
  const acks = acksOf(packetBytes)
  acks.feed(500, minRttUs)
  ok(acks.congestion.windowBytes() > 12_000)
  acks.congestion.onIdle()
  deepStrictEqual(acks.congestion.windowBytes(), 12_000)
  deepStrictEqual(acks.congestion.pacingBytesPerSecond(), Infinity)
  acks.feed(1, 2 * minRttUs)
  deepStrictEqual(acks.congestion.windowBytes(), 24_000)
})

test('idle time does not widen a small window', () => {
  const acks = acksOf(packetBytes)
  acks.feed(10, minRttUs)
  acks.congestion.onPersistentCongestion()
  acks.congestion.onIdle()
  deepStrictEqual(acks.congestion.windowBytes(), 4_800)
})

test('an outage leaves four packets, and the window doubles again from there', () => {
  const acks = acksOf(packetBytes)
  acks.feed(500, minRttUs)
  acks.congestion.onPersistentCongestion()
  deepStrictEqual(acks.congestion.windowBytes(), 4_800)
  acks.feed(101, minRttUs)
  deepStrictEqual(acks.congestion.windowBytes(), 19_200)
})

test('a path that has not looked empty for ten seconds is emptied for a moment', () => {
  const acks = acksOf(packetBytes)
  acks.feed(100, minRttUs)
  let lowest = Infinity
  let seconds = 0
  for (; seconds < 12; seconds++) {
    for (let i = 0; i < 100; i++) {
      acks.feed(10, minRttUs + 20_000)
      if (seconds >= 9) lowest = Math.min(lowest, acks.congestion.windowBytes())
    }
  }
  // Half of what the path holds.
  ok(lowest <= 0.5 * packetBytes * 1_000 * 0.121)
})

test('a larger packet size raises the window to what that size needs', () => {
  const congestion = new Copa(packetBytes)
  congestion.onPacketSizeChanged(61_440)
  deepStrictEqual(congestion.windowBytes(), 122_880)
})

test('on loopback the window never falls below eight packets and 32 KB', () => {
  const acks = acksOf(packetBytes)
  acks.feed(1, 100)
  acks.congestion.onPersistentCongestion()
  deepStrictEqual(acks.congestion.windowBytes(), 32_768)
  acks.congestion.onPacketSizeChanged(61_440)
  deepStrictEqual(acks.congestion.windowBytes(), 8 * 61_440)
})
