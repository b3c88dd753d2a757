/**
 * Puts rows into an inbox as a daemon does, one synced commit each with a pause between, and shows
 * when each commit had returned: monotonic milliseconds of the process.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'

export type ArrivalsTask = {
  readonly database: string
  readonly rows: number
  readonly pauseMs: number
}

const { database, rows, pauseMs } = workerData as ArrivalsTask
const db = new Database(database, { timeout: 5_000 })
db.pragma('synchronous = FULL')
const insert = db.prepare("INSERT INTO mqin (token, arrived_at, data) VALUES ('', 1, ?)")
const committed: number[] = []
for (let row = 0; row < rows; row++) {
  await sleep(pauseMs * (0.5 + Math.random()))
  insert.run('x'.repeat(100))
  committed.push(performance.timeOrigin + performance.now())
}
db.close()
parentPort?.postMessage(committed, [])
