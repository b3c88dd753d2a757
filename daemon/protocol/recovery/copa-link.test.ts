/**
 * What loss detection, congestion control and pacing do together on a narrow link, in virtual time:
 * the table of goals of the design as a regression. The figures in the names are goals; what is
 * reached is usually better, and stands in the message of a failure.
 */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Copa } from './copa.ts'
import { BottleneckLink } from '../../../test/simulator/core/bottleneck-link.ts'
import {
  BulkFlow,
  type BulkFlowOptions,
  type CongestionControl,
} from '../../../test/support/bulk-flow.ts'
import { Cubic } from '../../../test/support/cubic.ts'
import { loneMessageLatenciesUs } from '../../../test/support/lone-messages.ts'
import { VirtualTime } from '../../../test/simulator/core/virtual-time.ts'

const packetBytes = 1_200
const mbit = 125_000

type Scenario = {
  readonly bytesPerSecond: number
  readonly bufferBytes: number
  readonly loss: number
  readonly seconds: number
  readonly seed?: number
  /** One for each flow. */
  readonly flows: readonly (Pick<
    BulkFlowOptions,
    'rttUs' | 'startUs' | 'jitterUs' | 'ackJitterUs' | 'keepsOrder'
  > & {
    readonly congestion?: CongestionControl
    readonly packetBytes?: number
  })[]
  /** The receiver's host is busy now and then, for up to so long. */
  readonly pauseUsMax?: number
}

type Result = {
  /** Of each flow, as a part of the link's rate without what the wire loses. */
  readonly shares: readonly number[]
  readonly sum: number
  readonly dropPart: number
  /** Packets that were sent again for nothing, as a part of all. */
  readonly spuriousPart: number
}

const pauseEveryUs = 5_000

/** Runs for a quarter of the time to warm up, and measures the rest. */
function run(scenario: Scenario): Result {
  const { bytesPerSecond, bufferBytes, loss, seconds, pauseUsMax } = scenario
  const time = new VirtualTime(scenario.seed ?? 1)
  const link = new BottleneckLink(time, { bytesPerSecond, bufferBytes, loss })
  const flows = scenario.flows.map((flow) => {
    const bytes = flow.packetBytes ?? packetBytes
    const congestion = flow.congestion ?? new Copa(bytes)
    return new BulkFlow({ ...flow, time, link, congestion, packetBytes: bytes })
  })
  if (pauseUsMax !== undefined) pauseNowAndThen(time, link, pauseUsMax)
  time.runUntil(seconds * 0.25e6)
  const before = flows.map((flow) => flow.deliveredBytes)
  link.resetCounts()
  time.runUntil(seconds * 1e6)
  const shares = flows.map((flow, i) => {
    const delivered = flow.deliveredBytes - (before[i] ?? 0)
    return delivered / (seconds * 0.75) / (bytesPerSecond * (1 - loss))
  })
  const sum = shares.reduce((total, share) => total + share, 0)
  const total = (count: (flow: BulkFlow) => number): number =>
    flows.reduce((all, flow) => all + count(flow), 0)
  const spurious = total((flow) => flow.spuriousPackets)
  const spuriousPart = spurious / total((flow) => flow.sentPackets)
  return { shares, sum, dropPart: link.dropPart, spuriousPart }
}

function pauseNowAndThen(time: VirtualTime, link: BottleneckLink, pauseUsMax: number): void {
  link.pause(time.chance() * pauseUsMax)
  time.at(time.nowUs - Math.log(1 - time.chance()) * pauseEveryUs, () =>
    pauseNowAndThen(time, link, pauseUsMax),
  )
}

/** 20 Mbit/s with a buffer of one bandwidth-delay product. */
function narrowLink(rttUs: number, loss: number, seconds = 40): Omit<Scenario, 'flows'> {
  const bytesPerSecond = 20 * mbit
  return { bytesPerSecond, bufferBytes: (bytesPerSecond * rttUs) / 1e6, loss, seconds }
}

function jain({ shares, sum }: Result): number {
  return sum ** 2 / (shares.length * shares.reduce((total, share) => total + share ** 2, 0))
}

function atLeast(figure: number, goal: number): void {
  ok(figure >= goal, `${figure.toFixed(3)} is less than ${goal}.`)
}

function atMost(figure: number, goal: number): void {
  ok(figure <= goal, `${figure.toFixed(3)} is more than ${goal}.`)
}

const goodputGoals = [
  [0, 0.97],
  [0.01, 0.95],
  [0.1, 0.93],
  [0.2, 0.9],
  [0.3, 0.85],
] as const

