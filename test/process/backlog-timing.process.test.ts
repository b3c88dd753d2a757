/** A backlog of a million rows. */
import { ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { open } from '../../sdk/index.ts'
import type { Machine } from '../support/machine.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const backlogRows = scaled(1_000_000)
const startMsMax = 2_000
/** Between 130 and 165 on one machine: how the allocator's arenas come to lie is chance. */
const mebibytesMax = 190

/** The most memory that the process has had in use, with all its threads. */
function peakMebibytes({ daemon }: Machine): number {
  const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8')
  return Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1]) / 1_024
}

test('P9: a million waiting rows neither slow the start nor fill the memory', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.machine('a'), await scene.running('b')]
  open(a.database).close()
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: backlogRows }))
  await a.start()
  const startMs = a.daemon.startedAtMs - a.daemon.spawnedAtMs
  await a.sentAll(400_000)
  const seconds = (Date.now() - a.daemon.startedAtMs) / 1_000
  const peaks = [a, b].map(peakMebibytes)
  checkInbox(b.database, { a: backlogRows })
  t.diagnostic(
    `${backlogRows} rows: started in ${startMs} ms, drained in ${seconds.toFixed(1)} s ` +
      `(${(backlogRows / seconds).toFixed(0)}/s); peak RSS ${peaks[0]?.toFixed(0)} MiB at the ` +
      `sender, ${peaks[1]?.toFixed(0)} MiB at the receiver`,
  )
  ok(startMs < startMsMax, `It started in ${startMs} ms.`)
  for (const peak of peaks) ok(peak < mebibytesMax, `The peak was ${peak.toFixed(0)} MiB.`)
})
