/**
 * How fast a backlog moves between two daemons on loopback, against copying the same rows locally.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { open } from '../sdk/index.ts'
import type { Room } from './benchmark.ts'
import { DaemonPair, InboxWatch, type Launch } from './daemon-pair.ts'
import { copyLocally } from './local-copy.ts'
import { measured, type Measure } from './measure.ts'

type DrainSettings = {
  readonly launch?: Launch
  /** The daemons run, and there is nothing to do yet. */
  readonly onStarted?: () => Promise<void>
  readonly onBegin?: () => void
  readonly onEnd?: () => void
  /** The last row has come, and the daemons run still. */
  readonly onDone?: () => Promise<void>
  readonly token?: (row: number) => string
}

const data = 'x'.repeat(100)
const warmUpPart = 10

export async function measureDrain({ scratch, rows, repeats }: Room): Promise<Measure[]> {
  const drains: number[] = []
  const copies: number[] = []
  const warmUp = Math.ceil(rows / warmUpPart)
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const directory = join(scratch, `drain-${repeat}`)
    mkdirSync(directory)
    const count = repeat === 0 ? warmUp : rows
    const copied = copyLocally(directory, count, data)
    const drained = await drain(directory, count)
    if (repeat === 0) continue
    copies.push(copied)
    drains.push(drained)
  }
  return [
    measured(
      {
        what: `drain of ${rows.toLocaleString('en-GB')} rows of 100 bytes`,
        unit: 'rows/s',
        figures: drains,
        goal: { type: 'at least', of: 'ratio', value: 0.6 },
      },
      { what: 'local copy', figures: copies },
    ),
  ]
}

/** Rows per second, from the commit that brings the backlog to the last row in the other file. */
export async function drain(
  directory: string,
  rows: number,
  settings: DrainSettings = {},
): Promise<number> {
  const { launch, token = () => 'bench' } = settings
  await using pair = await DaemonPair.start(directory, launch)
  await settings.onStarted?.()
  using mq = open(pair.sender.database)
  const { port } = pair.receiver
  mq.sendMany(
    Array.from({ length: rows }, (_, row) => ({
      host: '127.0.0.1',
      port,
      token: token(row),
      data,
    })),
  )
  const startMs = performance.now()
  settings.onBegin?.()
  using inbox = new InboxWatch(pair.receiver.database)
  const seconds = ((await inbox.reaches(rows)) - startMs) / 1_000
  settings.onEnd?.()
  inbox.expectAll(rows, { data })
  await settings.onDone?.()
  return rows / seconds
}
