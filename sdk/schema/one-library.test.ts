import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { open } from '../index.ts'
import { scratchPath, shell } from '../../test/support/scratch.ts'

const refused = { code: 'TINYMQ_SECOND_LIBRARY', retryable: false, hint: /npm dedupe/ }

/** A second library: that of Node.js itself. */
function second(t: TestContext, path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  t.after(() => db.close())
  return db
}

/** As if so much time had passed since the last look. */
function later(t: TestContext, ms: number): void {
  const now = performance.now.bind(performance)
  t.mock.method(performance, 'now', () => now() + ms)
}

test('open rejects a file that another library has open, and leaves its locks alone', (t) => {
  const path = scratchPath(t)
  open(path).close()
  const theirs = second(t, path)
  theirs.exec('CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)')
  assert.throws(() => open(path), refused)
  assert.throws(() => open(path), refused)
  theirs.exec('COMMIT')
  assert.deepEqual({ ...theirs.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' })
})

test('a connection of your own is rejected the same way', (t) => {
  const path = scratchPath(t)
  const mq = open(path)
  t.after(() => mq.close())
  const theirs = second(t, path)
  assert.throws(() => open({ db: theirs }), refused)
})

test('one that comes later is noticed before the next write', async (t) => {
  const path = scratchPath(t)
  const mq = open(path)
  t.after(() => mq.close())
  mq.send('b', 9000, '', 'before')
  const consumed = mq.consume(() => undefined)
  second(t, path).prepare('SELECT count(*) FROM mqout').get()
  later(t, 60_000)
  assert.throws(() => mq.send('b', 9000, '', 'x'), refused)
  assert.throws(() => mq.sendMany([{ host: 'b', data: 'x' }]), refused)
  await assert.rejects(
    mq.consume(() => undefined),
    refused,
  )
  await mq.drain()
  await consumed
})

test('a consumer ends before it writes when one has come', async (t) => {
  const path = scratchPath(t)
  const mq = open(path)
  t.after(() => mq.close())
  shell(path, "INSERT INTO mqin (token, arrived_at, data) VALUES ('', 1, 'x');")
  const consumed = mq.consume(() => {
    second(t, path).prepare('SELECT count(*) FROM mqin').get()
    later(t, 60_000)
  })
  await assert.rejects(consumed, refused)
  assert.equal(shell(path, 'SELECT count(*) FROM mqin;').output, '1')
})

test('many connections of one library, and files of their own, are fine', (t) => {
  const path = scratchPath(t)
  const all = [open(path), open(path), open(scratchPath(t)), open(':memory:')]
  second(t, scratchPath(t)).exec('CREATE TABLE t (x)')
  later(t, 60_000)
  for (const mq of all) assert.equal(mq.send('b', 9000, '', 'x') > 0, true)
  for (const mq of all) mq.close()
})
