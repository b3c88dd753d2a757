/**
 * How fast a backlog moves between two daemons on loopback, against copying the same rows locally.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { open } from '../sdk/index.ts'
import { DaemonProcess } from '../test/harness/daemon-process.ts'
import { freePort } from '../test/harness/free-port.ts'
import { copyLocally } from './local-copy.ts'
import { median, perSecond, type Row } from './table.ts'

export type DrainOptions = {
  readonly scratch: string
  readonly rows: number
  readonly repeats: number
}

/** A daemon in a process of its own, whatever it is. */
export type Drainer = Pick<DaemonProcess, 'pid' | 'started'> & { stop(): Promise<unknown> }

export type DrainSettings = {
  readonly launch?: (port: number, database: string) => Drainer
  /** The daemons run, and there is nothing to do yet. */
  readonly onStarted?: () => Promise<void>
  readonly onBegin?: () => void
  readonly onEnd?: () => void
  /** The last row has come, and the daemons run still. */
  readonly onDone?: () => Promise<void>
  readonly token?: (row: number) => string
}

function launchDaemon(port: number, database: string): Drainer {
  return new DaemonProcess({ port, database })
}

const data = 'x'.repeat(100)
const deadlineMs = 600_000

export async function measureDrain({ scratch, rows, repeats }: DrainOptions): Promise<Row[]> {
  const drains: number[] = []
  const copies: number[] = []
  for (let repeat = 0; repeat < repeats; repeat++) {
    const directory = join(scratch, `drain-${repeat}`)
    mkdirSync(directory)
    copies.push(copyLocally(directory, rows, data))
    drains.push(await drain(directory, rows))
  }
  const ratio = median(drains.map((rate, index) => rate / (copies[index] ?? Infinity)))
  return [
    {
      measure: `drain ${rows.toLocaleString('en-GB')} rows of 100 bytes`,
      figure: perSecond(median(drains)),
      yardstick: `local copy ${perSecond(median(copies))}`,
      ratio: ratio.toFixed(2),
      goal: '≥ 0.60',
    },
  ]
}

/** Rows per second, from the commit that brings the backlog to the last row in the other file. */
export async function drain(
  directory: string,
  rows: number,
  settings: DrainSettings = {},
): Promise<number> {
  const { launch = launchDaemon, token = () => 'bench' } = settings
  const [a, b] = [join(directory, 'a.db'), join(directory, 'b.db')]
  const [portA, portB] = [await freePort(), await freePort()]
  const daemons = [launch(portA, a), launch(portB, b)]
  try {
    for (const daemon of daemons) await daemon.started()
    await settings.onStarted?.()
    using mq = open(a)
    mq.sendMany(
      Array.from({ length: rows }, (_, row) => ({
        host: '127.0.0.1',
        port: portB,
        token: token(row),
        data,
      })),
    )
    const started = performance.now()
    settings.onBegin?.()
    const inbox = new Database(b, { readonly: true })
    const newest = inbox.prepare('SELECT coalesce(max(id), 0) FROM mqin').pluck()
    while (newest.get() !== rows) {
      if (performance.now() - started > deadlineMs) throw new Error('The drain does not end.')
      await sleep(5)
    }
    const seconds = (performance.now() - started) / 1_000
    settings.onEnd?.()
    inbox.close()
    await settings.onDone?.()
    return rows / seconds
  } finally {
    for (const daemon of daemons) await daemon.stop()
  }
}