for (const [loss, goal] of goodputGoals) {
  test(`at 20 Mbit/s, 100 ms and ${loss * 100} % loss it carries ${goal} of what can pass`, () => {
    for (const seed of [1, 2]) {
      const flows = [{ rttUs: 100_000 }]
      atLeast(run({ ...narrowLink(100_000, loss), seed, flows }).sum, goal)
    }
  })
}

test('the goals are not for free: CUBIC carries less than a tenth at 10 % loss', () => {
  const flows = [{ rttUs: 100_000, congestion: new Cubic(packetBytes) }]
  atMost(run({ ...narrowLink(100_000, 0.1), flows }).sum, 0.1)
})

test('the link of the test can be filled: CUBIC carries all without loss', () => {
  const flows = [{ rttUs: 100_000, congestion: new Cubic(packetBytes) }]
  atLeast(run({ ...narrowLink(100_000, 0), flows }).sum, 0.97)
})

test('jitter of 10 ms with reordering leaves nine tenths at 30 % loss', () => {
  const flows = [{ rttUs: 60_000, jitterUs: 10_000 }]
  atLeast(run({ ...narrowLink(60_000, 0.3), flows }).sum, 0.9)
})

test('jitter of 30 ms with reordering leaves 95 of 100 without loss', () => {
  const flows = [{ rttUs: 60_000, jitterUs: 30_000 }]
  atLeast(run({ ...narrowLink(60_000, 0), flows }).sum, 0.95)
})

/** Each packet takes half of `rttUs` by so much more or less, each way, and overtakes others. */
function jittery(rttUs: number, byUs: number): Scenario['flows'][number] {
  return { rttUs: rttUs - 2 * byUs, jitterUs: 2 * byUs, ackJitterUs: 2 * byUs }
}

const jitterGoals = [
  [5_000, 0, 0.95],
  [20_000, 0, 0.9],
  [20_000, 0.02, 0.9],
  [20_000, 0.1, 0.85],
] as const

for (const [byUs, loss, goal] of jitterGoals) {
  const name = `50 ms by 2 × ${byUs / 1_000} ms more or less, ${loss * 100} % loss`
  test(`${name}: it carries ${goal} of what can pass and repeats next to nothing`, () => {
    for (const seed of [1, 2]) {
      const result = run({ ...narrowLink(50_000, loss), seed, flows: [jittery(50_000, byUs)] })
      atLeast(result.sum, goal)
      atMost(result.spuriousPart, 0.01)
    }
  })
}

test('on a slow path that loses three tenths, probes too short to tell do not go on and on', () => {
  for (const seed of [1, 2, 3, 4]) {
    const link = { ...narrowLink(100_000, 0.3, 60), bytesPerSecond: mbit / 2, bufferBytes: 18_000 }
    atLeast(run({ ...link, seed, flows: [{ rttUs: 100_000 }] }).sum, 0.8)
  }
})

test('100 Mbit/s of 20 ms by 2 × 5 ms more or less are filled', () => {
  const link = { ...narrowLink(20_000, 0, 20), bytesPerSecond: 100 * mbit, bufferBytes: 250_000 }
  atLeast(run({ ...link, flows: [jittery(20_000, 5_000)] }).sum, 0.9)
})

test('jitter that keeps the order leaves half', () => {
  const flows = [{ ...jittery(50_000, 20_000), keepsOrder: true }]
  atLeast(run({ ...narrowLink(50_000, 0), flows }).sum, 0.5)
})

test('four flows over jitter fill the link, and none takes it', () => {
  for (const seed of [1, 2, 3]) {
    const flows = [0, 1, 2, 3].map((i) => ({ ...jittery(50_000, 20_000), startUs: i * 500_000 }))
    const result = run({ ...narrowLink(50_000, 0), seed, flows })
    atLeast(result.sum, 0.95)
    atLeast(jain(result), 0.8)
    // Each lets a queue stand that its own lateness could explain: together they overflow it.
    atMost(result.dropPart, 0.4)
  }
})

test('ten flows that join a full queue do not overflow it for ever', () => {
  const flows = Array.from({ length: 10 }, (_, i) => ({ rttUs: 50_000, startUs: i * 450_000 }))
  const result = run({ ...narrowLink(50_000, 0), flows })
  // They share it badly; two thirds would be lost if they took overflow for the path's own loss.
  atMost(result.dropPart, 0.4)
})

for (const loss of [0, 0.1]) {
  test(`two flows share a link with ${loss * 100} % loss evenly and fill it`, () => {
    const flows = [{ rttUs: 50_000 }, { rttUs: 50_000, startUs: 500_000 }]
    const result = run({ ...narrowLink(50_000, loss), flows })
    atLeast(jain(result), 0.95)
    atLeast(result.sum, 0.95)
  })
}

