/** Databases that are replaced by older copies of themselves, on real files. */
import { equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { copyDatabase, restorings } from '../support/copies.ts'
import type { Machine } from '../support/machine.ts'
import { needs } from '../support/needs.ts'
import { checkInbox, insertNumbered, range } from '../support/numbered.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'

// Fewer, and the drain is over before the restore.
const drainRows = Math.max(8_000, scaled(30_000))

/** The operator learns of it in the log, in mqevent and in mqpeers. Resolves with the detail. */
async function reported(machine: Machine, code: string): Promise<string> {
  const detail = await machine.shows(`SELECT detail FROM mqevent WHERE code = '${code}';`, /./)
  const inPeers = "SELECT event, event_at FROM mqpeers WHERE direction = 'out';"
  match(await machine.sql(inPeers), new RegExp(`^${code}\\|20\\d\\d-`))
  await machine.logs(code)
  return detail
}

for (const [how, restore] of Object.entries(restorings)) {
  const skip = how.includes('.restore') && needs('sqlite3')

  test(`P3, P10: a sender restored ${how}: SELF_ROLLED_BACK`, { skip }, async (t) => {
    const scene = new TestEnvironment(t)
    const [a, b] = [await scene.running('a'), await scene.running('b')]
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
    await a.sentAll(10_000)
    await b.daemon.stop()
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 15 }))
    const copy = await copyDatabase(a)
    await b.start()
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 16, last: 20 }))
    await a.sentAll(10_000)
    await b.daemon.stop()

    await restore(a, copy)
    equal(await a.sql('SELECT count(*) FROM mqout;'), '5')
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 101, last: 110 }))
    await b.start()
    await a.sentAll(20_000)
    checkInbox(b.database, { a: [...range(1, 20), ...range(101, 110)] })
    t.diagnostic(await reported(a, 'SELF_ROLLED_BACK'))
    equal(await a.sql('PRAGMA integrity_check;'), 'ok')
  })

  test(`P1, P10: a quiet sender restored ${how}: what is new goes at once`, { skip }, async (t) => {
    const scene = new TestEnvironment(t)
    const [a, b] = [await scene.running('a'), await scene.running('b')]
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
    await a.sentAll(10_000)
    const copy = await copyDatabase(a)
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 20 }))
    await a.sentAll(10_000)

    await restore(a, copy)
    // Fewer than were sent since the copy: all their ids were given before.
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 21, last: 25 }))
    await a.sentAll(10_000)
    checkInbox(b.database, { a: 25 })
    t.diagnostic(await reported(a, 'SELF_ROLLED_BACK'))
  })

  test(`P10: a receiver restored ${how}: PEER_ROLLED_BACK with the rows`, { skip }, async (t) => {
    const scene = new TestEnvironment(t)
    const [a, b] = [await scene.running('a'), await scene.running('b')]
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
    await a.sentAll(10_000)
    const copy = await copyDatabase(b)
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 20 }))
    await a.sentAll(10_000)
    // Rows wait while it happens.
    a.daemon.signal('SIGSTOP')
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 21, last: 30 }))

    await restore(b, copy)
    a.daemon.signal('SIGCONT')
    await a.sentAll(20_000)
    checkInbox(b.database, { a: [...range(1, 10), ...range(21, 30)] })
    const detail = await reported(a, 'PEER_ROLLED_BACK')
    t.diagnostic(detail)
    match(detail, /mqout\.id 11-20[:.]/)
    equal(await b.sql('PRAGMA integrity_check;'), 'ok')
  })

  test(
    `P3, P4, P10: a sender restored in mid-drain ${how}: nothing lost or duplicated`,
    { skip },
    async (t) => {
      const scene = new TestEnvironment(t)
      const [a, b] = [await scene.running('a'), await scene.machine('b')]
      await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: drainRows, bytes: 500 }))
      const copy = await copyDatabase(a)
      await b.start()
      await b.shows(`SELECT count(*) > ${drainRows / 4} FROM mqin;`, /^1$/)

      await restore(a, copy)
      await a.sql(insertNumbered({ sender: 'again', to: b, first: 1, last: 10 }))
      await a.sentAll(60_000)
      checkInbox(b.database, { a: drainRows, again: 10 })
      const events = await a.sql("SELECT code FROM mqevent WHERE code GLOB 'SELF_*';")
      t.diagnostic(events.replaceAll('\n', ', '))
      match(events, /^SELF_(?:ROLLED_BACK|FORKED)$/)
      equal(await a.sql('PRAGMA integrity_check;'), 'ok')
    },
  )

  test(
    `P3, P4, P10: a receiver restored in mid-drain ${how}: the loss is listed`,
    { skip },
    async (t) => {
      const scene = new TestEnvironment(t)
      const [a, b] = [await scene.running('a'), await scene.running('b')]
      await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 1_000 }))
      await a.sentAll(10_000)
      const copy = await copyDatabase(b)
      const last = 1_000 + drainRows
      await a.sql(insertNumbered({ sender: 'a', to: b, first: 1_001, last, bytes: 500 }))
      await b.shows(`SELECT count(*) > ${1_000 + drainRows / 4} FROM mqin;`, /^1$/)

      await restore(b, copy)
      await a.sentAll(60_000)
      const detail = await reported(a, 'PEER_ROLLED_BACK')
      const lost = listedIds(detail)
      t.diagnostic(`${lost.size} of ${last} are lost, and listed`)
      checkInbox(b.database, { a: range(1, last).filter((number) => !lost.has(number)) })
      equal(await b.sql('PRAGMA integrity_check;'), 'ok')
    },
  )
}

/** The ids in what an event says: `mqout.id 4-6, 9`. */
function listedIds(detail: string): ReadonlySet<number> {
  const [, list = ''] = /mqout\.id ([\d, -]+)/.exec(detail) ?? []
  return new Set(
    list.split(', ').flatMap((part) => {
      const [first = Number.NaN, last = first] = part.split('-').map(Number)
      return range(first, last)
    }),
  )
}
