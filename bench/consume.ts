/**
 * Consumers: how fast they empty an inbox, how soon they wake, and what it costs to wait. The
 * baseline of the first is removing the same rows, one a transaction, and nothing else.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { open, type Tinymq } from '../sdk/index.ts'
import type { ArrivalsTask } from './arrivals-thread.ts'
import type { Room } from './benchmark.ts'
import { measured, type Measure } from './measure.ts'
import { quantile } from './distribution.ts'

type Way = (mq: Tinymq, onMessage: () => void) => Promise<void>

const ways: readonly (readonly [string, Way])[] = [
  ['consume', (mq, onMessage) => mq.consume(onMessage)],
  ['consume, 16 at a time', (mq, onMessage) => mq.consume(onMessage, { concurrency: 16 })],
  ['consumeInTransaction', (mq, onMessage) => mq.consumeInTransaction(onMessage)],
]

export async function measureConsume({ scratch, quick, repeats }: Room): Promise<Measure[]> {
  const rows = quick ? 5_000 : 10_000
  const runs = [removeAll, ...ways.map(([, way]) => consumeAll(way))]
  const rates: number[][] = runs.map(() => [])
  for (let repeat = 0; repeat <= repeats; repeat++) {
    for (const [at, run] of runs.entries()) {
      const rate = await run(join(scratch, `${repeat}-${at}.db`), rows)
      // The first time warms up.
      if (repeat > 0) rates[at]?.push(rate)
    }
  }
  const removed = rates[0] ?? []
  const consumed = ways.map(([name], at) =>
    measured(
      {
        what: `${name}, ${rows.toLocaleString('en-GB')} rows of 100 bytes`,
        unit: 'rows/s',
        figures: rates[at + 1] ?? [],
      },
      { what: 'removed one by one', figures: removed },
    ),
  )
  return [...consumed, ...(await measureWaiting(join(scratch, 'waiting.db'), quick))]
}

function fill(path: string, rows: number): Database.Database {
  open(path).close()
  const db = new Database(path)
  db.pragma('synchronous = FULL')
  db.exec(`
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
    INSERT INTO mqin (token, arrived_at, data) SELECT '', 1, '${'x'.repeat(100)}' FROM n`)
  db.pragma('wal_checkpoint(TRUNCATE)')
  return db
}

/** Rows a second. */
async function removeAll(path: string, rows: number): Promise<number> {
  const db = fill(path, rows)
  const remove = db.prepare('DELETE FROM mqin WHERE id = ?')
  const started = performance.now()
  for (let id = 1; id <= rows; id++) remove.run(id)
  const seconds = (performance.now() - started) / 1_000
  db.close()
  return rows / seconds
}

function consumeAll(way: Way): (path: string, rows: number) => Promise<number> {
  return async (path, rows) => {
    fill(path, rows).close()
    await using mq = open(path)
    let left = rows
    const started = performance.now()
    await way(mq, () => {
      if (--left === 0) void mq.drain()
    })
    return rows / ((performance.now() - started) / 1_000)
  }
}

async function measureWaiting(path: string, quick: boolean): Promise<Measure[]> {
  const [messages, idleMs] = quick ? [200, 3_000] : [600, 8_000]
  await using mq = open(path)
  const handled: number[] = []
  const consumed = mq.consume(() => {
    handled.push(performance.timeOrigin + performance.now())
  })
  await sleep(2_000)
  const percents: number[] = []
  for (let look = 0; look < 3; look++) {
    const before = process.cpuUsage()
    await sleep(idleMs / 3)
    const { user, system } = process.cpuUsage(before)
    percents.push(((user + system) / 1_000 / (idleMs / 3)) * 100)
  }
  const task: ArrivalsTask = { database: path, rows: messages, pauseMs: 15 }
  const url = new URL('./arrivals-thread.ts', import.meta.url)
  const [committed] = (await once(new Worker(url, { workerData: task }), 'message')) as [number[]]
  while (handled.length < messages) await sleep(5)
  await mq.drain()
  await consumed
  const latencies = handled.map((atMs, index) => atMs - (committed[index] ?? 0))
  return [
    measured({
      what: 'a waiting consumer, of a core',
      unit: '%',
      figures: percents,
      goal: { type: 'at most', of: 'figure', value: 0.5 },
    }),
    ...[0.5, 0.99].map((share) =>
      measured({
        what: `from the commit to the handler, p${share * 100}`,
        unit: 'ms',
        figures: [quantile(latencies, share)],
      }),
    ),
  ]
}
