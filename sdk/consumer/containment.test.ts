import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { test, type TestContext } from 'node:test'
import { setTimeout as later } from 'node:timers/promises'
import { openDatabase } from '../schema/open-database.ts'
import type { SqliteHandle } from '../schema/sqlite-handle.ts'
import { type InboxMessage, open, type Tinymq } from '../index.ts'
import { arrive, numbered } from '../../test/support/inbox-arrivals.ts'
import { drivers, scratchPath } from '../../test/support/scratch.ts'

type Rows = readonly Readonly<Record<string, unknown>>[]

const rows = (db: SqliteHandle, sql: string): Rows =>
  (db.prepare(sql).all() as object[]).map((row) => ({ ...row }))

type CliSession = { readonly path: string; readonly db: SqliteHandle; readonly mq: Tinymq }

function opened(
  t: TestContext,
  connect: (path: string) => SqliteHandle = openDatabase,
): CliSession {
  const path = scratchPath(t)
  const db = connect(path)
  db.exec('PRAGMA busy_timeout = 5000')
  const mq = open({ db })
  t.after(() => {
    mq.close()
    if (db.open !== false && db.isOpen !== false) db.close()
  })
  return { path, db, mq }
}

/** The longest time that the event loop stood still meanwhile, in milliseconds. */
async function longestPause(meanwhile: Promise<unknown>): Promise<number> {
  let longest = 0
  let last = performance.now()
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 5)
  await meanwhile
  clearInterval(timer)
  return longest
}

const quiet = { onError: () => undefined }

for (const [driver, connect] of drivers) {
  test(`${driver}: a lock that another program holds does not stop the event loop`, async (t) => {
    const { path, db, mq } = opened(t, connect)
    arrive(db, ...numbered(2))
    const other = connect(path)
    t.after(() => other.close())
    // The first consumer of a file has its index to make, too.
    other.exec('BEGIN IMMEDIATE')
    const seen: unknown[] = []
    const entered = Promise.withResolvers<void>()
    const consumed = mq.consume(
      async ({ data, id }) => {
        seen.push(data)
        if (id === 2) return void mq.drain()
        entered.resolve()
        // It holds the lease for so long that it must renew it under the lock.
        return later(1_500)
      },
      { leaseMs: 1_000 },
    )
    assert.ok((await longestPause(later(1_000))) < 700)
    assert.deepEqual(seen, [])
    other.exec('COMMIT')
    await entered.promise
    other.exec('BEGIN IMMEDIATE')
    assert.ok((await longestPause(later(900))) < 700)
    other.exec('COMMIT')
    await consumed
    assert.deepEqual(seen, ['1', '2'])
    assert.deepEqual(rows(db, 'PRAGMA busy_timeout'), [{ timeout: 5_000 }])
  })

  test(`${driver}: a connection that is closed under what waits says so`, async (t) => {
    const { db, mq } = opened(t, connect)
    arrive(db, ...numbered(1))
    const entered = Promise.withResolvers<InboxMessage>()
    const gate = Promise.withResolvers<void>()
    const consumed = mq.consume(async (message) => {
      entered.resolve(message)
      await gate.promise
    })
    const isClosed = { code: 'TINYMQ_CLOSED', message: /the connection was closed/ }
    const waiting = [
      assert.rejects(consumed, isClosed),
      assert.rejects(mq.inbox({ token: 'none' }).next(), isClosed),
      assert.rejects(mq.request('b', 9000, '', 'x'), isClosed),
      assert.rejects(mq.delivered(mq.send('b', 9000, '', 'x')), isClosed),
    ]
    const message = await entered.promise
    db.close()
    assert.throws(() => message.complete(), { code: 'TINYMQ_CLOSED' })
    gate.resolve()
    await Promise.all(waiting)
  })
}

