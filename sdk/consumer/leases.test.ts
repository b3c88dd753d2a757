import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { backoffMs, Leases, type ClaimsOptions } from './leases.ts'
import { openDatabase } from '../schema/open-database.ts'
import { atomically, type SqliteHandle } from '../schema/sqlite-handle.ts'
import { requestPrefix } from '../schema/reply-headers.ts'
import { migrate } from '../schema/migrate.ts'
import { arrive, numbered } from '../../test/support/inbox-arrivals.ts'
import { drivers, scratchPath } from '../../test/support/scratch.ts'

type Bench = {
  readonly path: string
  readonly db: SqliteHandle
  readonly clock: { nowMs: number }
  readonly consumer: (options?: Partial<ClaimsOptions>) => Hands
}

/** Claims with the transactions around them. */
class Hands {
  readonly leases: Leases
  readonly #db: SqliteHandle

  constructor(db: SqliteHandle, options: ClaimsOptions) {
    this.#db = db
    this.leases = new Leases(db, options)
    for (const sql of this.leases.missingIndexes()) db.exec(sql)
  }

  take(count = 1): ReturnType<Leases['claim']> {
    this.leases.candidates.onChange(performance.now())
    return atomically(this.#db, () => this.leases.claim(this.leases.seek(count)))
  }

  ids(count = 1): number[] {
    return this.take(count).map(({ message }) => message.id)
  }

  settle(...values: Parameters<Leases['settle']>): boolean {
    return atomically(this.#db, () => this.leases.settle(...values))
  }
}

function bench(t: TestContext, connect: (path: string) => SqliteHandle = openDatabase): Bench {
  const path = scratchPath(t)
  const db = connect(path)
  t.after(() => db.close())
  migrate(db)
  const clock = { nowMs: 1_800_000_000_000 }
  const defaults: ClaimsOptions = {
    token: null,
    isOrdered: false,
    attempts: 3,
    leaseMs: 30_000,
    nowMs: () => clock.nowMs,
    random: () => 1,
  }
  const consumer = (options: Partial<ClaimsOptions> = {}): Hands =>
    new Hands(db, { ...defaults, ...options })
  return { path, db, clock, consumer }
}

const count = (db: SqliteHandle, table: string): number =>
  (db.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n

for (const [driver, connect] of drivers) {
  test(`${driver}: a claimed message is nobody else's until its lease ends`, (t) => {
    const { db, clock, consumer } = bench(t, connect)
    arrive(db, ...numbered(3))
    const [a, b] = [consumer(), consumer()]
    const [first] = a.take()
    assert.equal(first?.message.data, '1')
    assert.deepEqual(b.ids(5), [2, 3])
    clock.nowMs += 29_999
    assert.deepEqual(b.take(), [])
    assert.ok(a.leases.renew(first))
    clock.nowMs += 29_999
    assert.deepEqual(b.ids(5), [2, 3])
    clock.nowMs += 1
    assert.deepEqual(b.ids(), [1])
    assert.equal(a.leases.renew(first), false)
  })

  test(`${driver}: who has lost a lease can neither complete, fail, release nor bury`, (t) => {
    const { db, clock, consumer } = bench(t, connect)
    arrive(db, ...numbered(1))
    const [a, b] = [consumer(), consumer()]
    const [lost] = a.take()
    assert.ok(lost !== undefined)
    clock.nowMs += 30_000
    const [held] = b.take()
    assert.equal(held?.attempt, 2)
    for (const type of ['completed', 'released', 'failed', 'dead'] as const) {
      assert.equal(a.settle(lost, { type, afterMs: 0, error: 'late' }), false)
    }
    assert.deepEqual([count(db, 'mqin'), count(db, 'mqdead'), b.leases.isHeld(held)], [1, 0, true])
    assert.ok(b.settle(held, { type: 'completed' }))
    assert.deepEqual([count(db, 'mqin'), count(db, 'mqlease')], [0, 0])
  })
}

test('a lease that ran out is as good as before as long as nobody took the message', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, ...numbered(1))
  const a = consumer()
  const [claim] = a.take()
  clock.nowMs += 60_000
  assert.ok(claim !== undefined && a.leases.renew(claim))
  clock.nowMs += 60_000
  assert.ok(a.settle(claim, { type: 'completed' }))
})

test('a lease of the same consumer is not the one that it had before', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, ...numbered(1))
  const a = consumer()
  const [before] = a.take()
  clock.nowMs += 30_000
  const [now] = a.take()
  assert.ok(before !== undefined && now !== undefined)
  assert.equal(a.settle(before, { type: 'completed' }), false)
  assert.ok(a.settle(now, { type: 'completed' }))
})

