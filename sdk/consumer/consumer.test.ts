import assert from 'node:assert/strict'
import { tracingChannel } from 'node:diagnostics_channel'
import { rmSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { runInNewContext } from 'node:vm'
import type { ConsumeTrace } from './consumer.ts'
import type { SqliteHandle } from '../schema/sqlite-handle.ts'
import { type InboxMessage, open, type Tinymq } from '../index.ts'
import { arrive, numbered } from '../../test/support/inbox-arrivals.ts'
import { drivers, scratchPath, shell } from '../../test/support/scratch.ts'

type CliSession = { readonly path: string; readonly db: SqliteHandle; readonly mq: Tinymq }

function opened(t: TestContext, at = 0): CliSession {
  const [, connect] = drivers[at] ?? assert.fail()
  const path = scratchPath(t)
  const db = connect(path)
  const mq = open({ db })
  t.after(() => {
    mq.close()
    db.close()
  })
  return { path, db, mq }
}

const rows = (db: SqliteHandle, sql: string): unknown[] =>
  (db.prepare(sql).all() as object[]).map((row) => ({ ...row }))

const isEmpty = (db: SqliteHandle): void => {
  assert.deepEqual(rows(db, 'SELECT id FROM mqin UNION ALL SELECT id FROM mqlease'), [])
}

/** Consumes until so many handlers have ended. */
async function consumeSome(
  mq: Tinymq,
  count: number,
  handler: (message: InboxMessage) => unknown,
  options: Parameters<Tinymq['consume']>[1] = {},
): Promise<void> {
  let handled = 0
  await mq.consume(async (message) => {
    try {
      await handler(message)
    } finally {
      if (++handled === count) void mq.drain()
    }
  }, options)
}

for (const [at, [driver]] of drivers.entries()) {
  test(`${driver}: what is there and what comes is handled in order and removed`, async (t) => {
    const { path, db, mq } = opened(t, at)
    arrive(db, ...numbered(3), { data: new Uint8Array([0, 255]) })
    const seen: unknown[] = []
    const consumed = consumeSome(mq, 5, ({ data, attempt }) => {
      seen.push(data)
      assert.equal(attempt, 1)
      // The last one is written by another program, while the consumer waits.
      if (seen.length === 4) {
        const insert = "INSERT INTO mqin (token, arrived_at, data) VALUES ('', 1, 'from the shell')"
        setImmediate(() => shell(path, `${insert};`))
      }
    })
    await consumed
    assert.deepEqual(seen, ['1', '2', '3', new Uint8Array([0, 255]), 'from the shell'])
    isEmpty(db)
  })

  test(`${driver}: handler and removal are one transaction`, async (t) => {
    const { db, mq } = opened(t, at)
    db.exec('CREATE TABLE done (n)')
    arrive(db, ...numbered(20))
    await mq.consumeInTransaction((message, handle) => {
      handle.prepare('INSERT INTO done VALUES (?)').run(String(message.data))
      mq.send('b', 9000, '', `about ${String(message.data)}`)
      if (Number(message.data) % 5 === 0 && message.attempt === 1) throw new Error('not yet')
      if (rows(db, 'SELECT n FROM done').length === 20) void mq.drain()
    })
    const count = 'SELECT count(*) AS n, count(DISTINCT'
    assert.deepEqual(rows(db, `${count} n) AS d FROM done`), [{ n: 20, d: 20 }])
    assert.deepEqual(rows(db, `${count} data) AS d FROM mqout`), [{ n: 20, d: 20 }])
    isEmpty(db)
  })
}

test('several handlers run at a time, as many as were asked for', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(30))
  let running = 0
  let most = 0
  await consumeSome(
    mq,
    30,
    async () => {
      most = Math.max(most, ++running)
      await new Promise(setImmediate)
      running--
    },
    { concurrency: 7 },
  )
  assert.equal(most, 7)
  isEmpty(db)
})

