import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { addDone, commitBoundsUs, nothingDone, Tally } from './tally.ts'

test('what a transaction did counts when it is on disk, and not when it was rolled back', () => {
  const tally = new Tally()
  tally.onBegin()
  tally.onDelivered(5)
  tally.onReceived(3)
  deepEqual(tally.take(), nothingDone())
  tally.onBegin()
  tally.onDelivered(2)
  tally.onCommit(300)
  const { delivered, received, commits, commitUs } = tally.take()
  deepEqual(
    { delivered, received, commits, commitUs },
    { delivered: 2, received: 0, commits: 1, commitUs: 300 },
  )
  deepEqual(tally.take(), nothingDone())
})

test('each commit is in the class that its time belongs to, bounds included', () => {
  const tally = new Tally()
  for (const us of [0, 100, 101, 250, 1_000_000, 1_000_001]) tally.onCommit(us)
  const sum = nothingDone()
  addDone(sum, tally.take())
  deepEqual(sum.commitTimes, [2, 2, ...Array<number>(commitBoundsUs.length - 3).fill(0), 1, 1])
})
