/**
 * A receiver that knows ten thousand senders: what their state takes on disk and in memory, and
 * whether the start is slower for it.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import type { DaemonProcess } from '../test/support/daemon-process.ts'
import type { Room } from './benchmark.ts'
import { DaemonPair, fillOutbox, InboxWatch, memoryOf, type Member } from './daemon-pair.ts'
import { measured, type Measure } from './measure.ts'

const peers = 10_000
const settleMs = 3_000

export async function measurePeers({ scratch, repeats }: Room): Promise<Measure[]> {
  await using few = await knownPair(join(scratch, 'few'), 1)
  await using many = await knownPair(join(scratch, 'many'), peers)
  const starts = { few: [] as Start[], many: [] as Start[] }
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const [one, all] = [await startOf(few), await startOf(many)]
    if (repeat === 0) continue
    starts.few.push(one)
    starts.many.push(all)
  }
  const kilobytes = [few, many].map(({ receiver }) => statSync(receiver.database).size / 1e3)
  const [fewKb = 0, manyKb = 0] = kilobytes
  const name = `${peers.toLocaleString('en-GB')} known senders`
  return [
    measured(
      { what: `start with ${name}`, unit: 's', figures: starts.many.map(({ seconds }) => seconds) },
      { what: 'with one', figures: starts.few.map(({ seconds }) => seconds) },
    ),
    measured(
      {
        what: `resident memory with ${name}`,
        unit: 'MB',
        figures: starts.many.map(({ memoryMb }) => memoryMb),
        goal: { type: 'at most', of: 'ratio', value: 1.2 },
      },
      { what: 'with one', figures: starts.few.map(({ memoryMb }) => memoryMb) },
    ),
    measured({
      what: 'a known sender in the file',
      unit: 'KB',
      figures: [(manyKb - fewKb) / (peers - 1)],
    }),
  ]
}

/** A receiver that has been sent to by one, and whose file then has so many like it. */
async function knownPair(directory: string, senders: number): Promise<DaemonPair> {
  const pair = await DaemonPair.start(directory)
  fillOutbox(pair.sender.database, { rows: 100, port: pair.receiver.port })
  using inbox = new InboxWatch(pair.receiver.database)
  await inbox.reaches(100)
  await pair.stop(pair.sender)
  await pair.stop(pair.receiver)
  multiply(pair.receiver, senders)
  return pair
}

/**
 * Each has its row in mqsender and its identities in mquidlog, and lives at an address of its own.
 */
function multiply({ database }: Member, senders: number): void {
  const db = new Database(database)
  db.transaction(() => {
    db.prepare(
      `WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO mqsender (id, database_id, stream, key, watermark, chain, host, port, seen_at)
       SELECT n.i, randomblob(16), randomblob(16), key, watermark, chain,
         '127.' || (1 + n.i / 65536) || '.' || (n.i / 256 % 256) || '.' || (n.i % 256),
         port, seen_at
       FROM mqsender JOIN n ON mqsender.id = 1 WHERE n.i <= ?`,
    ).run(senders, senders)
    db.exec(
      `INSERT INTO mquidlog SELECT s.id, first, count, at, newest, uids
       FROM mquidlog AS l JOIN mqsender AS s ON s.id > 1 WHERE l.sender = 1`,
    )
  })()
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
}

type Start = { readonly seconds: number; readonly memoryMb: number }

async function startOf(pair: DaemonPair): Promise<Start> {
  const daemon = (await pair.start(pair.receiver)) as DaemonProcess
  await sleep(settleMs)
  const { nowMb: memoryMb } = memoryOf(daemon.pid)
  await pair.stop(pair.receiver)
  return { seconds: (daemon.startedAtMs - daemon.spawnedAtMs) / 1_000, memoryMb }
}