test('a foreign key that keeps a row of mqin stops no other message', async (t) => {
  const { db, mq } = opened(t)
  db.exec('CREATE TABLE notes (mq INTEGER REFERENCES mqin(id)); PRAGMA foreign_keys = ON')
  arrive(db, ...numbered(3))
  db.exec('INSERT INTO notes VALUES (1)')
  const errors: unknown[] = []
  const seen: unknown[] = []
  const consumed = mq.consume(
    ({ data }) => {
      seen.push(data)
      if (data === '3') setTimeout(() => void mq.drain(), 500)
    },
    { attempts: 2, onError: (error, { isDead }) => errors.push([String(error), isDead]) },
  )
  await consumed
  assert.deepEqual(seen, ['1', '2', '3', '1'])
  const says = 'TinymqError: SQLite says: FOREIGN KEY constraint failed'
  assert.deepEqual(errors, [
    [says, false],
    [says, true],
  ])
  assert.deepEqual(rows(db, 'SELECT id FROM mqin'), [{ id: 1 }])
  assert.deepEqual(rows(db, 'SELECT id FROM mqdead'), [])
  const [lease] = rows(db, 'SELECT error, owner FROM mqlease')
  assert.match(String(lease?.['error']), /FOREIGN KEY[^]*cannot be moved to mqdead: FOREIGN KEY/)
  assert.equal(lease?.['owner'], null)
  // Another consumer is not stopped by it either, and when the key allows it, it goes.
  db.exec('DELETE FROM notes; UPDATE mqlease SET until = 1')
  using other = open({ db })
  await other.consume(() => assert.fail(), { attempts: 2, onError: () => void other.drain() })
  assert.deepEqual(rows(db, 'SELECT id FROM mqin'), [])
  assert.deepEqual(rows(db, 'SELECT id FROM mqdead'), [{ id: 1 }])
})

test('what fails at COMMIT is an affair of its message, alone or among others', async (t) => {
  for (const concurrency of [1, 4]) {
    const { db, mq } = opened(t)
    db.exec(`PRAGMA foreign_keys = ON; CREATE TABLE notes (
      mq INTEGER REFERENCES mqin(id) DEFERRABLE INITIALLY DEFERRED)`)
    arrive(db, ...numbered(6))
    db.exec('INSERT INTO notes VALUES (2)')
    const seen: unknown[] = []
    await mq.consume(
      ({ data }) => {
        seen.push(data)
        if (seen.length === 6) setTimeout(() => void mq.drain(), 100)
      },
      { concurrency, ...quiet },
    )
    assert.deepEqual(rows(db, 'SELECT id FROM mqin'), [{ id: 2 }])
    const kept = rows(db, 'SELECT id, error FROM mqlease')
    assert.equal(kept.length, 1)
    assert.match(String(kept[0]?.['error']), /FOREIGN KEY constraint failed/)
  }
})

test('consumeInTransaction goes on when the COMMIT of a handler fails', async (t) => {
  const { db, mq } = opened(t)
  db.exec(`PRAGMA foreign_keys = ON; CREATE TABLE skus (sku PRIMARY KEY);
    CREATE TABLE orders (sku REFERENCES skus(sku) DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO skus VALUES ('2')`)
  arrive(db, ...numbered(2))
  await mq.consumeInTransaction(
    ({ data }) => {
      db.prepare('INSERT INTO orders VALUES (?)').run(data)
      if (data === '2') setTimeout(() => void mq.drain(), 300)
    },
    { attempts: 2, ...quiet },
  )
  assert.deepEqual(rows(db, 'SELECT sku FROM orders'), [{ sku: '2' }])
  const [dead] = rows(db, 'SELECT id, error FROM mqdead')
  assert.equal(dead?.['id'], 1)
  assert.match(String(dead['error']), /FOREIGN KEY constraint failed/)
})

