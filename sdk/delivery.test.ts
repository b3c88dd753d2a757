import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as later } from 'node:timers/promises'
import { prepare } from './schema/sqlite-handle.ts'
import { open, type TinymqError } from './index.ts'
import { drivers, scratchPath, shell } from '../test/support/scratch.ts'

const isPending = Symbol('pending')

/** What has become of a promise by now. */
async function settled(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([promise, later(150, isPending)])
}

/** SQL for what the store does when it numbers rows, and when the peer has confirmed them. */
const numbered = (first: number, last: number): string => `
  INSERT INTO mqbatch (lane, first, count, id_first, id_last, uids)
    SELECT 1, ${first}, count(*), min(id), max(id), CAST(group_concat(uid, '') AS BLOB)
    FROM mqout WHERE id BETWEEN ${first} AND ${last};`
const confirmed = (first: number, last: number): string => `
  BEGIN IMMEDIATE;
  DELETE FROM mqout WHERE id BETWEEN ${first} AND ${last};
  UPDATE mqbatch SET done_at = 1, uids = NULL WHERE first = ${first};
  COMMIT;`
const withoutId = (first: number, ids: string): string =>
  `UPDATE mqbatch SET ids = x'${ids}' WHERE first = ${first};`

for (const [driver, connect] of drivers) {
  test(`${driver}: delivered resolves when another program confirms the row`, async (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    const [first = 0, last = 0] = mq.sendMany([
      { host: 'b', data: 'x' },
      { host: 'b', data: 'y' },
    ])
    const both = Promise.all([mq.delivered(first), mq.delivered(last), mq.delivered(last)])
    assert.equal(await settled(both), isPending)
    shell(path, numbered(first, last))
    assert.equal(await settled(both), isPending)
    const startMs = performance.now()
    shell(path, confirmed(first, last))
    await both
    assert.ok(performance.now() - startMs < 1000)
    await mq.delivered(first)
  })

  test(`${driver}: delivered rejects when the row is deleted before, by whomever`, async (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    using mq = open({ db })
    const [a = 0, b = 0] = mq.sendMany([
      { host: 'b', data: 'x' },
      { host: 'b', data: 'y' },
    ])
    const isCancelled = { code: 'TINYMQ_CANCELLED' }
    const first = assert.rejects(mq.delivered(a), isCancelled)
    const second = assert.rejects(mq.delivered(b), isCancelled)
    mq.cancel(a)
    shell(path, `DELETE FROM mqout WHERE id = ${b};`)
    await Promise.all([first, second])
    await assert.rejects(mq.delivered(a), isCancelled)
  })
}

test('a row deleted in flight is delivered or cancelled once its run is done', async (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  mq.sendMany(Array.from({ length: 4 }, () => ({ host: 'b', data: 'x' })))
  shell(path, numbered(1, 2) + numbered(3, 4))
  mq.cancel(2)
  mq.cancel(4)
  const [kept, skipped] = [mq.delivered(2), mq.delivered(4)]
  assert.equal(await settled(Promise.race([kept, skipped])), isPending)
  shell(path, confirmed(1, 2) + withoutId(3, '00000000000000030000000000000000') + confirmed(3, 4))
  await kept
  await assert.rejects(skipped, { code: 'TINYMQ_CANCELLED' })
  await mq.delivered(3)
})

test('a row is delivered once its lane is confirmed up to it', async (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  mq.sendMany(Array.from({ length: 4 }, () => ({ host: 'b', data: 'x' })))
  shell(path, `INSERT INTO mqlane (id, host, port) VALUES (1, 'b', 9000); ${numbered(1, 4)}`)
  const [second, third] = [mq.delivered(2), mq.delivered(3)]
  shell(path, 'BEGIN; DELETE FROM mqout WHERE id < 3; UPDATE mqlane SET confirmed = 2; COMMIT;')
  await second
  assert.equal(await settled(third), isPending)
  const ids = '0000000000000001000000000000000200000000000000000000000000000004'
  mq.cancel(3)
  shell(path, `BEGIN; ${withoutId(1, ids)} UPDATE mqlane SET confirmed = 3; COMMIT;`)
  await assert.rejects(third, { code: 'TINYMQ_CANCELLED' })
  await mq.delivered(2)
})

test('an id is found in a run only where an id begins', async (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  mq.sendMany(Array.from({ length: 300 }, () => ({ host: 'b', data: 'x' })))
  // 1 and 300, whose bytes hold those of 256 across the border.
  shell(
    path,
    numbered(1, 300) + withoutId(1, '0000000000000001000000000000012c') + confirmed(1, 300),
  )
  await mq.delivered(1)
  await mq.delivered(300)
  await assert.rejects(mq.delivered(256), { code: 'TINYMQ_CANCELLED' })
})

