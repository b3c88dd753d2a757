/**
 * A thousand lanes of which 990 are dead: what the ten that live lose by it. Half of the dead ones
 * swallow everything, half are rejected by the system.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { freePort } from '../test/support/free-port.ts'
import { SilentAddress } from '../test/support/silent-address.ts'
import type { Room } from './benchmark.ts'
import { DaemonPair, InboxWatch } from './daemon-pair.ts'
import { measured, type Measure } from './measure.ts'

const liveLanes = 10
const deadLanes = 990
const rowsPerDeadLane = 10
/** Every dead lane has been tried at least once by then. */
const settleMs = 4_000
const rowsMax = 60_000
const data = 'x'.repeat(100)

export async function measureLanes({ scratch, repeats, rows }: Room): Promise<Measure[]> {
  const liveRows = Math.min(rows, rowsMax)
  const silentPort = await freePort()
  await using silence = new SilentAddress()
  await silence.listen({ host: '0.0.0.0', port: silentPort })
  const [alone, beside]: [number[], number[]] = [[], []]
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const none = await liveRate(join(scratch, `alone-${repeat}`), liveRows, async () => {})
    const dead = await liveRate(join(scratch, `beside-${repeat}`), liveRows, async (pair) => {
      await fillDead(pair, silentPort)
    })
    if (repeat === 0) continue
    alone.push(none)
    beside.push(dead)
  }
  return [
    measured(
      {
        what: `${liveLanes} live lanes beside ${deadLanes} dead ones`,
        unit: 'rows/s',
        figures: beside,
        goal: { type: 'at least', of: 'ratio', value: 0.9 },
      },
      { what: 'alone', figures: alone },
    ),
  ]
}

/** Rows a second over all live lanes. */
async function liveRate(
  directory: string,
  rows: number,
  before: (pair: DaemonPair) => Promise<void>,
): Promise<number> {
  await using pair = await DaemonPair.start(directory)
  await before(pair)
  await sleep(settleMs)
  const { sender, receiver } = pair
  const db = new Database(sender.database, { timeout: 5_000 })
  // Each name of this machine is a lane of its own.
  db.exec(
    `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows - 1})
     INSERT INTO mqout (host, port, token, data)
     SELECT '127.0.1.' || (1 + i % ${liveLanes}), ${receiver.port}, '', '${data}' FROM n`,
  )
  const startMs = performance.now()
  db.close()
  using inbox = new InboxWatch(receiver.database)
  const seconds = ((await inbox.reaches(rows)) - startMs) / 1_000
  inbox.expectAll(rows, { data, token: '' })
  return rows / seconds
}

/** Half of the lanes go to an address that is silent, half to one that the system rejects. */
async function fillDead({ sender }: DaemonPair, silentPort: number): Promise<void> {
  const closedPort = await freePort()
  const db = new Database(sender.database, { timeout: 5_000 })
  const rows = deadLanes * rowsPerDeadLane
  db.exec(
    `WITH RECURSIVE n (i, lane) AS
       (SELECT 0, 0 UNION ALL SELECT i + 1, (i + 1) % ${deadLanes} FROM n WHERE i < ${rows - 1})
     INSERT INTO mqout (host, port, token, data)
     SELECT '127.0.' || (2 + lane / 200) || '.' || (1 + lane % 200),
       iif(lane % 2, ${silentPort}, ${closedPort}), '', 'dead' FROM n`,
  )
  db.close()
}
