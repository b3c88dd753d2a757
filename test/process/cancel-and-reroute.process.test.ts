/** What users do to rows that wait or are under way. */
import { deepEqual, equal, rejects } from 'node:assert/strict'
import { test } from 'node:test'
import { checkInbox, insertNumbered, range } from '../support/numbered.ts'
import type { Machine } from '../support/machine.ts'
import { TestEnvironment } from '../support/test-environment.ts'

/** A session stands and everything sent so far is confirmed; then the receiver does not move. */
async function freezeAfterFirst(a: Machine, b: Machine): Promise<void> {
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 1 }))
  await a.sentAll(10_000)
  b.daemon.signal('SIGSTOP')
}

const inFlightSql = "SELECT count(*) FROM mqstatus WHERE state = 'in flight';"

test('P7: DELETE cancels a row that waits for a dead host', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.machine('b')]
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
  await a.shows('SELECT DISTINCT state FROM mqstatus;', /^waiting$/)
  await a.sql('DELETE FROM mqout WHERE id = 7;')
  await b.start()
  await a.sentAll(10_000)
  checkInbox(b.database, { a: range(1, 10).filter((number) => number !== 7) })
})

test('P4, P7: DELETE of one row among many in flight stops that row alone', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  await freezeAfterFirst(a, b)
  const last = 20_000
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 2, last, bytes: 1_000 }))
  await a.shows(inFlightSql, /[1-9]\d\d/)
  const flying = Number(await a.sql("SELECT max(id) FROM mqstatus WHERE state = 'in flight';"))
  await a.sql(`DELETE FROM mqout WHERE id IN (${flying}, ${last - 1});`)
  b.daemon.signal('SIGCONT')
  await a.sentAll(60_000)
  // The first of the two may have been on its way; the second was behind all that was.
  const came = await b.sql(
    `SELECT count(*) FROM mqin WHERE CAST(data AS TEXT) GLOB 'a:${flying}:*';`,
  )
  const gone = came === '1' ? [last - 1] : [flying, last - 1]
  t.diagnostic(`row ${flying}, deleted in flight, ${came === '1' ? 'arrived' : 'did not arrive'}`)
  checkInbox(b.database, { a: range(1, last).filter((number) => !gone.includes(number)) })
})

test('P7: UPDATE of the host reroutes a row that waits for a dead host', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  const c = await scene.machine('c')
  await a.sql(insertNumbered({ sender: 'a', to: c, first: 1, last: 10 }))
  // The lane to b is behind these rows by then.
  await a.sql(insertNumbered({ sender: 'other', to: b, first: 1, last: 10 }))
  await b.shows('SELECT count(*) FROM mqin;', /^10$/)
  await a.shows('SELECT DISTINCT state FROM mqstatus;', /^waiting$/)
  await a.sql(`UPDATE mqout SET host = '${b.host}', port = '${b.port}' WHERE id IN (3, 4);`)
  await a.sql(`UPDATE mqout SET host = 'localhost', port = '${b.port}' WHERE id = 8;`)
  await b.shows('SELECT count(*) FROM mqin;', /^13$/)
  await c.start()
  await a.sentAll(10_000)
  checkInbox(c.database, { a: [1, 2, 5, 6, 7, 9, 10] })
  checkInbox(b.database, { a: [3, 4, 8], other: 10 })
})

test('P7: UPDATE of a row in flight is rejected with a reason, and the row arrives', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  await freezeAfterFirst(a, b)
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 2, last: 3 }))
  await a.shows(inFlightSql, /^2$/)
  const reason = /this row is in flight and may already be at the peer.*\(TINYMQ_IN_FLIGHT\)/
  for (const change of ["host = '127.0.0.2'", 'port = 9', "data = 'other'", "token = 'other'"]) {
    await rejects(a.sql(`UPDATE mqout SET ${change} WHERE id = 2;`), reason)
  }
  deepEqual(await a.rows('SELECT DISTINCT host, port FROM mqout;'), [
    { host: b.host, port: b.port },
  ])
  b.daemon.signal('SIGCONT')
  await a.sentAll(20_000)
  checkInbox(b.database, { a: 3 })
  equal(await a.sql('SELECT count(*) FROM mqevent;'), '0')
})