test('who was claimed with the message that ends the consumer is not begun', async (t) => {
  for (const way of ['abort', 'drain'] as const) {
    const { db, mq } = opened(t)
    arrive(db, ...numbered(3))
    const ending = new AbortController()
    const seen: unknown[] = []
    const handle = ({ data }: InboxMessage): void => {
      seen.push(data)
      if (way === 'abort') ending.abort()
      else void mq.drain()
    }
    await mq.consume(handle, { concurrency: 3, signal: ending.signal })
    assert.deepEqual(seen, ['1'])
    const free = 'SELECT count(*) AS n FROM mqlease WHERE owner IS NOT NULL OR attempts <> 0'
    assert.deepEqual(rows(db, free), [{ n: 0 }])
    assert.equal(rows(db, 'SELECT id FROM mqin').length, 2)
  }
})

test('a handler runs in the context of who began to consume', async (t) => {
  for (const how of ['consume', 'consumeInTransaction'] as const) {
    const { db, mq } = opened(t)
    arrive(db, ...numbered(4))
    const storage = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const handle = ({ data }: InboxMessage): void => {
      seen.push(storage.getStore())
      storage.enterWith(`message ${String(data)}`)
      if (data === '4') void mq.drain()
    }
    await storage.run('outside', async () => mq[how](handle))
    assert.deepEqual(seen, ['outside', 'outside', 'outside', 'outside'])
  }
})

test('one warning says that handlers fail, and how many others did', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(5))
  const warnings: Error[] = []
  const onWarning = (warning: Error): number => warnings.push(warning)
  process.on('warning', onWarning)
  t.after(() => process.off('warning', onWarning))
  let clock = 0
  t.mock.method(performance, 'now', () => clock + process.uptime() * 1_000)
  await mq.consume(
    ({ data }) => {
      if (data === '5') {
        clock += 20_000
        void mq.drain()
      }
      throw new Error(`no ${String(data)}\u{1b}[2J\nmore`)
    },
    { attempts: 1 },
  )
  await later(5)
  const said = warnings.map((warning) => [warning.name, 'code' in warning && warning.code])
  assert.deepEqual(said, [
    ['TinymqWarning', 'TINYMQ_DEAD'],
    ['TinymqWarning', 'TINYMQ_DEAD'],
  ])
  assert.match(
    warnings[0]?.message ?? '',
    /^message 1 from MachineA is dead.*attempt 1: Error: no 1 \[2J$/,
  )
  assert.match(warnings[1]?.message ?? '', /^message 5 .*\(and 3 more since the last warning\)/)
})

test('onError gets what was thrown, and cannot end the consumer', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(2))
  const thrown = new Error('no')
  const seen: unknown[] = []
  const warnings: string[] = []
  const onWarning = ({ message }: Error): number => warnings.push(message)
  process.on('warning', onWarning)
  t.after(() => process.off('warning', onWarning))
  await mq.consume(
    (message) => {
      if (message.data === '2') return message.dead('not for us')
      throw thrown
    },
    {
      attempts: 2,
      onError: (error, { message, attempt, isDead }) => {
        seen.push([error, message.id, attempt, isDead])
        if (seen.length === 3) void mq.drain()
        throw new Error('of the application')
      },
    },
  )
  await later(5)
  assert.deepEqual(seen, [
    [thrown, 1, 1, false],
    ['not for us', 2, 1, true],
    [thrown, 1, 2, true],
  ])
  assert.ok(warnings.every((text) => text === 'onError has thrown: of the application'))
  assert.equal(warnings.length, 3)
})

test('in order: a row is found whose sender no daemon has written down', async (t) => {
  const { db, mq } = opened(t)
  db.exec(
    "INSERT INTO mqin (sender, arrived_at, data) VALUES (7, 1, 'a'), (NULL, 1, 'b'), (9, 1, 'c')",
  )
  const seen: unknown[] = []
  const handle = ({ data }: InboxMessage): void => {
    if (seen.push(data) === 3) void mq.drain()
  }
  await mq.consume(handle, { ordered: true })
  assert.deepEqual(
    seen.map(String).toSorted((a, b) => a.localeCompare(b)),
    ['a', 'b', 'c'],
  )
})