test('two consumers of one connection share the messages', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(40))
  const seen: unknown[] = []
  const handler = async ({ id }: InboxMessage): Promise<void> => {
    seen.push(id)
    await new Promise(setImmediate)
    if (seen.length === 40) void mq.drain()
  }
  await Promise.all([mq.consume(handler), mq.consume(handler, { concurrency: 3 })])
  assert.deepEqual(new Set(seen).size, 40)
  assert.equal(seen.length, 40)
  isEmpty(db)
})

test('whatever a handler throws is kept, and the message is tried again', async (t) => {
  const { db, mq } = opened(t)
  const thrown: unknown[] = [undefined, null, 'a string', new Error('an error'), { a: 1n }, 7]
  arrive(db, ...numbered(thrown.length))
  await consumeSome(
    mq,
    thrown.length,
    ({ data }) => {
      throw thrown[Number(data) - 1]
    },
    { attempts: 2 },
  )
  const kept = rows(db, 'SELECT error, attempts, owner FROM mqlease ORDER BY id') as {
    error: string
    attempts: number
    owner: unknown
  }[]
  assert.deepEqual(
    kept.map(({ error }) => error.split('\n')[0]),
    [
      'not an Error was thrown: undefined',
      'not an Error was thrown: null',
      'not an Error was thrown: a string',
      'Error: an error',
      'not an Error was thrown: [object Object]',
      'not an Error was thrown: 7',
    ],
  )
  assert.ok(kept.every(({ attempts, owner }) => attempts === 1 && owner === null))
  await consumeSome(
    open({ db }),
    thrown.length,
    async ({ attempt }) => {
      assert.equal(attempt, 2)
      return Promise.reject(new Error('again'))
    },
    { attempts: 2 },
  )
  assert.equal(rows(db, "SELECT id FROM mqdead WHERE error LIKE 'Error: again%'").length, 6)
  isEmpty(db)
})

test('a handler may settle the message itself, or delete the row', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(4))
  await consumeSome(mq, 4, (message) => {
    if (message.id === 1) message.complete()
    if (message.id === 2) message.dead('not for us')
    if (message.id === 3) message.release({ afterMs: 60_000 })
    if (message.id === 4) db.exec('DELETE FROM mqin WHERE id = 4')
    if (message.id === 1) {
      message.complete()
      assert.throws(() => message.release(), { code: 'TINYMQ_INVALID_ARGUMENT' })
    }
  })
  assert.deepEqual(rows(db, 'SELECT id, error FROM mqdead'), [{ id: 2, error: 'not for us' }])
  assert.deepEqual(rows(db, 'SELECT id FROM mqin'), [{ id: 3 }])
  assert.deepEqual(rows(db, 'SELECT id, attempts FROM mqlease'), [{ id: 3, attempts: 0 }])
})

test('a handler that has settled its message and works on is waited for', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(2))
  const gate = Promise.withResolvers<void>()
  let ended = 0
  let isOver = false
  const consumed = mq
    .consume(async (message) => {
      message.complete()
      await gate.promise
      if (++ended === 2) void mq.drain()
    })
    .then(() => (isOver = true))
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  assert.deepEqual([isOver, rows(db, 'SELECT id FROM mqin')], [false, [{ id: 2 }]])
  gate.resolve()
  await consumed
  isEmpty(db)
})

test('abort ends a waiting consumer at once, and shows a running handler', async (t) => {
  const { db, mq } = opened(t)
  const waiting = new AbortController()
  const consumed = mq.consume(() => assert.fail(), { signal: waiting.signal })
  waiting.abort()
  await consumed
  await mq.consume(() => assert.fail(), { signal: AbortSignal.abort() })
  arrive(db, ...numbered(2))
  const running = new AbortController()
  await mq.consume(
    async ({ signal }) => {
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
      running.abort(new Error('shutting down'))
      await aborted
      signal.throwIfAborted()
    },
    { signal: running.signal },
  )
  // Not its fault: it is no attempt.
  assert.deepEqual(rows(db, 'SELECT id, owner, attempts, error FROM mqlease'), [
    { id: 1, owner: null, attempts: 0, error: null },
  ])
})