test('an id that never was, and one that is too old to tell, are distinguished', async (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  const isUnknown = { code: 'TINYMQ_NO_SUCH_ROW' }
  await assert.rejects(mq.delivered(1), isUnknown)
  mq.sendMany(Array.from({ length: 3 }, () => ({ host: 'b', data: 'x' })))
  shell(path, "DELETE FROM mqout; INSERT INTO mqmeta VALUES ('history_expired_id', 2);")
  await assert.rejects(mq.delivered(2), { code: 'TINYMQ_HISTORY_EXPIRED' })
  await assert.rejects(mq.delivered(3), { code: 'TINYMQ_CANCELLED' })
  await assert.rejects(mq.delivered(4), isUnknown)
  for (const id of [1.5, Number.NaN]) {
    await assert.rejects(mq.delivered(id), { code: 'TINYMQ_INVALID_ARGUMENT' })
  }
})

for (const [name, connect] of drivers) {
  test(`${name}: a wait in the transaction that has sent is rejected`, async (t) => {
    const db = connect(scratchPath(t))
    t.after(() => db.close())
    using mq = open({ db })
    db.exec('BEGIN')
    const id = mq.send('b', 9000, '', 'x')
    const isMisuse = { code: 'TINYMQ_INVALID_ARGUMENT', message: /commit first/ }
    await assert.rejects(mq.delivered(id), isMisuse)
    await assert.rejects(mq.request('b', 9000, '', 'x'), isMisuse)
    db.exec('COMMIT')
    assert.deepEqual(
      { ...(prepare(db, 'SELECT count(*) AS n FROM mqout').get() as object) },
      { n: 1 },
    )
    const waiting = mq.delivered(id)
    db.exec('DELETE FROM mqout')
    await assert.rejects(waiting, { code: 'TINYMQ_CANCELLED' })
  })

  test(`${name}: what a transaction takes back was not cancelled`, async (t) => {
    const db = connect(scratchPath(t))
    t.after(() => db.close())
    using mq = open({ db })
    const id = mq.send('b', 9000, '', 'x')
    const ending = mq.delivered(id).then(
      () => 'delivered',
      (error: unknown) => (error as TinymqError).code,
    )
    await later(50)
    db.exec('BEGIN')
    mq.cancel(id)
    await later(100)
    db.exec('ROLLBACK')
    await later(100)
    assert.equal(await Promise.race([ending, later(0).then(() => 'waits')]), 'waits')
    mq.cancel(id)
    assert.equal(await ending, 'TINYMQ_CANCELLED')
  })
}

test('another row of the same id is another row', async (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  const id = mq.send('b', 9000, '', 'x')
  const waiting = mq.delivered(id)
  const insert = `INSERT INTO mqout (id, host, data) VALUES (${id}, 'b', 'another')`
  shell(path, `BEGIN; DELETE FROM mqout; ${insert}; COMMIT;`)
  await assert.rejects(waiting, { code: 'TINYMQ_CANCELLED' })
})

test('what was forgotten while nobody looked is not taken for cancelled', async (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  const [first = 0, second = 0] = mq.sendMany([
    { host: 'b', data: 'x' },
    { host: 'b', data: 'y' },
  ])
  const waiting = mq.delivered(first)
  shell(
    path,
    `DELETE FROM mqout WHERE id = 1; INSERT INTO mqmeta VALUES ('history_expired_id', 2);`,
  )
  await assert.rejects(waiting, { code: 'TINYMQ_HISTORY_EXPIRED' })
  const other = mq.delivered(second)
  shell(path, 'DELETE FROM mqout;')
  await assert.rejects(other, { code: 'TINYMQ_CANCELLED' })
})

test('a signal ends the wait with its reason, before or during', async (t) => {
  using mq = open(scratchPath(t))
  const id = mq.send('b', 9000, '', 'x')
  await assert.rejects(mq.delivered(id, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  const controller = new AbortController()
  const promise = mq.delivered(id, { signal: controller.signal })
  const reason = new Error('no longer interested')
  controller.abort(reason)
  await assert.rejects(promise, reason)
})

test('close ends the wait, and so does the end of the connection', async (t) => {
  const path = scratchPath(t)
  const mq = open(path)
  const id = mq.send('b', 9000, '', 'x')
  const promise = assert.rejects(mq.delivered(id), { code: 'TINYMQ_CLOSED' })
  mq.close()
  await promise
  for (const [, connect] of drivers) {
    const db = connect(path)
    const other = open({ db })
    const waiting = assert.rejects(other.delivered(id))
    db.close()
    await waiting
  }
})

test('a database in memory is looked at again and again', async () => {
  using mq = open(':memory:')
  const promise = mq.delivered(mq.send('b', 9000, '', 'x'))
  await later(50)
  mq.cancel(1)
  await assert.rejects(promise, { code: 'TINYMQ_CANCELLED' })
})
