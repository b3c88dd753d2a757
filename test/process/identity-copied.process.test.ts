/** Databases that are copied to a third machine while rows wait, on real files. */
import { equal, match } from 'node:assert/strict'
import { copyFileSync } from 'node:fs'
import { test } from 'node:test'
import { copyDatabase } from '../support/copies.ts'
import { checkInbox, insertNumbered, range } from '../support/numbered.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { until } from '../support/until.ts'

test('P3, P10: two copies of a sender with the same waiting rows deliver them once', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b, c] = [await scene.running('a'), await scene.running('b'), await scene.machine('c')]
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
  await a.sentAll(10_000)
  await b.daemon.stop()
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 20 }))
  copyFileSync(await copyDatabase(a), c.database)
  await c.start()
  await b.start()
  await Promise.all([a.sentAll(30_000), c.sentAll(30_000)])
  checkInbox(b.database, { a: 20 })

  await a.sql(insertNumbered({ sender: 'a', to: b, first: 21, last: 30 }))
  await a.sentAll(30_000)
  await c.sql(insertNumbered({ sender: 'c', to: b, first: 1, last: 10 }))
  await c.sentAll(30_000)
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 31, last: 40 }))
  await a.sentAll(30_000)
  checkInbox(b.database, { a: 40, c: 10 })
  // The log reports events when it next looks for them.
  await until({ what: 'one of the two to tell in its log', withinMs: 5_000, everyMs: 50 }, () =>
    [a, c].some((copy) =>
      ['SELF_ROLLED_BACK', 'SELF_FORKED'].some((code) => copy.logged(code).length > 0),
    ),
  )
})

test('P3, P10: a sender whose copy went on with its numbers: SELF_FORKED', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b, c] = [await scene.running('a'), await scene.running('b'), await scene.machine('c')]
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
  await a.sentAll(10_000)
  copyFileSync(await copyDatabase(a), c.database)
  // These get their numbers, and are lost with the process that they were on their way to.
  b.daemon.signal('SIGSTOP')
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 15 }))
  await a.shows("SELECT count(*) FROM mqstatus WHERE state = 'in flight';", /^5$/)
  await b.daemon.kill9()
  await a.daemon.kill9()

  await b.start()
  await c.start()
  await c.sql(insertNumbered({ sender: 'c', to: b, first: 1, last: 3 }))
  await c.sentAll(10_000)
  await c.daemon.stop()
  await a.start()
  await a.sentAll(20_000)
  checkInbox(b.database, { a: 15, c: 3 })
  match(await a.sql('SELECT code, detail FROM mqevent;'), /^SELF_FORKED\|/)
  equal(await a.sql("SELECT event FROM mqpeers WHERE direction = 'out';"), 'SELF_FORKED')
  await a.logs('SELF_FORKED')
})

test('P10: a receiver whose copy took its place for a while: PEER_ROLLED_BACK', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  const copy = await scene.machine('copy', { port: b.port })
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
  await a.sentAll(10_000)
  await b.daemon.stop()
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 20 }))
  copyFileSync(await copyDatabase(b), copy.database)
  await copy.start()
  await a.sentAll(20_000)
  checkInbox(copy.database, { a: 20 })
  equal(await a.sql('SELECT count(*) FROM mqevent;'), '0')

  await copy.daemon.stop()
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 21, last: 30 }))
  await b.start()
  await a.sentAll(20_000)
  checkInbox(b.database, { a: [...range(1, 10), ...range(21, 30)] })
  match(
    await a.sql('SELECT code, detail FROM mqevent;'),
    /^PEER_ROLLED_BACK\|.*mqout\.id 11-20[:.]/,
  )
})

test('P10: a row for a copy of its own database waits, and says why: SELF_LOOP', async (t) => {
  const scene = new TestEnvironment(t)
  const [b, c] = [await scene.running('b'), await scene.machine('c')]
  copyFileSync(await copyDatabase(b), c.database)
  await c.start()
  await b.sql(insertNumbered({ sender: 'b', to: c, first: 1, last: 1 }))
  await b.shows('SELECT state, reason FROM mqstatus;', /^waiting\|.*\(TINYMQ_SELF_LOOP\)$/)
  equal(await b.sql('SELECT code FROM mqevent;'), 'SELF_LOOP')
  await b.logs('SELF_LOOP')
  checkInbox(c.database, {})
})
