import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, type Tinymq } from './index.ts'
import { drivers, scratchDatabase, scratchPath } from '../test/support/scratch.ts'
import type { SqliteHandle } from './schema/sqlite-handle.ts'

/** Stands in for the daemons: what was sent arrives, here. */
const cross = (db: SqliteHandle): unknown =>
  db.exec(`
    INSERT INTO mqin (host, port, token, sent_at, arrived_at, sender, sender_row, headers, data)
      SELECT 'MachineA', 9000, token, created_at, created_at, 1, id, headers, data
      FROM mqout ORDER BY id;
    DELETE FROM mqout`)

/** Answers requests in capitals, and lets all messages arrive where they came from. */
function echo(mq: Tinymq, db: SqliteHandle): Promise<void> {
  return mq.consumeInTransaction((message) => {
    message.reply(String(message.data).toUpperCase(), { headers: { kind: 'echo' } })
    cross(db)
  })
}

for (const [driver, connect] of drivers) {
  test(`${driver}: each request gets its own reply, and no consumer does`, async (t) => {
    const db = connect(scratchPath(t))
    const mq = open({ db })
    const echoes = echo(mq, db)
    const words = Array.from({ length: 20 }, (_, at) => `word ${at}`)
    const replies = words.map(async (word) => mq.request('b', 9000, 't', word))
    cross(db)
    for (const [at, reply] of (await Promise.all(replies)).entries()) {
      assert.equal(reply.data, `WORD ${at}`)
      assert.equal(reply.headers?.['kind'], 'echo')
    }
    await mq.drain()
    await echoes
    assert.deepEqual(db.prepare('SELECT id FROM mqin').all(), [])
    mq.close()
    db.close()
  })
}

test("a signal ends the wait; a reply that comes then is no other request's", async (t) => {
  const db = scratchDatabase(t)
  const mq = open({ db })
  const controller = new AbortController()
  const given = mq.request('b', 9000, '', 'first', { signal: controller.signal })
  controller.abort(new Error('too slow'))
  await assert.rejects(given, { message: 'too slow' })
  const second = mq.request('b', 9000, '', 'second')
  cross(db)
  const echoes = echo(mq, db)
  assert.equal((await second).data, 'SECOND')
  await mq.drain()
  await echoes
  assert.deepEqual(db.prepare('SELECT data FROM mqin').pluck().all(), ['FIRST'])
  await assert.rejects(mq.request('b', 9000, '', 'x', { signal: AbortSignal.abort() }))
  assert.equal(db.prepare('SELECT count(*) FROM mqout').pluck().get(), 0)
  mq.close()
})

test('a request that could not be sent waits for nothing', async (t) => {
  const mq = open(scratchPath(t))
  await assert.rejects(mq.request('', 9000, '', 'x'), { code: 'TINYMQ_INVALID_HOST' })
  mq.close()
})

test('who did not ask gets no reply', async (t) => {
  const db = scratchDatabase(t)
  const mq = open({ db })
  mq.send('b', 9000, '', 'x')
  cross(db)
  for await (const message of mq.inbox()) {
    assert.throws(() => message.reply('y'), { code: 'TINYMQ_INVALID_ARGUMENT' })
    break
  }
  mq.close()
})

test('a reply goes where the sender says, or where the one who answers says', async (t) => {
  const db = scratchDatabase(t)
  const mq = open({ db })
  const given = mq.request('b', 9000, 't', 'question')
  cross(db)
  const answered = mq.consumeInTransaction((message) => {
    message.reply('there', { to: { host: 'MachineB', port: 9001 } })
    message.reply('here')
    const sent = db.prepare('SELECT host, port FROM mqout ORDER BY id').all()
    assert.deepEqual(sent, [
      { host: 'MachineB', port: 9001 },
      { host: 'MachineA', port: 9000 },
    ])
    cross(db)
  })
  assert.equal((await given).data, 'there')
  await mq.drain()
  await answered
  mq.close()
})
