/**
 * A program that consumes an inbox, for tests that kill it: `consumer-program.ts JSON`. It writes
 * down when each handler begins and ends, in a file of its own that survives it.
 */
import { openSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../../sdk/index.ts'

export type ConsumerTask = {
  readonly database: string
  /** Gets a line for each beginning (`b`) and each end (`e`): kind, id, monotonic nanoseconds. */
  readonly log: string
  /** In a transaction, `id` of each message is also inserted into the table `effect`. */
  readonly kind: 'consume' | 'transaction'
  /** What its handlers do: work for a few milliseconds, or never return. */
  readonly work: 'short' | 'endless'
  readonly concurrency: number
  readonly leaseMs: number
}

const task = JSON.parse(process.argv[2] ?? '{}') as ConsumerTask
const { concurrency, leaseMs } = task
const log = openSync(task.log, 'a')
const workMsMax = 4

function note(kind: 'b' | 'e', id: number): void {
  writeSync(log, `${kind} ${id} ${process.hrtime.bigint()}\n`)
}

await using mq = open(task.database)
if (task.kind === 'consume') {
  await mq.consume(
    async ({ id }) => {
      note('b', id)
      await sleep(task.work === 'endless' ? 1e9 : Math.random() * workMsMax)
      note('e', id)
    },
    { concurrency, leaseMs },
  )
} else {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  await mq.consumeInTransaction(
    ({ id }, db) => {
      note('b', id)
      db.prepare('INSERT INTO effect (id) VALUES (?)').run(id)
      if (task.work === 'endless') Atomics.wait(pause, 0, 0)
      note('e', id)
    },
    { leaseMs },
  )
}