test('a failed message waits twice as long each time, then goes to mqdead with its error', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, { data: 'x', headers: { a: 1 }, token: 't' })
  const a = consumer()
  for (const [attempt, restMs] of [
    [1, 200],
    [2, 400],
  ] as const) {
    const [claim] = a.take()
    assert.equal(claim?.attempt, attempt)
    a.settle(claim, { type: 'failed', error: `attempt ${attempt}` })
    clock.nowMs += restMs - 1
    assert.deepEqual(a.take(), [])
    clock.nowMs += 1
  }
  const [last] = a.take()
  assert.ok(last !== undefined && a.settle(last, { type: 'failed', error: 'the last' }))
  const dead = db
    .prepare('SELECT id, token, headers, data, died_at, error, sender FROM mqdead')
    .get()
  assert.deepEqual(
    { ...(dead as object) },
    {
      id: 1,
      token: 't',
      headers: '{"a":1}',
      data: 'x',
      died_at: clock.nowMs,
      error: 'the last',
      sender: 1,
    },
  )
  assert.deepEqual([count(db, 'mqin'), count(db, 'mqlease')], [0, 0])
})

test('the back-off ends at five minutes', () => {
  assert.deepEqual(
    [1, 2, 11, 12, 2_000].map((attempt) => backoffMs(attempt, 1)),
    [200, 400, 204_800, 300_000, 300_000],
  )
  assert.equal(backoffMs(1, 0), 150)
})

test('a message that kills its process every time goes to mqdead', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, ...numbered(1))
  for (let life = 0; life < 3; life++) {
    assert.equal(consumer().take()[0]?.attempt, life + 1)
    clock.nowMs += 30_000
  }
  assert.deepEqual(consumer().take(), [])
  const { error } = db.prepare('SELECT error FROM mqdead').get() as { error: string }
  assert.equal(error, 'the process ended, or lost its lease, in attempt 3')
})

test('a release is no attempt, and can be for later', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, ...numbered(1))
  const a = consumer()
  for (let time = 0; time < 5; time++) {
    const [claim] = a.take()
    assert.equal(claim?.attempt, 1)
    a.settle(claim, { type: 'released', afterMs: 500 })
    assert.deepEqual(a.take(), [])
    clock.nowMs += 500
  }
})

test('a clock that was set back does not make a message wait for years', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, ...numbered(2))
  const a = consumer()
  const [claim] = a.take()
  assert.ok(claim !== undefined)
  clock.nowMs -= 365 * 86_400_000
  assert.deepEqual(consumer().ids(5), [1, 2])
  assert.equal(a.leases.renew(claim), false)
})

test('a row that is gone leaves no lease behind', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, ...numbered(2))
  const a = consumer()
  const [claim] = a.take()
  db.exec('DELETE FROM mqin WHERE id = 1')
  assert.ok(claim !== undefined && a.settle(claim, { type: 'completed' }))
  const [other] = a.take()
  assert.ok(other !== undefined)
  db.exec('DELETE FROM mqin')
  clock.nowMs += 30_000
  assert.deepEqual(consumer().take(), [])
  assert.equal(count(db, 'mqlease'), 0)
})

test('a consumer of a token takes that token alone, retries among them', (t) => {
  const { db, clock, consumer } = bench(t)
  for (let i = 0; i < 3; i++) arrive(db, { token: 'a' }, { token: 'b' })
  const [a, b, all] = [consumer({ token: 'a' }), consumer({ token: 'b' }), consumer()]
  for (const claim of a.take(3)) a.settle(claim, { type: 'failed', error: 'x' })
  clock.nowMs += 1_000
  assert.deepEqual(b.ids(9), [2, 4, 6])
  assert.deepEqual(consumer({ token: 'none' }).take(9), [])
  assert.deepEqual(a.ids(2), [1, 3])
  assert.deepEqual(all.ids(9), [5])
})