test('drain waits for the handlers that run, and takes nothing more', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(5))
  const entered = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const consumed = mq.consume(async () => {
    entered.resolve()
    await gate.promise
  })
  await entered.promise
  let isDrained = false
  const drained = mq.drain().then(() => (isDrained = true))
  await new Promise(setImmediate)
  assert.equal(isDrained, false)
  gate.resolve()
  await Promise.all([drained, consumed])
  assert.equal(rows(db, 'SELECT id FROM mqin').length, 4)
  assert.deepEqual(rows(db, 'SELECT id FROM mqlease'), [])
})

test('await using drains and closes', async (t) => {
  const path = scratchPath(t)
  let handled = 0
  let mq: Tinymq | undefined
  {
    await using scoped = open(path)
    mq = scoped
    shell(path, "INSERT INTO mqin (token, arrived_at, data) VALUES ('', 1, 'x');")
    const entered = Promise.withResolvers<void>()
    void scoped.consume(async () => {
      entered.resolve()
      await new Promise(setImmediate)
      handled++
    })
    await entered.promise
  }
  assert.equal(handled, 1)
  assert.throws(() => mq.send('b', 9000, '', ''), { code: 'TINYMQ_CLOSED' })
  assert.equal(shell(path, 'SELECT count(*) FROM mqin;').output, '0')
})

test('who has lost the lease is informed, and spoils nothing', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(1))
  await consumeSome(
    mq,
    1,
    async (message) => {
      // What another consumer does when the lease has run out.
      db.exec("UPDATE mqlease SET owner = 'another', attempts = attempts + 1")
      await new Promise((resolve) => message.signal.addEventListener('abort', resolve))
      assert.equal((message.signal.reason as { code: string }).code, 'TINYMQ_LEASE_LOST')
      assert.throws(() => message.complete(), { code: 'TINYMQ_LEASE_LOST' })
    },
    { leaseMs: 1_000 },
  )
  assert.deepEqual(rows(db, 'SELECT owner, attempts FROM mqlease'), [
    { owner: 'another', attempts: 2 },
  ])
  assert.equal(rows(db, 'SELECT id FROM mqin').length, 1)
})

test('a lease is renewed for as long as the handler runs', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(1))
  const untilOf = (): number =>
    (rows(db, 'SELECT until FROM mqlease')[0] as { until: number }).until
  await consumeSome(
    mq,
    1,
    async () => {
      const first = untilOf()
      while (untilOf() < first + 1_000) await new Promise(setImmediate)
    },
    { leaseMs: 1_000 },
  )
  isEmpty(db)
})

test('another file at the path ends what waits', async (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  const isClosed = { code: 'TINYMQ_CLOSED' }
  const waiting = [mq.consume(() => undefined), mq.request('b', 9000, '', ''), mq.inbox().next()]
  const ended = waiting.map(async (promise) => assert.rejects(promise, isClosed))
  rmSync(path)
  await Promise.all(ended)
  await assert.rejects(
    mq.consume(() => undefined),
    isClosed,
  )
})

test('a dead letter takes no other one from its place', async (t) => {
  const { db, mq } = opened(t)
  db.exec("INSERT INTO mqdead (id, error) VALUES (1, 'long ago')")
  arrive(db, ...numbered(1))
  await consumeSome(mq, 1, (message) => message.dead('today'))
  assert.deepEqual(rows(db, 'SELECT id, error FROM mqdead'), [
    { id: 1, error: 'long ago' },
    { id: 2, error: 'today' },
  ])
})

test('close ends consumers and iterators with an error', async (t) => {
  const { mq } = opened(t)
  const consumed = assert.rejects(
    mq.consume(() => undefined),
    { code: 'TINYMQ_CLOSED' },
  )
  const next = assert.rejects(mq.inbox().next(), { code: 'TINYMQ_CLOSED' })
  const reply = assert.rejects(mq.request('b', 9000, '', ''), { code: 'TINYMQ_CLOSED' })
  mq.close()
  await Promise.all([consumed, next, reply])
})

