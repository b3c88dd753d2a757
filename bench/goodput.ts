/**
 * Goodput and latency of two whole cores over a narrow, lossy link in virtual time: 20 Mbit/s, 100
 * ms round trip, a buffer of one bandwidth-delay product, independent loss both ways. The store
 * answers at once, so that the figures are the protocol's.
 */
import type { Room } from './benchmark.ts'
import { measured, type Measure } from './measure.ts'
import { quantile } from './distribution.ts'
import { VirtualPair } from './virtual-pair.ts'

const bytesPerSecond = 2_500_000
const delayUs = 50_000
const bufferBytes = 250_000

const goodputGoals = new Map([
  [0, 0.97],
  [0.01, 0.95],
  [0.1, 0.93],
  [0.2, 0.9],
  [0.3, 0.85],
])

const latencyGoals = [
  [0.1, 250],
  [0.3, 500],
] as const

export async function measureGoodput({ quick }: Room): Promise<Measure[]> {
  const seeds = quick ? [1] : [1, 2]
  const virtual = 'cores alone, virtual time'
  const shares = Array.from(goodputGoals, ([loss, value]) =>
    measured(
      {
        what: `goodput at ${Math.round(loss * 100)} % loss, ${virtual}`,
        unit: 'Mbit/s',
        figures: seeds.map((seed) => goodputShare(loss, quick ? 10 : 20, seed) * mbit(loss)),
        goal: { type: 'at least', of: 'ratio', value },
      },
      { what: 'rate × (1 − loss)', figures: [mbit(loss)] },
    ),
  )
  const latencies = latencyGoals.map(([loss, value]) =>
    measured({
      what: `one message, ${Math.round(loss * 100)} % loss, p99, ${virtual}`,
      unit: 'ms',
      figures: seeds.map((seed) =>
        quantile(messageLatenciesMs(loss, quick ? 300 : 1_000, seed), 0.99),
      ),
      goal: { type: 'at most', of: 'figure', value },
    }),
  )
  return [...shares, ...latencies]
}

/** What the link carries. */
function mbit(loss: number): number {
  return ((1 - loss) * bytesPerSecond * 8) / 1e6
}

/** Bytes of stream that arrive in order, of what the link carries, after a warm-up of 10 s. */
function goodputShare(loss: number, seconds: number, seed = 1): number {
  const pair = new VirtualPair({ seed, bytesPerSecond, bufferBytes, delayUs, loss })
  pair.offer(Infinity)
  const warmUpUs = 10_000_000
  pair.runUntil(warmUpUs)
  const before = pair.receivedBytes
  pair.runUntil(warmUpUs + seconds * 1e6)
  return (pair.receivedBytes - before) / seconds / (bytesPerSecond * (1 - loss))
}

/**
 * Of single messages of 100 bytes on an open session, each sent when the last one has been
 * confirmed.
 */
export function messageLatenciesMs(loss: number, count: number, seed = 1): number[] {
  const pair = new VirtualPair({ seed, bytesPerSecond, bufferBytes, delayUs, loss })
  const latencies: number[] = []
  pair.offer(1)
  pair.runUntil(20_000_000)
  for (let message = 0; message < count; message++) {
    const sentAtUs = pair.nowUs
    const wanted = pair.receivedBytes + 130
    pair.offer(130)
    while (pair.receivedBytes < wanted) pair.step()
    latencies.push((pair.nowUs - sentAtUs) / 1_000)
    pair.runUntil(pair.nowUs + 900_000)
  }
  return latencies
}