test('in an inbox too long to be indexed at once, a token is found window by window', (t) => {
  const { db, clock, consumer } = bench(t)
  db.exec(`INSERT INTO mqin (token, arrived_at, data)
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100100)
    SELECT CASE WHEN i IN (9999, 10000, 10001, 54321, 100100) THEN 'rare' ELSE '' END, 1, 'x'
    FROM n`)
  const a = consumer({ token: 'rare' })
  const next = (): number[] => {
    let ids: number[] = []
    for (let looks = 0; ids.length === 0 && looks < 20; looks++) {
      ids = atomically(db, () => a.leases.claim(a.leases.seek(2))).map(({ message }) => message.id)
    }
    return ids
  }
  assert.deepEqual(
    [next(), next(), next(), next()],
    [[9_999, 10_000], [10_001], [54_321], [100_100]],
  )
  assert.deepEqual([next(), a.leases.candidates.hasMore], [[], false])
  const index = "SELECT count(*) AS n FROM sqlite_master WHERE name = 'mqin_token'"
  assert.deepEqual(db.prepare(index).get(), { n: 0 })
  // Another one, that began at a better time, has made it.
  db.exec('CREATE INDEX mqin_token ON mqin (token)')
  arrive(db, { token: 'rare' })
  a.leases.candidates.onChange(performance.now() + 60_000)
  assert.deepEqual(next(), [100_101])
  clock.nowMs += 30_000
  a.leases.candidates.onChange(performance.now() + 120_000)
  assert.deepEqual(next(), [9_999, 10_000])
})

for (const isOrdered of [false, true]) {
  test(`what becomes due while a look goes on is waited for (ordered: ${isOrdered})`, (t) => {
    const { db, clock, consumer } = bench(t)
    arrive(db, ...numbered(1))
    const a = consumer({ isOrdered })
    const [claim] = a.take()
    assert.ok(claim !== undefined && a.settle(claim, { type: 'released', afterMs: 1 }))
    const dueMs = clock.nowMs + 1
    assert.deepEqual(a.take(), [])
    // The look has not seen it, and the clock has gone on when it is asked how long to sleep.
    clock.nowMs += 2
    assert.equal(a.leases.candidates.dueMs(), dueMs)
  })
}

test('a change behind the cursor during a long pass leads to another pass', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, ...numbered(3))
  const a = consumer()
  for (const claim of a.take(3)) a.settle(claim, { type: 'released', afterMs: 0 })
  // The first look ends behind row 1, and then row 1 is released again, with the same time.
  const [first] = a.take()
  assert.ok(first !== undefined && a.settle(first, { type: 'released', afterMs: 0 }))
  a.leases.candidates.onChange(performance.now())
  const rest = [1, 2, 3].flatMap(() => a.leases.seek(9))
  assert.deepEqual(rest, [2, 3, 1, 2, 3])
  assert.equal(a.leases.candidates.dueMs(), undefined)
  assert.equal(clock.nowMs, 1_800_000_000_000)
})

test('leases of another token and of a clock that was ahead hide no due message', (t) => {
  const { db, clock, consumer } = bench(t)
  arrive(db, ...Array.from({ length: 1_001 }, () => ({ token: 'other' })), { token: 'mine' })
  db.exec(`INSERT INTO mqlease (id, until, attempts)
    SELECT id, ${clock.nowMs} - 5000 + id, 1 FROM mqin WHERE id <> 1001`)
  db.exec(`INSERT INTO mqlease (id, until, attempts) VALUES (1001, ${clock.nowMs} + 7200000, 1)`)
  const a = consumer({ token: 'mine' })
  // Each look passes over others and must rest: the test does not wait for it.
  const nowMs = performance.now()
  t.mock.method(performance, 'now', () => nowMs)
  assert.deepEqual([...a.ids(9), ...a.ids(9)], [1_002])
})

test('a row that was put back behind the others is found', (t) => {
  t.mock.timers.enable({ apis: ['Date'] })
  const { db, consumer } = bench(t)
  arrive(db, ...numbered(3))
  const a = consumer()
  for (const claim of a.take(3)) a.settle(claim, { type: 'completed' })
  db.exec("INSERT INTO mqin (id, token, data) VALUES (2, '', 'back')")
  // As often as a look again is due.
  a.leases.candidates.onChange(performance.now() + 60_000)
  assert.deepEqual(consumer().ids(), [2])
})

test('in order: a sender waits for its first message, the others do not', (t) => {
  const { db, clock, consumer } = bench(t)
  for (let i = 0; i < 2; i++) arrive(db, { sender: 1 }, { sender: 2 })
  const [a, b] = [consumer({ isOrdered: true }), consumer({ isOrdered: true })]
  const [first] = a.take()
  assert.equal(first?.message.id, 1)
  const [second] = b.take(9)
  assert.equal(second?.message.id, 2)
  assert.deepEqual([...a.take(9), ...b.take(9)], [])
  a.settle(first, { type: 'failed', error: 'x' })
  assert.deepEqual(a.take(9), [])
  b.settle(second, { type: 'completed' })
  assert.deepEqual(b.ids(9), [4])
  clock.nowMs += 200
  const [again] = b.take(9)
  assert.equal(again?.attempt, 2)
  b.settle(again, { type: 'dead', error: 'hopeless' })
  assert.deepEqual(a.ids(9), [3])
})

