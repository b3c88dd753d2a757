import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { QueueDelay } from './queue-delay.ts'

const srttUs = 100_000

/** One sample each millisecond from `fromUs` on. */
function feed(queue: QueueDelay, samplesUs: readonly number[], fromUs = 0): number {
  samplesUs.forEach((rttUs, i) => queue.onSample(rttUs, srttUs, fromUs + i * 1_000))
  return fromUs + samplesUs.length * 1_000
}

test('the standing queue is what the lowest recent RTT exceeds the lowest ever by', () => {
  const queue = new QueueDelay()
  const nextUs = feed(queue, [50_000])
  feed(queue, Array.from<number>({ length: 100 }).fill(70_000), nextUs)
  deepStrictEqual([queue.minRttUs, queue.standingRttUs, queue.queueUs], [50_000, 70_000, 20_000])
})

test('spikes of single packets are no queue', () => {
  const queue = new QueueDelay()
  feed(queue, [50_000, 90_000, 90_000, 50_500, 90_000])
  deepStrictEqual(queue.queueUs, 10)
})

test('where acks are rare, eight of them are looked at, but no more than two round trips', () => {
  const queue = new QueueDelay()
  queue.onSample(50_000, srttUs, 0)
  for (let i = 1; i <= 4; i++) queue.onSample(70_000, srttUs, i * 40_000)
  deepStrictEqual(queue.standingRttUs, 50_000)
  for (let i = 5; i <= 8; i++) queue.onSample(70_000, srttUs, i * 40_000)
  deepStrictEqual(queue.standingRttUs, 70_000)
})

test('a queue that drains below a tenth of its height is near empty', () => {
  const queue = new QueueDelay()
  const nextUs = feed(queue, [50_000, 90_000])
  deepStrictEqual(queue.isNearEmpty(0), true)
  feed(queue, Array.from<number>({ length: 100 }).fill(60_000), nextUs)
  deepStrictEqual(queue.isNearEmpty(0), false)
  deepStrictEqual(queue.isNearEmpty(20_000), true)
})

test('lateness by chance is no queue, and a queue on top of it is', () => {
  const queue = new QueueDelay()
  // Packets take 50 to 90 ms, each by a chance of its own.
  let chance = 1
  const late = (): number => {
    chance = (chance * 16_807) % 2_147_483_647
    return 50_000 + (chance / 2_147_483_647) ** 0.5 * 40_000
  }
  const few = { srttUs: 10_000 }
  const takeUs = (queueUs: number, fromUs: number): number => {
    const seen: number[] = []
    for (let i = 0; i < 1_000; i++) {
      queue.onSample(late() + queueUs, few.srttUs, fromUs + i * 1_000)
      if (i > 500) seen.push(queue.queueUs)
    }
    return seen.reduce((sum, us) => sum + us) / seen.length
  }
  ok(takeUs(0, 0) < 4_000)
  ok(takeUs(30_000, 1_000_000) > 20_000)
})

test('a queue that grows and drains is not taken for chance', () => {
  const queue = new QueueDelay()
  const wave = Array.from({ length: 1_000 }, (_, i) => 50_000 + 300 * Math.abs((i % 100) - 50))
  feed(queue, wave)
  deepStrictEqual(queue.noiseUs, 0)
})

test('on a short path a millisecond is the host’s, not a queue', () => {
  const queue = new QueueDelay()
  queue.onSample(200, 300, 0)
  for (let i = 1; i < 100; i++) queue.onSample(1_100, 300, i * 100)
  deepStrictEqual([queue.isShortPath, queue.queueUs], [true, 10])
  for (let i = 100; i < 200; i++) queue.onSample(2_200, 300, i * 100)
  deepStrictEqual(queue.queueUs, 1_000)
})

test('a path that is measured again may have become longer', () => {
  const queue = new QueueDelay()
  feed(queue, [50_000, 80_000])
  queue.onPathMeasured(80_000, 20_000_000)
  deepStrictEqual([queue.minRttUs, queue.emptySeenAtUs], [80_000, 20_000_000])
})

test('after a reset nothing is known', () => {
  const queue = new QueueDelay()
  feed(queue, [50_000, 80_000])
  queue.reset()
  deepStrictEqual([queue.hasSample, queue.minRttUs], [false, Infinity])
  feed(queue, [90_000])
  ok(queue.hasSample)
  deepStrictEqual(queue.queueUs, 10)
})
