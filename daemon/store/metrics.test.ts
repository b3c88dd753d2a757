import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { addTotals, commitBoundsUs, emptyTotals, StoreMetrics } from './metrics.ts'

test('what a transaction did counts when it is on disk, and not when it was rolled back', () => {
  const tally = new StoreMetrics()
  tally.onBegin()
  tally.onDelivered(5)
  tally.onReceived(3)
  deepEqual(tally.take(), emptyTotals())
  tally.onBegin()
  tally.onDelivered(2)
  tally.onCommit(300)
  const { delivered, received, commits, commitUs } = tally.take()
  deepEqual(
    { delivered, received, commits, commitUs },
    { delivered: 2, received: 0, commits: 1, commitUs: 300 },
  )
  deepEqual(tally.take(), emptyTotals())
})

test('each commit is in the class that its time belongs to, bounds included', () => {
  const tally = new StoreMetrics()
  for (const us of [0, 100, 101, 250, 1_000_000, 1_000_001]) tally.onCommit(us)
  const sum = emptyTotals()
  addTotals(sum, tally.take())
  deepEqual(sum.commitTimes, [2, 2, ...Array<number>(commitBoundsUs.length - 3).fill(0), 1, 1])
})