test('in order with a token: only the messages with that token are in the way', (t) => {
  const { db, consumer } = bench(t)
  arrive(db, { token: 'other' }, { token: 'a' }, { token: 'a' }, { token: 'a', sender: 2 })
  const a = consumer({ isOrdered: true, token: 'a' })
  assert.deepEqual(a.ids(9), [2, 4])
})

test('a reply is left to who asked, and is dead when nobody takes it', (t) => {
  for (const isOrdered of [false, true]) {
    const { db, clock, consumer } = bench(t)
    const headers = { 'tinymq-in-reply-to': `${requestPrefix(db)}somebody` }
    arrive(db, { headers, arrivedAt: clock.nowMs }, { data: 'next' })
    const a = consumer({ isOrdered })
    const found = [...a.ids(1), ...a.ids(1), ...a.ids(1)]
    assert.deepEqual(found, [2])
    clock.nowMs += 60_000
    assert.deepEqual([...a.ids(9), ...a.ids(9)], [2])
    const { error } = db.prepare('SELECT error FROM mqdead').get() as { error: string }
    assert.match(error, /^a late reply/)
  }
})

test('no other header makes a message a reply: it reaches a consumer, and in its turn', (t) => {
  for (const isOrdered of [false, true]) {
    const { db, clock, consumer } = bench(t)
    const own = `${requestPrefix(db)}somebody`
    const others: readonly Readonly<Record<string, unknown>>[] = [
      { 'in-reply-to': own },
      { 'In-Reply-To': '<mail@x>' },
      { 'Tinymq-In-Reply-To': own },
      { mail: { 'tinymq-in-reply-to': own } },
      { 'tinymq-in-reply-to': [own] },
      { 'tinymq-in-reply-to': 'what another database has asked' },
    ]
    for (const headers of others) {
      db.exec('DELETE FROM mqin; DELETE FROM mqlease')
      arrive(db, { headers, data: 'first' }, { data: 'second' })
      const a = consumer({ isOrdered })
      const [first] = a.take()
      assert.equal(first?.message.data, 'first', JSON.stringify(headers))
      a.settle(first, { type: 'failed', error: 'x' })
      assert.equal(a.take(9).length, isOrdered ? 0 : 1, JSON.stringify(headers))
      clock.nowMs += 60_000
      assert.equal(a.take()[0]?.message.data, 'first')
    }
    assert.equal(count(db, 'mqdead'), 0)
  }
})

test('a reply that came before the clock was set back is left to who asked for a minute', (t) => {
  for (const aheadMs of [100, 86_400_000]) {
    const { db, clock, consumer } = bench(t)
    const headers = { 'tinymq-in-reply-to': `${requestPrefix(db)}somebody` }
    arrive(db, { headers, arrivedAt: clock.nowMs + aheadMs })
    const a = consumer()
    assert.deepEqual([...a.take(), ...a.take()], [])
    assert.deepEqual([count(db, 'mqin'), count(db, 'mqdead')], [1, 0])
    clock.nowMs += 59_999
    assert.deepEqual([a.take(), count(db, 'mqdead')], [[], 0])
    clock.nowMs += 101
    assert.deepEqual([a.take(), count(db, 'mqin'), count(db, 'mqdead')], [[], 0, 1])
  }
})

test('every look-up and every change goes by an index', (t) => {
  const { db, consumer } = bench(t)
  const queries = new Set<string>()
  const prepare = db.prepare.bind(db)
  db.prepare = (sql) => {
    queries.add(sql)
    return prepare(sql)
  }
  for (const isOrdered of [false, true]) {
    for (const token of [null, 'a']) consumer({ isOrdered, token })
  }
  // The senders that leaps find are few; the list of indexes is fewer; a window has its end.
  const few = /SCAN (?:senders|s$|sqlite_master|CONSTANT ROW|\(subquery)/
  const wholeTables = new RegExp(`${few.source}|UNION ALL|COMPOUND|LEFT-MOST`)
  for (const query of queries) {
    const nulls = Array.from(query.matchAll(/\?/g), () => null)
    const plan = prepare(`EXPLAIN QUERY PLAN ${query}`).all(...nulls) as { detail: string }[]
    const scans = plan.filter(
      ({ detail }) => /SCAN|TEMP B-TREE/.test(detail) && !wholeTables.test(detail),
    )
    // All messages in the order of arrival: the look begins at a cursor.
    if (!/\? IS NULL AND m\.id > \?/.test(query)) assert.deepEqual(scans, [], query)
    else
      assert.ok(
        plan.some(({ detail }) => /SEARCH m USING/.test(detail)),
        query,
      )
  }
  assert.ok(queries.size > 15)
})
