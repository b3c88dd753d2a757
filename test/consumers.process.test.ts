/** Consumers in processes of their own, which are killed in the middle of their work. */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { SeededRandom } from '../daemon/protocol/testing/seeded-random.ts'
import { open } from '../sdk/index.ts'
import { ConsumerProcess, type Handling } from './harness/consumer-process.ts'
import type { ConsumerTask } from './harness/consumer-program.ts'
import { scaled } from './harness/scale.ts'
import { until } from './harness/until.ts'

const messages = scaled(20_000)
const consumersMax = 4

/** An inbox with messages from some senders, and the consumers that work on it. */
class Inbox {
  readonly db: Database.Database
  readonly #directory = mkdtempSync(join(tmpdir(), 'tinymq-consumers-'))
  readonly #path = join(this.#directory, 'mq.db')
  readonly #consumers: ConsumerProcess[] = []

  constructor(t: TestContext) {
    open(this.#path).close()
    this.db = new Database(this.#path, { timeout: 20_000 })
    this.db.exec('CREATE TABLE effect (id INTEGER)')
    t.after(async () => {
      await Promise.all(this.#consumers.map(async (consumer) => consumer[Symbol.asyncDispose]()))
      this.db.close()
      rmSync(this.#directory, { recursive: true })
    })
  }

  arrive(count: number): void {
    const each = `
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`
    this.db.exec(`
      INSERT INTO mqin (host, port, token, sent_at, arrived_at, sender, sender_row, data)
      ${each} SELECT 'MachineA', 9000, '', 1, 1, i % 3 + 1, i, 'message ' || i FROM n`)
  }

  start(task: Partial<ConsumerTask> = {}): ConsumerProcess {
    const consumer = new ConsumerProcess({
      database: this.#path,
      log: join(this.#directory, `log-${this.#consumers.length}`),
      kind: 'consume',
      work: 'short',
      concurrency: 4,
      leaseMs: 5_000,
      ...task,
    })
    this.#consumers.push(consumer)
    return consumer
  }

  value(sql: string): unknown {
    return this.db.prepare(sql).pluck().get()
  }

  async empty(withinMs: number): Promise<void> {
    await until({ what: 'the inbox to be empty', withinMs }, () => {
      for (const { accident } of this.#consumers) ok(accident === undefined, accident)
      return this.value('SELECT NOT EXISTS (SELECT 1 FROM mqin)') === 1
    })
  }

  handlings(): Handling[] {
    return this.#consumers.flatMap((consumer) => consumer.handlings())
  }
}

/** Two handlers that had the same message at the same time. */
function overlaps(handlings: readonly Handling[]): string[] {
  const order = handlings.toSorted((a, b) => a.id - b.id || Number(a.beginNs - b.beginNs))
  return order.flatMap((handling, at) => {
    const before = order[at - 1]
    const isOverlap = before?.id === handling.id && before.endNs > handling.beginNs
    return isOverlap ? [`message ${handling.id}`] : []
  })
}

/** Runs four consumers until all is handled, one of them being killed and replaced all the time. */
async function killAtRandom(
  t: TestContext,
  inbox: Inbox,
  kills: number,
  task: Partial<ConsumerTask>,
): Promise<void> {
  const random = new SeededRandom(7)
  const consumers = Array.from({ length: consumersMax }, () => inbox.start(task))
  let killed = 0
  for (; killed < kills && inbox.value('SELECT count(*) FROM mqin') !== 0; killed++) {
    await sleep(100 + random.next() * 500)
    const at = Math.floor(random.next() * consumersMax)
    await consumers[at]?.kill9()
    consumers[at] = inbox.start(task)
  }
  await inbox.empty(300_000)
  t.diagnostic(`${killed} consumers were killed`)
  ok(killed > 3)
}

test('a consumer is killed in the middle of a message: it is handled again', async (t) => {
  const inbox = new Inbox(t)
  inbox.arrive(1)
  const first = inbox.start({ work: 'endless', leaseMs: 1_000 })
  await until(
    { what: 'the handler to begin', withinMs: 20_000 },
    () => first.handlings().length === 1,
  )
  // It holds the message for longer than one lease.
  await sleep(2_000)
  const second = inbox.start({ leaseMs: 1_000 })
  await sleep(500)
  deepEqual(second.handlings(), [])
  await first.kill9()
  await inbox.empty(20_000)
  equal(second.handlings().length, 1)
  deepEqual(overlaps(inbox.handlings()), [])
})

test('killed in the middle of a transaction, a handler has done nothing', async (t) => {
  const inbox = new Inbox(t)
  inbox.arrive(1)
  const task = { kind: 'transaction', leaseMs: 1_000 } as const
  const first = inbox.start({ ...task, work: 'endless' })
  await until(
    { what: 'the handler to begin', withinMs: 20_000 },
    () => first.handlings().length === 1,
  )
  await first.kill9()
  equal(inbox.value('SELECT count(*) FROM effect'), 0)
  inbox.start(task)
  await inbox.empty(20_000)
  equal(inbox.value('SELECT count(*) FROM effect'), 1)
})

test('four consumers, killed at random: each message handled, none twice at a time', async (t) => {
  const inbox = new Inbox(t)
  inbox.arrive(messages)
  await killAtRandom(t, inbox, 20, {})
  const handlings = inbox.handlings()
  const handled = new Set(handlings.filter(({ isWhole }) => isWhole).map(({ id }) => id))
  equal(handled.size, messages)
  deepEqual(overlaps(handlings), [])
  t.diagnostic(`${handlings.length - messages} messages were begun again`)
  equal(inbox.value('SELECT count(*) FROM mqdead'), 0)
  equal(inbox.value('SELECT count(*) FROM mqlease'), 0)
  equal(inbox.value('PRAGMA integrity_check'), 'ok')
})

test('four consumers in transactions, killed at random: each message has one effect', async (t) => {
  const inbox = new Inbox(t)
  const count = Math.ceil(messages / 4)
  inbox.arrive(count)
  await killAtRandom(t, inbox, 10, { kind: 'transaction' })
  equal(inbox.value('SELECT count(*) FROM effect'), count)
  equal(inbox.value('SELECT count(DISTINCT id) FROM effect'), count)
  equal(inbox.value('SELECT count(*) FROM mqlease'), 0)
})

test('a million rows in the inbox: the first one under a token is claimed soon', async (t) => {
  const inbox = new Inbox(t)
  const count = scaled(1_000_000)
  inbox.arrive(count)
  const early = Math.floor(count / 100)
  for (const [token, id] of [
    ['early', early],
    ['late', count],
  ] as const) {
    inbox.db.exec(`UPDATE mqin SET token = '${token}' WHERE id = ${id}`)
    inbox.db.pragma('wal_checkpoint(TRUNCATE)')
    using mq = open({ db: inbox.db })
    const startMs = performance.now()
    for await (const message of mq.inbox({ token })) {
      const tookMs = performance.now() - startMs
      equal(message.id, id)
      t.diagnostic(`${token}: ${tookMs.toFixed(1)} ms`)
      // The last of a million is found after all others were passed over.
      ok(tookMs < (token === 'early' ? 200 : 1_500), `${tookMs} ms`)
      break
    }
  }
})

test('a million rows in the inbox: the next one is claimed within 200 ms', async (t) => {
  const inbox = new Inbox(t)
  inbox.arrive(scaled(1_000_000))
  // As the daemon does all the time: otherwise our first commit pays for the rows above.
  inbox.db.pragma('wal_checkpoint(TRUNCATE)')
  using mq = open({ db: inbox.db })
  for (const held of [0, 50, 5_000]) {
    inbox.db.exec(`
      INSERT OR REPLACE INTO mqlease (id, owner, until, attempts)
      SELECT id, 'another', ${Date.now() + 1_000_000}, 1 FROM mqin ORDER BY id LIMIT ${held}`)
    const startMs = performance.now()
    for await (const message of mq.inbox()) {
      const tookMs = performance.now() - startMs
      equal(message.id, held + 1)
      t.diagnostic(`with ${held} of them held by others: ${tookMs.toFixed(1)} ms`)
      ok(tookMs < 200, `${tookMs} ms`)
      break
    }
    inbox.db.exec('DELETE FROM mqlease')
  }
})