test('a transaction of the application is left alone', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(1))
  const controller = new AbortController()
  db.exec('BEGIN; CREATE TABLE theirs (a)')
  let isOpen = true
  const consumed = mq.consume(
    () => {
      assert.equal(isOpen, false)
      controller.abort()
    },
    { signal: controller.signal },
  )
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
  db.exec('ROLLBACK')
  isOpen = false
  await consumed
  isEmpty(db)
})

test('a completed message comes back when the transaction around it is rolled back', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(1))
  const inbox = mq.inbox()
  const { value: message } = await inbox.next()
  db.exec('BEGIN')
  message?.complete()
  db.exec('ROLLBACK')
  assert.equal(rows(db, 'SELECT id FROM mqin').length, 1)
  assert.equal(rows(db, 'SELECT id FROM mqlease WHERE owner IS NOT NULL').length, 1)
  await inbox[Symbol.asyncDispose]()
})

test('a transaction cannot wait for a promise, and must not be ended by the handler', async (t) => {
  const { db, mq } = opened(t)
  db.exec('CREATE TABLE done (n)')
  arrive(db, ...numbered(1))
  await assert.rejects(
    mq.consumeInTransaction(async (_message, handle) => {
      handle.exec('INSERT INTO done VALUES (1)')
      return Promise.reject(new Error('late'))
    }),
    { code: 'TINYMQ_INVALID_ARGUMENT', message: /returned a promise/ },
  )
  assert.deepEqual(rows(db, 'SELECT n FROM done'), [])
  db.exec('UPDATE mqlease SET until = 0')
  // What query builders return: it would run as soon as somebody waits for it.
  const begun: unknown[] = []
  const query: unknown = runInNewContext('({ then() { begun.push(this) } })', { begun })
  await assert.rejects(
    mq.consumeInTransaction(() => query),
    { code: 'TINYMQ_INVALID_ARGUMENT', message: /returned a promise/ },
  )
  assert.deepEqual(begun, [])
  db.exec('UPDATE mqlease SET until = 0')
  await assert.rejects(
    mq.consumeInTransaction((_message, handle) => void handle.exec('COMMIT')),
    { code: 'TINYMQ_INVALID_ARGUMENT', message: /ended the transaction/ },
  )
})

test('a signal and bytes of another realm, as test runners have them, are as good', async (t) => {
  const { db, mq } = opened(t)
  const { buffer, bytes, ending } = runInNewContext(
    `({
    buffer: new Uint8Array([1, 2]).buffer,
    bytes: new Uint8Array([3]),
    ending: new AbortController(),
  })`,
    { AbortController: ForeignController },
  ) as Foreign
  mq.send('b', 9000, '', buffer)
  mq.send('b', 9000, '', bytes)
  assert.deepEqual(rows(db, 'SELECT hex(data) AS hex FROM mqout'), [{ hex: '0102' }, { hex: '03' }])
  const consumed = mq.consume(() => undefined, { signal: ending.signal })
  ending.abort()
  await consumed
  await assert.rejects(
    mq.consume(() => undefined, { signal: {} as AbortSignal }),
    /must be an AbortSignal/,
  )
})

type Foreign = {
  readonly buffer: ArrayBuffer
  readonly bytes: Uint8Array
  readonly ending: ForeignController
}

/** Behaves like one, and is no instance of ours. */
class ForeignController {
  readonly #real = new AbortController()

  get signal(): AbortSignal {
    const { signal } = this.#real
    return {
      get aborted() {
        return signal.aborted
      },
      addEventListener: signal.addEventListener.bind(signal),
      removeEventListener: signal.removeEventListener.bind(signal),
    } as AbortSignal
  }

  abort(): void {
    this.#real.abort()
  }
}

