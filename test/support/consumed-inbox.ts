/** An inbox for tests of consumers in processes of their own. Must never outlive its test. */
import { ok } from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import Database from 'better-sqlite3'
import { open } from '../../sdk/index.ts'
import { ConsumerProcess, type Handling } from './consumer-process.ts'
import type { ConsumerTask } from './consumer-program.ts'
import { until } from './until.ts'

/** An inbox with messages from some senders, and the consumers that work on it. */
export class ConsumedInbox {
  readonly db: Database.Database
  readonly #directory = mkdtempSync(join(tmpdir(), 'tinymq-consumers-'))
  readonly #path = join(this.#directory, 'mq.db')
  readonly #consumers: ConsumerProcess[] = []
  #arrived = 0

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

  /** Messages that have arrived so far. */
  get arrived(): number {
    return this.#arrived
  }

  arrive(count: number): void {
    const first = this.#arrived + 1
    this.#arrived += count
    const each = `
      WITH RECURSIVE n (i) AS
        (SELECT ${first} UNION ALL SELECT i + 1 FROM n WHERE i < ${this.#arrived})`
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
