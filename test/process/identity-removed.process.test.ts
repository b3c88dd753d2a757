/** Databases that are removed, on real files. */
import { equal, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { removals } from '../support/copies.ts'
import { checkInbox, insertNumbered, range } from '../support/numbered.ts'
import { TestEnvironment } from '../support/test-environment.ts'

/** A daemon whose database is removed. */
const ends = { mayEndWith: 66 }
const databaseIdSql = "SELECT hex(value) FROM mqmeta WHERE key = 'database_id';"

for (const [how, remove] of Object.entries(removals)) {
  test(`P3, P10: a receiver's database removed ${how}: PEER_REPLACED`, async (t) => {
    const scene = new TestEnvironment(t)
    const [a, b] = [await scene.running('a', ends), await scene.running('b', ends)]
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
    await a.sentAll(10_000)
    a.daemon.signal('SIGSTOP')
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 20 }))

    await remove(b)
    a.daemon.signal('SIGCONT')
    await a.sentAll(20_000)
    checkInbox(b.database, { a: range(11, 20) })
    equal(await a.sql('SELECT code FROM mqevent;'), 'PEER_REPLACED')
    equal(await a.sql("SELECT event FROM mqpeers WHERE direction = 'out';"), 'PEER_REPLACED')
    await a.logs('PEER_REPLACED')
  })

  test(`P3, P10: a sender's database removed ${how}: another sender`, async (t) => {
    const scene = new TestEnvironment(t)
    const [a, b] = [await scene.running('a', ends), await scene.running('b', ends)]
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
    await a.sentAll(10_000)
    const databaseId = await a.sql(databaseIdSql)
    await b.daemon.stop()
    await a.sql(insertNumbered({ sender: 'gone', to: b, first: 1, last: 10 }))

    await remove(a)
    notEqual(await a.sql(databaseIdSql), databaseId)
    await a.sql(insertNumbered({ sender: 'again', to: b, first: 1, last: 10 }))
    await b.start()
    await a.sentAll(20_000)
    checkInbox(b.database, { a: 10, again: 10 })
    equal(await b.sql('SELECT count(DISTINCT database_id) FROM mqsender;'), '2')
    const mistaken = "SELECT count(*) FROM mqevent WHERE code GLOB 'SELF_*' OR code GLOB 'PEER_*';"
    equal(await a.sql(mistaken), '0')
  })
}