test('inbox: what is not settled when the loop is left goes back', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(3))
  for await (const message of mq.inbox()) {
    if (message.id === 1) message.complete()
    if (message.id === 3) break
  }
  assert.deepEqual(rows(db, 'SELECT id FROM mqin'), [{ id: 2 }, { id: 3 }])
  assert.deepEqual(rows(db, 'SELECT owner, attempts FROM mqlease'), [
    { owner: null, attempts: 0 },
    { owner: null, attempts: 0 },
  ])
  const failed = async (): Promise<void> => {
    for await (const { id } of mq.inbox()) throw new Error(`at ${id}`)
  }
  await assert.rejects(failed, { message: 'at 2' })
  assert.deepEqual(rows(db, 'SELECT id FROM mqlease WHERE owner IS NOT NULL'), [])
})

test('inbox: abort settles a pending next at once, and the loop ends', async (t) => {
  const { db, mq } = opened(t)
  const controller = new AbortController()
  const { signal } = controller
  const pending = mq.inbox({ signal }).next()
  controller.abort()
  assert.deepEqual(await pending, { done: true, value: undefined })
  arrive(db, ...numbered(2))
  const second = new AbortController()
  const ids: number[] = []
  for await (const message of mq.inbox({ signal: second.signal })) {
    ids.push(message.id)
    second.abort()
  }
  assert.deepEqual(ids, [1])
  assert.deepEqual(rows(db, 'SELECT id FROM mqlease WHERE owner IS NOT NULL'), [])
})

test('inbox: several can be in hand, each with its own end', async (t) => {
  const { db, mq } = opened(t)
  arrive(db, ...numbered(3))
  const inbox = mq.inbox()
  const steps = await Promise.all([inbox.next(), inbox.next(), inbox.next()])
  const [a, b, c] = steps.map(({ value }) => value)
  assert.deepEqual([a?.id, b?.id, c?.id], [1, 2, 3])
  c?.dead(new Error('no'))
  a?.complete()
  await inbox[Symbol.asyncDispose]()
  assert.deepEqual(rows(db, 'SELECT id FROM mqin'), [{ id: 2 }])
  assert.deepEqual((await inbox.next()).done, true)
})

test('the options of a consumer must make sense', async (t) => {
  const { mq } = opened(t)
  const consume = mq.consume.bind(mq) as (...values: unknown[]) => Promise<void>
  const bad = [{ concurrency: 0 }, { attempts: 1.5 }, { leaseMs: 1 }, { token: 7 }, { schema: {} }]
  for (const options of bad) {
    await assert.rejects(
      consume(() => 1, options),
      {
        code: 'TINYMQ_INVALID_ARGUMENT',
        message: new RegExp(`^${Object.keys(options)[0]} must be`),
      },
    )
  }
  await assert.rejects(consume('handler'), { code: 'TINYMQ_INVALID_ARGUMENT' })
})

test('tracing: traceparent is added when sending, and found at the handler', async (t) => {
  const { db, mq } = opened(t)
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const seen: unknown[] = []
  const send = tracingChannel<'tinymq:send', { headers: Record<string, unknown> }>('tinymq:send')
  const consume = tracingChannel<'tinymq:consume', ConsumeTrace>('tinymq:consume')
  const onSend = {
    start: (context: object) =>
      Object.assign((context as { headers: object }).headers, { traceparent }),
  }
  const onConsume = {
    start: (context: object) => seen.push((context as ConsumeTrace).message.headers),
    error: (context: object) => seen.push((context as { error: Error }).error.message),
  }
  send.subscribe(onSend as never)
  consume.subscribe(onConsume as never)
  t.after(() => {
    send.unsubscribe(onSend as never)
    consume.unsubscribe(onConsume as never)
  })
  mq.send('b', 9000, '', 'x', { headers: { a: 1 } })
  mq.sendMany([{ host: 'b', data: 'y' }])
  const sent = rows(db, 'SELECT headers FROM mqout')
  assert.deepEqual(sent, [
    { headers: JSON.stringify({ a: 1, traceparent }) },
    { headers: JSON.stringify({ traceparent }) },
  ])
  arrive(db, { headers: { traceparent } })
  await consumeSome(mq, 1, () => {
    throw new Error('traced')
  })
  assert.deepEqual(seen, [{ traceparent }, 'traced'])
})
