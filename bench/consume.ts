/**
 * Consumers: how fast they empty an inbox, how soon they wake, and what it costs to wait. The
 * yardstick of the first is removing the same rows, one a transaction, and nothing else.
 */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { open, type Tinymq } from '../sdk/index.ts'
import type { ArrivalsTask } from './arrivals-thread.ts'
import { perSecond, quantile, type Row } from './table.ts'

export type ConsumeBenchOptions = {
  readonly scratch: string
  readonly rows: number
  readonly messages: number
  readonly idleMs: number
}

type Way = (mq: Tinymq, onMessage: () => void) => Promise<void>

const ways: readonly (readonly [string, Way])[] = [
  ['consume', (mq, onMessage) => mq.consume(onMessage)],
  ['consume, 16 at a time', (mq, onMessage) => mq.consume(onMessage, { concurrency: 16 })],
  ['consumeInTransaction', (mq, onMessage) => mq.consumeInTransaction(onMessage)],
]

export async function measureConsume(options: ConsumeBenchOptions): Promise<Row[]> {
  const directory = join(options.scratch, 'consume')
  mkdirSync(directory)
  const yardstick = removeAll(join(directory, 'removed.db'), options.rows)
  const rows: Row[] = []
  for (const [at, [name, way]] of ways.entries()) {
    const rate = await consumeAll(join(directory, `${at}.db`), options.rows, way)
    rows.push({
      measure: `${name}, ${options.rows.toLocaleString('en-GB')} rows of 100 bytes`,
      figure: perSecond(rate),
      yardstick: `removed one by one ${perSecond(yardstick)}`,
      ratio: (rate / yardstick).toFixed(2),
      goal: '',
    })
  }
  return [...rows, ...(await measureWaiting(join(directory, 'waiting.db'), options))]
}

function fill(path: string, rows: number): Database.Database {
  open(path).close()
  const db = new Database(path)
  db.exec(`
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
    INSERT INTO mqin (token, arrived_at, data) SELECT '', 1, '${'x'.repeat(100)}' FROM n`)
  db.pragma('wal_checkpoint(TRUNCATE)')
  return db
}

/** Rows a second. */
function removeAll(path: string, rows: number): number {
  const db = fill(path, rows)
  const remove = db.prepare('DELETE FROM mqin WHERE id = ?')
  const started = performance.now()
  for (let id = 1; id <= rows; id++) remove.run(id)
  const seconds = (performance.now() - started) / 1_000
  db.close()
  return rows / seconds
}

async function consumeAll(path: string, rows: number, way: Way): Promise<number> {
  fill(path, rows).close()
  await using mq = open(path)
  let left = rows
  const started = performance.now()
  await way(mq, () => {
    if (--left === 0) void mq.drain()
  })
  return rows / ((performance.now() - started) / 1_000)
}

async function measureWaiting(
  path: string,
  { messages, idleMs }: ConsumeBenchOptions,
): Promise<Row[]> {
  await using mq = open(path)
  const handled: number[] = []
  const consumed = mq.consume(() => {
    handled.push(performance.timeOrigin + performance.now())
  })
  await sleep(2_000)
  const before = process.cpuUsage()
  await sleep(idleMs)
  const { user, system } = process.cpuUsage(before)
  const percent = ((user + system) / 1_000 / idleMs) * 100
  const task: ArrivalsTask = { database: path, rows: messages, pauseMs: 15 }
  const url = new URL('arrivals-thread.ts', import.meta.url)
  const [committed] = (await once(new Worker(url, { workerData: task }), 'message')) as [number[]]
  while (handled.length < messages) await sleep(5)
  await mq.drain()
  await consumed
  const latencies = handled.map((atMs, index) => atMs - (committed[index] ?? 0))
  const row = (measure: string, figure: string, goal: string): Row => ({
    measure,
    figure,
    yardstick: '',
    ratio: '',
    goal,
  })
  return [
    row('a waiting consumer', `${percent.toFixed(2)} % of a core`, '< 0.5 %'),
    ...[0.5, 0.99].map((share) =>
      row(
        `from the commit to the handler, p${share * 100}`,
        `${quantile(latencies, share).toFixed(2)} ms`,
        'milliseconds',
      ),
    ),
  ]
}
