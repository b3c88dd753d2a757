/**
 * What it means to have ten million rows waiting: for the start, for the memory, and for the rate
 * at which they leave, each against a daemon that has few or none.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { DaemonProcess } from '../test/support/daemon-process.ts'
import type { Room } from './benchmark.ts'
import { DaemonPair, fillOutbox, InboxWatch, memoryOf } from './daemon-pair.ts'
import { measured, type Measure } from './measure.ts'

const manyRows = 10_000_000
const manyRowsQuick = 400_000
/** What comes first is the session's beginning. */
const skippedRows = 20_000
const settleMs = 3_000

type Start = { readonly seconds: number; readonly memoryMb: number }
type Drain = { readonly rate: number; readonly peakMb: number }

export async function measureBacklog({ scratch, quick, repeats }: Room): Promise<Measure[]> {
  const rows = quick ? manyRowsQuick : manyRows
  const windowRows = quick ? 50_000 : 100_000
  await using many = await DaemonPair.prepare(join(scratch, 'many'))
  await using none = await DaemonPair.prepare(join(scratch, 'none'))
  buildBacklog(many, rows)
  const starts = { many: [] as Start[], none: [] as Start[] }
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const [withNone, withMany] = [await startOf(none), await startOf(many)]
    if (repeat === 0) continue
    starts.none.push(withNone)
    starts.many.push(withMany)
  }
  const few: Drain[] = []
  const all: Drain[] = []
  for (let repeat = 0; repeat < repeats; repeat++) {
    await using fresh = await DaemonPair.prepare(join(scratch, `few-${repeat}`))
    buildBacklog(fresh, skippedRows + windowRows)
    few.push(await drainWindow(fresh, windowRows))
    all.push(await drainWindow(many, windowRows))
  }
  const name = rows.toLocaleString('en-GB')
  return [
    measured(
      {
        what: `start with ${name} rows waiting`,
        unit: 's',
        figures: starts.many.map(({ seconds }) => seconds),
        goal: { type: 'at most', of: 'figure', value: 2 },
      },
      { what: 'with none', figures: starts.none.map(({ seconds }) => seconds) },
    ),
    measured(
      {
        what: `resident memory with ${name} rows waiting`,
        unit: 'MB',
        figures: starts.many.map(({ memoryMb }) => memoryMb),
        goal: { type: 'at most', of: 'ratio', value: 1.2 },
      },
      { what: 'with none', figures: starts.none.map(({ memoryMb }) => memoryMb) },
    ),
    measured(
      {
        what: `drain from ${name} rows`,
        unit: 'rows/s',
        figures: all.map(({ rate }) => rate),
        goal: { type: 'at least', of: 'ratio', value: 0.8 },
      },
      { what: `from ${windowRows.toLocaleString('en-GB')}`, figures: few.map(({ rate }) => rate) },
    ),
    measured(
      {
        what: `peak memory of that drain from ${name} rows`,
        unit: 'MB',
        figures: all.map(({ peakMb }) => peakMb),
        goal: { type: 'at most', of: 'ratio', value: 1.2 },
      },
      {
        what: `from ${windowRows.toLocaleString('en-GB')}`,
        figures: few.map(({ peakMb }) => peakMb),
      },
    ),
  ]
}

/** The file is made without its log, which would be as long as the file once more. */
function buildBacklog({ sender, receiver }: DaemonPair, rows: number): void {
  fillOutbox(sender.database, { rows: 1, port: receiver.port })
  const db = new Database(sender.database)
  db.pragma('journal_mode = OFF')
  db.pragma('synchronous = OFF')
  db.prepare(
    `WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO mqout (host, port, token, data) SELECT host, port, token, data
     FROM mqout JOIN n ON mqout.id = 1`,
  ).run(rows)
  db.pragma('journal_mode = WAL')
  db.close()
}

/** The sender alone, whose peer does not run. */
async function startOf(pair: DaemonPair): Promise<Start> {
  const daemon = (await pair.start(pair.sender)) as DaemonProcess
  await sleep(settleMs)
  const { nowMb: memoryMb } = memoryOf(daemon.pid)
  await pair.stop(pair.sender)
  return { seconds: (daemon.startedAtMs - daemon.spawnedAtMs) / 1_000, memoryMb }
}

/** Rows a second while so many more arrive, after the first ones. */
async function drainWindow(pair: DaemonPair, windowRows: number): Promise<Drain> {
  await pair.start(pair.receiver)
  await pair.start(pair.sender)
  using inbox = new InboxWatch(pair.receiver.database)
  const before = inbox.arrived
  const fromMs = await inbox.reaches(before + skippedRows)
  const from = inbox.arrived
  const toMs = await inbox.reaches(before + skippedRows + windowRows)
  const rate = (inbox.arrived - from) / ((toMs - fromMs) / 1_000)
  const { peakMb } = memoryOf(pair.pidOf(pair.sender))
  await pair.stop(pair.sender)
  await pair.stop(pair.receiver)
  return { rate, peakMb }
}
