/**
 * From the commit of an INSERT to the commit of the row in the other file, on an idle loopback
 * link, one message at a time.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { open } from '../sdk/index.ts'
import { DaemonProcess } from '../test/harness/daemon-process.ts'
import { freePort } from '../test/harness/free-port.ts'
import { quantile, type Row } from './table.ts'

export type LatencyOptions = { readonly scratch: string; readonly messages: number }

const warmUp = 20
const pauseMs = 15
// The reader sleeps so long between two looks: fine enough for milliseconds, and it leaves the
// cores to the daemons.
const lookMs = 0.1

export async function measureLatency({ scratch, messages }: LatencyOptions): Promise<Row[]> {
  const directory = join(scratch, 'latency')
  mkdirSync(directory)
  const [a, b] = [join(directory, 'a.db'), join(directory, 'b.db')]
  const [portA, portB] = [await freePort(), await freePort()]
  const daemons = [
    new DaemonProcess({ port: portA, database: a }),
    new DaemonProcess({ port: portB, database: b }),
  ]
  try {
    for (const daemon of daemons) await daemon.started()
    const samples = await sample(a, b, portB, messages)
    const fsyncs = commits(directory, messages)
    const row = (name: string, share: number, goalMs: number): Row => {
      const latency = quantile(samples, share)
      const commits = 2 * quantile(fsyncs, share)
      return {
        measure: `latency, idle loopback, ${name}`,
        figure: `${latency.toFixed(2)} ms`,
        yardstick: `two local commits ${commits.toFixed(2)} ms`,
        ratio: (latency / commits).toFixed(1),
        goal: `≤ ${goalMs} ms`,
      }
    }
    return [row('p50', 0.5, 2), row('p99', 0.99, 8)]
  } finally {
    for (const daemon of daemons) await daemon.stop()
  }
}

async function sample(a: string, b: string, port: number, messages: number): Promise<number[]> {
  using mq = open(a)
  const inbox = new Database(b, { readonly: true })
  const newest = inbox.prepare('SELECT coalesce(max(id), 0) FROM mqin').pluck()
  const nap = new Int32Array(new SharedArrayBuffer(4))
  const samples: number[] = []
  for (let message = 1; message <= warmUp + messages; message++) {
    mq.send('127.0.0.1', port, 'bench', 'x'.repeat(100))
    const committed = performance.now()
    while (newest.get() !== message) {
      if (performance.now() - committed > 30_000) throw new Error('A message does not arrive.')
      Atomics.wait(nap, 0, 0, lookMs)
    }
    if (message > warmUp) samples.push(performance.now() - committed)
    await sleep(pauseMs * (0.5 + Math.random()))
  }
  inbox.close()
  return samples
}

/** Milliseconds of one synced commit of one row. */
function commits(directory: string, count: number): number[] {
  const database = new Database(join(directory, 'commit.db'))
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec('CREATE TABLE t (data TEXT)')
  const insert = database.prepare('INSERT INTO t (data) VALUES (?)')
  const samples: number[] = []
  for (let row = 0; row < count; row++) {
    const started = performance.now()
    insert.run('x'.repeat(100))
    samples.push(performance.now() - started)
  }
  database.close()
  return samples
}
