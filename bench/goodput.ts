/**
 * Goodput and latency of two whole cores over a narrow, lossy link in virtual time: 20 Mbit/s, 100
 * ms round trip, a buffer of one bandwidth-delay product, independent loss both ways. The store
 * answers at once, so that the figures are the protocol's.
 */
import { quantile, type Row } from './table.ts'
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

export async function measureGoodput({ quick }: { readonly quick: boolean }): Promise<Row[]> {
  const rows: Row[] = []
  for (const [loss, goal] of goodputGoals) {
    const share = goodputShare(loss, quick ? 10 : 30)
    rows.push({
      measure: `goodput, 20 Mbit/s, 100 ms, ${Math.round(loss * 100)} % loss`,
      figure: `${((share * (1 - loss) * bytesPerSecond * 8) / 1e6).toFixed(2)} Mbit/s`,
      yardstick: 'rate × (1 − loss)',
      ratio: share.toFixed(2),
      goal: `≥ ${goal.toFixed(2)}`,
    })
  }
  for (const [loss, goalMs] of [
    [0.1, 250],
    [0.3, 500],
  ] as const) {
    const p99 = quantile(messageLatenciesMs(loss, quick ? 300 : 2_000), 0.99)
    rows.push({
      measure: `one message, RTT 100 ms, ${Math.round(loss * 100)} % loss, p99`,
      figure: `${p99.toFixed(0)} ms`,
      yardstick: 'one way 50 ms',
      ratio: (p99 / 50).toFixed(1),
      goal: `≤ ${goalMs} ms`,
    })
  }
  return rows
}

/** Bytes of stream that arrive in order, of what the link carries, after a warm-up of 10 s. */
export function goodputShare(loss: number, seconds: number, seed = 1): number {
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
