import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SqliteHandle } from '../schema/sqlite-handle.ts'
import { type InboxMessage, open, type Tinymq } from '../index.ts'
import { arrive, numbered } from '../../test/support/inbox-arrivals.ts'
import { drivers, scratchPath } from '../../test/support/scratch.ts'

type CliSession = { readonly db: SqliteHandle; readonly mq: Tinymq }

function opened(t: TestContext, at = 0): CliSession {
  const [, connect] = drivers[at] ?? assert.fail()
  const db = connect(scratchPath(t))
  const mq = open({ db })
  t.after(() => {
    mq.close()
    db.close()
  })
  db.exec('CREATE TABLE effect (id INTEGER)')
  return { db, mq }
}

const count = (db: SqliteHandle, table: string): number =>
  (db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n

const effectOf = ({ id }: InboxMessage): string => `INSERT INTO effect VALUES (${id})`

for (const [at, [driver]] of drivers.entries()) {
  test(`${driver}: what a rollback has undone can be completed again`, async (t) => {
    const { db, mq } = opened(t, at)
    arrive(db, ...numbered(1))
    await mq.consume(async (message) => {
      for (let attempt = 1; attempt <= 3; attempt++) {
        db.exec('BEGIN IMMEDIATE')
        db.exec(effectOf(message))
        message.complete()
        message.complete()
        assert.ok(message.isSettled)
        if (attempt === 3) db.exec('COMMIT')
        else db.exec('ROLLBACK')
        // Turns of the consumer come between the attempts.
        if (attempt === 2) await sleep(20)
        assert.equal(message.isSettled, attempt === 3)
      }
      void mq.drain()
    })
    assert.deepEqual([count(db, 'effect'), count(db, 'mqin'), count(db, 'mqlease')], [1, 0, 0])
  })

  test(`${driver}: after a rollback it may end in another way, and keeps its lease`, async (t) => {
    const { db, mq } = opened(t, at)
    arrive(db, ...numbered(1))
    await mq.consume(
      async (message) => {
        db.exec('BEGIN')
        message.complete()
        db.exec('ROLLBACK')
        // Longer than the lease.
        await sleep(1_300)
        assert.equal(message.signal.aborted, false)
        message.dead('hopeless')
        void mq.drain()
      },
      { leaseMs: 1_000 },
    )
    assert.deepEqual([count(db, 'mqdead'), count(db, 'mqin')], [1, 0])
  })
}

test('a handler whose transaction is rolled back after it returned has done nothing', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(1))
  const attempts: number[] = []
  await mq.consume((message) => {
    attempts.push(message.attempt)
    if (attempts.length === 2) void mq.drain()
    else {
      db.exec('BEGIN')
      db.exec(effectOf(message))
      message.complete()
      setTimeout(() => db.exec('ROLLBACK'), 30)
    }
  })
  assert.deepEqual(attempts, [1, 1])
  assert.deepEqual([count(db, 'effect'), count(db, 'mqin')], [0, 0])
})

test('a release that was committed is not undone when the same consumer takes it', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(1))
  const log: string[] = []
  await mq.consume(
    async (message) => {
      const name = log.length === 0 ? 'first' : 'second'
      log.push(`${name} begins`)
      if (name === 'first') {
        db.exec('BEGIN')
        message.release()
        db.exec('COMMIT')
        await sleep(100)
        assert.ok(message.isSettled)
      } else {
        await sleep(300)
        assert.equal(count(db, 'mqin'), 1)
        void mq.drain()
      }
      log.push(`${name} ends`)
    },
    { concurrency: 2 },
  )
  assert.deepEqual(log, ['first begins', 'second begins', 'first ends', 'second ends'])
  assert.equal(count(db, 'mqin'), 0)
})

for (const way of ['a signal', 'drain'] as const) {
  test(`inbox: ${way} that ends the loop while it waits releases what is in hand`, async (t) => {
    const { db, mq } = opened(t)
    arrive(db, ...numbered(2))
    const ending = new AbortController()
    const hold: InboxMessage[] = []
    setTimeout(() => (way === 'drain' ? void mq.drain() : ending.abort()), 200)
    for await (const message of mq.inbox({ signal: ending.signal })) hold.push(message)
    assert.equal(hold.length, 2)
    await mq.drain()
    const held = db.prepare('SELECT count(*) AS n FROM mqlease WHERE owner IS NOT NULL').get()
    assert.deepEqual({ ...(held as object) }, { n: 0 })
    assert.throws(() => hold[0]?.complete(), { code: 'TINYMQ_LEASE_LOST' })
    assert.equal(count(db, 'mqin'), 2)
  })
}

test('sendMany rejects what is no list of messages: nothing would be sent', (t) => {
  const { db, mq } = opened(t)
  const message = { host: 'b', data: 'x' }
  const wrong: readonly unknown[] = [
    Promise.resolve([message]),
    (async function* generate() {
      yield await Promise.resolve(message)
    })(),
    message,
    5,
    'text',
    null,
    undefined,
  ]
  for (const messages of wrong) {
    assert.throws(() => mq.sendMany(messages as []), {
      code: 'TINYMQ_INVALID_ARGUMENT',
      message: /await a promise first/,
    })
  }
  assert.equal(count(db, 'mqout'), 0)
  assert.equal(mq.sendMany(new Set([message])).length, 1)
})

test('release waits for an hour at most, and rejects more: nothing is cut silently', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(1))
  for await (const message of mq.inbox()) {
    const wrong: readonly unknown[] = [3_600_001, 86_400_000, Infinity, Number.NaN, -1, '5']
    for (const afterMs of wrong) {
      assert.throws(() => message.release({ afterMs: afterMs as number }), {
        code: 'TINYMQ_INVALID_ARGUMENT',
        message: /from 0 to 3600000/,
      })
    }
    message.release({ afterMs: 3_600_000 })
    break
  }
  const { until } = db.prepare('SELECT until FROM mqlease').get() as { until: number }
  assert.ok(Math.abs(until - Date.now() - 3_600_000) < 60_000)
})

test('a lease in text, and headers that JSON does not see, are rejected', async (t) => {
  const { db, mq } = opened(t)
  const options = { leaseMs: '1000' as unknown as number }
  await assert.rejects(
    mq.consume(() => undefined, options),
    { code: 'TINYMQ_INVALID_ARGUMENT' },
  )
  const headers = new Map([['a', 'b']]) as unknown as Record<string, unknown>
  const refused = { code: 'TINYMQ_INVALID_HEADERS' }
  await assert.rejects(mq.request('b', 9000, '', 'x', { headers }), refused)
  arrive(db, { headers: { 'tinymq-request-id': 'x' } })
  for await (const message of mq.inbox()) {
    assert.throws(() => message.reply('y', { headers }), refused)
    message.complete()
    break
  }
  assert.equal(count(db, 'mqout'), 0)
})