/** Four flows that begin one after the other. */
function fourFlows(gapUs: number): { rttUs: number; startUs: number }[] {
  return [0, 1, 2, 3].map((i) => ({ rttUs: 50_000, startUs: i * gapUs }))
}

test('four flows share a link evenly and lose next to nothing to its buffer', () => {
  const result = run({ ...narrowLink(50_000, 0), flows: fourFlows(500_000) })
  atLeast(jain(result), 0.95)
  atMost(result.dropPart, 0.05)
})

test('four flows into a buffer of ten packets waste at most three tenths', () => {
  for (const gapUs of [500_000, 1_000_000, 2_000_000]) {
    const flows = fourFlows(gapUs)
    const result = run({ ...narrowLink(50_000, 0), bufferBytes: 10 * packetBytes, flows })
    atMost(result.dropPart, 0.3)
    atLeast(result.sum, 0.95)
  }
})

for (const rttUs of [25_000, 50_000, 100_000]) {
  test(`next to one CUBIC flow it takes 30 to 70 % of a link of ${rttUs / 1_000} ms`, () => {
    const rival = new Cubic(packetBytes)
    const flows = [{ rttUs }, { rttUs, startUs: 500_000, congestion: rival }]
    const result = run({ ...narrowLink(rttUs, 0, 60), flows })
    atLeast(result.shares[0] ?? 0, 0.3)
    atMost(result.shares[0] ?? 1, 0.7)
  })
}

/** 10 Gbit/s, 100 us. The delay of each packet varies by up to 500 us, in order, as in one host. */
function loopback(bytes: number, bufferBytes: number, seconds: number): Scenario {
  const flows = [{ rttUs: 100, jitterUs: 500, keepsOrder: true, packetBytes: bytes }]
  return { bytesPerSecond: 10_000 * mbit, bufferBytes, loss: 0, seconds, flows }
}

test('on loopback noise of scheduling does not collapse the rate of small packets', () => {
  const result = run(loopback(1_200, 200_000, 0.3))
  atLeast(result.sum, 0.2)
  atMost(result.dropPart, 0.01)
})

test('on loopback packets of 8,952 bytes carry most of 10 Gbit/s through 200 KB', () => {
  const result = run(loopback(8_952, 200_000, 1))
  atLeast(result.sum, 0.7)
  atMost(result.dropPart, 0.08)
})

test('on loopback the largest packets carry most of 10 Gbit/s, eight in a buffer', () => {
  const result = run(loopback(61_440, 8 * 61_440, 2))
  atLeast(result.sum, 0.7)
  atMost(result.dropPart, 0.08)
})

test('a receiver that is busy for up to 2 ms now and then keeps most of its rate', () => {
  const flows = [{ rttUs: 100, packetBytes: 8_952 }]
  const link = { bytesPerSecond: 2_000 * mbit, bufferBytes: 200_000, loss: 0, seconds: 2 }
  // It is busy for a sixth of the time.
  atLeast(run({ ...link, flows, pauseUsMax: 2_000 }).sum, 0.7)
})

test('chance loss of 30 % on loopback leaves more than a core can seal', () => {
  const flows = [{ rttUs: 200, jitterUs: 300, keepsOrder: true }]
  const link = { bytesPerSecond: 1_000 * mbit, bufferBytes: 200_000, loss: 0.3, seconds: 2 }
  const share = run({ ...link, flows }).sum
  // 20,000 packets a second.
  atLeast(share * link.bytesPerSecond * 0.7, 24_000_000)
})

const latencyGoals = [
  [0.1, 250_000],
  [0.3, 500_000],
  [0.5, 1_000_000],
] as const

for (const [loss, goalUs] of latencyGoals) {
  test(`at 100 ms and ${loss * 100} % loss 99 of 100 lone ones take ${goalUs / 1_000} ms`, () => {
    const path = { seed: 1, messages: 4_000, rttUs: 100_000, loss }
    const latenciesUs = loneMessageLatenciesUs(path)
    atMost(latenciesUs[Math.ceil(latenciesUs.length * 0.99)] ?? Infinity, goalUs)
  })
}

test('with one probe a timeout instead of two lone messages would miss that at 30 % loss', () => {
  const path = { seed: 1, messages: 4_000, rttUs: 100_000, loss: 0.3, probesPerTimeout: 1 }
  const latenciesUs = loneMessageLatenciesUs(path)
  atLeast(latenciesUs[Math.ceil(latenciesUs.length * 0.99)] ?? 0, 500_001)
})
