/**
 * One node of a test: a real database file, a real daemon on it, and the SDK on the same file. Must
 * never sleep: it waits for commits.
 */
import { answered } from '../waiters.ts'
import { CommitWatch } from '../commit-watch.ts'
import { openDatabase } from '../schema/open-database.ts'
import { TinymqError } from '../schema/errors.ts'
import { prepare, type SqliteHandle } from '../schema/sqlite-handle.ts'
import { open } from '../open.ts'
import type { Tinymq } from '../client.ts'

/** How long to wait, in milliseconds: 10,000 when left out. */
export type WaitOptions = {
  readonly withinMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** SQL, of whose first row the first column counts; or a function of the database. */
type Query<Value> = string | ((db: SqliteHandle) => Value)

/** What is needed of one: its types would lead into the whole daemon. */
type RunningDaemon = { readonly stop: () => Promise<void> }

type NodeParts = {
  readonly name: string
  readonly database: string
  readonly startDaemon: () => Promise<RunningDaemon>
  /** Takes the node off the network at once. */
  readonly unplug: () => void
}

/** Made by `startNodes`. */
export class TestNode {
  /** By this name the other nodes send to it, on port 9000. */
  readonly name: string
  /** The path of its database. */
  readonly database: string
  /** A connection of better-sqlite3 to it. */
  readonly db: SqliteHandle
  /** The SDK on that connection. */
  readonly mq: Tinymq
  readonly #parts: NodeParts
  readonly #watch: CommitWatch
  #daemon: RunningDaemon | undefined

  /** @internal */
  constructor(parts: NodeParts) {
    this.name = parts.name
    this.database = parts.database
    this.#parts = parts
    this.db = openDatabase(parts.database)
    this.mq = open({ db: this.db })
    this.#watch = new CommitWatch(this.db)
  }

  /** Whether its daemon runs. */
  get isRunning(): boolean {
    return this.#daemon !== undefined
  }

  /** Starts the daemon, again after `stop` or `crash`. */
  async start(): Promise<void> {
    if (this.#daemon !== undefined) return
    this.#daemon = await this.#parts.startDaemon()
  }

  /** Stops the daemon in order: its peers are informed. The database and the SDK go on. */
  async stop(): Promise<void> {
    const daemon = this.#daemon
    this.#daemon = undefined
    await daemon?.stop()
  }

  /**
   * The node is gone from the network from one datagram to the next, as its peers see a crash or a
   * power cut; what it had committed is there when it is started again.
   */
  async crash(): Promise<void> {
    this.#parts.unplug()
    await this.stop()
  }

  /**
   * Asks now and after each commit, until the answer is neither undefined, null, false, 0 nor
   * empty, and resolves with it.
   * @throws TinymqError TINYMQ_TEST_ENVIRONMENT when that takes too long, with the last answer;
   * what SQLite says; and the reason of the signal.
   */
  async waitFor<Value = unknown>(
    question: Query<Value>,
    { withinMs = 10_000, signal }: WaitOptions = {},
  ): Promise<NonNullable<Value>> {
    const ask = this.#asking(question)
    const late = new AbortController()
    let last: unknown
    const giveUp = (): void => late.abort(this.#late(question, withinMs, last))
    // A longer timer would end at once.
    const timer = setTimeout(giveUp, Math.min(withinMs, 2 ** 31 - 1))
    const signals = signal === undefined ? [late.signal] : [late.signal, signal]
    try {
      const look = (): Value => (last = ask()) as Value
      return await answered(this.#watch, look, AbortSignal.any(signals))
    } finally {
      clearTimeout(timer)
    }
  }

  /** Resolves when at least `count` messages are in its inbox. */
  async waitForInbox(count: number, options?: WaitOptions): Promise<void> {
    await this.waitFor(`SELECT count(*) >= ${count} FROM mqin`, options)
  }

  /** Resolves when every message that it has sent is on the disk of the other node. */
  async waitForEmptyOutbox(options?: WaitOptions): Promise<void> {
    await this.waitFor('SELECT NOT EXISTS (SELECT 1 FROM mqout)', options)
  }

  /** @internal Closes all, once consumers have finished. */
  async end(): Promise<void> {
    this.mq.close()
    this.#watch.end(new TinymqError('TINYMQ_CLOSED', `node ${this.name} was stopped`))
    await this.stop()
    this.db.close()
  }

  #asking<Value>(question: Query<Value>): () => unknown {
    if (typeof question === 'function') return () => question(this.db)
    const statement = prepare(this.db, question)
    return () => Object.values((statement.get() as object | undefined) ?? {}).at(0) as unknown
  }

  #late(question: Query<unknown>, withinMs: number, last: unknown): TinymqError {
    const asked = typeof question === 'string' ? question : 'what was waited for'
    const sql = "SELECT id || ' to ' || host || ': ' || reason AS line FROM mqstatus LIMIT 3"
    const rows = prepare(this.db, sql).all() as { line: string }[]
    const waiting = rows.map(({ line }) => line)
    const outbox = waiting.length === 0 ? 'its outbox is empty' : `it waits: ${waiting.join('; ')}`
    const answer = `${asked} gave ${String(last)} at node ${this.name} for ${withinMs} ms`
    return new TinymqError('TINYMQ_TEST_ENVIRONMENT', `${answer}; ${outbox}`)
  }
}
