/**
 * Those who wait through one connection for what a commit brings. All share one look at the
 * database: after each commit, and again when the look says so. Nothing runs while nobody waits.
 */
import {
  type CommitListener,
  type CommitWatch,
  closedWhileWaiting,
  reasonOf,
} from './commit-watch.ts'
import { TinymqError, translated } from './schema/errors.ts'
import { type SqliteHandle, inTransaction } from './schema/sqlite-handle.ts'
import { OutcomeReader, type SeenRow } from './schema/row-outcome.ts'

/** What a transaction of the application shows may be rolled back: it is over soon. */
const inTransactionMs = 5
/** Another connection holds the lock, say. */
const retryMs = 50

type WaitersParts = {
  readonly db: SqliteHandle
  readonly watch: CommitWatch
  /**
   * Settles those whose answer is there; never called inside a transaction.
   * @returns when to look again without a commit, in milliseconds; undefined: never.
   */
  readonly look: () => number | undefined
  /** Looks are followed by a rest of so many times the time that they took. */
  readonly restPerWork: number
}

type Waiter<Value> = {
  readonly resolve: (value: Value) => void
  readonly reject: (reason: unknown) => void
}

export class Waiters<Question, Value> {
  readonly #parts: WaitersParts
  readonly #waiting = new Map<Question, Waiter<Value>>()
  readonly #listener: CommitListener = {
    onCommit: () => this.#onCommit(),
    onEnd: (reason) => this.#rejectAll(reason),
  }
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = Infinity
  #restUntilMs = 0

  constructor(parts: WaitersParts) {
    this.#parts = parts
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0
  }

  get questions(): Iterable<Question> {
    return this.#waiting.keys()
  }

  has(question: Question): boolean {
    return this.#waiting.has(question)
  }

  /** Resolves by `resolve`; rejects by `reject`, by the signal, or when the watch ends. */
  async wait(question: Question, signal: AbortSignal | undefined): Promise<Value> {
    const { promise, resolve, reject } = Promise.withResolvers<Value>()
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiting.set(question, { resolve, reject })
    try {
      if (this.#waiting.size === 1) {
        this.#parts.watch.add(this.#listener)
        // What was committed before is not reported.
        this.#lookIn(0)
      }
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#waiting.delete(question)
      if (this.#waiting.size === 0) this.#stop()
    }
  }

  resolve(question: Question, value: Value): void {
    this.#waiting.get(question)?.resolve(value)
  }

  reject(question: Question, reason: unknown): void {
    this.#waiting.get(question)?.reject(reason)
  }

  /** Rejects all that wait. */
  close(): void {
    this.#rejectAll(closedWhileWaiting())
    this.#stop()
  }

  #stop(): void {
    this.#parts.watch.remove(this.#listener)
    clearTimeout(this.#timer)
    this.#dueAtMs = Infinity
  }

  #onCommit(): void {
    if (performance.now() < this.#restUntilMs) this.#lookIn(0)
    else this.#look()
  }

  #lookIn(ms: number): void {
    const nowMs = performance.now()
    const dueAtMs = Math.max(nowMs + ms, this.#restUntilMs)
    if (this.#dueAtMs <= dueAtMs) return
    clearTimeout(this.#timer)
    this.#dueAtMs = dueAtMs
    this.#timer = setTimeout(() => this.#look(), dueAtMs - nowMs)
  }

  #look(): void {
    clearTimeout(this.#timer)
    this.#dueAtMs = Infinity
    if (this.#waiting.size === 0) return
    const { db, look, restPerWork } = this.#parts
    const startMs = performance.now()
    let againMs: number | undefined = retryMs
    try {
      againMs = inTransaction(db) ? inTransactionMs : look()
    } catch (error) {
      const reason = reasonOf(db, error)
      if (!(reason instanceof TinymqError && reason.retryable)) return this.#rejectAll(reason)
    }
    const endMs = performance.now()
    this.#restUntilMs = endMs + restPerWork * (endMs - startMs)
    if (againMs !== undefined) this.#lookIn(againMs)
  }

  #rejectAll(reason: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(reason)
  }
}

/**
 * Waits for the answer to a question about the database: asked at once and after each commit.
 * Resolves with the first answer that is neither undefined, null, false, 0 nor empty.
 * @throws what `ask` throws, why the watch has ended, and the reason of the signal.
 */
export async function answered<Value>(
  watch: CommitWatch,
  ask: () => Value,
  signal: AbortSignal,
): Promise<NonNullable<Value>> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<NonNullable<Value>>()
  const look = (): void => {
    try {
      const answer = ask()
      if (answer) resolve(answer)
    } catch (error) {
      reject(error)
    }
  }
  const listener = { onCommit: look, onEnd: reject }
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    watch.add(listener)
    look()
    return await promise
  } finally {
    signal.removeEventListener('abort', onAbort)
    watch.remove(listener)
  }
}

// Waits until rows of `mqout` have been delivered: looks when something was committed, and once
// a second without a sign of it, because rolling back is no commit.

const recheckMs = 1_000
/** However many rows are waited for, looking takes at most a tenth of the time. */
const restPerWork = 10

type Awaited = { readonly id: number; seen: SeenRow }

/**
 * Who waits in a transaction waits for what it sends itself: that leaves after the COMMIT.
 * @throws TinymqError TINYMQ_INVALID_ARGUMENT
 */
export function refuseInTransaction(db: SqliteHandle): void {
  if (!inTransaction(db)) return
  throw new TinymqError(
    'TINYMQ_INVALID_ARGUMENT',
    'a transaction is open on this connection, and what it sends leaves only when it was ' +
      'committed: commit first, or wait on a connection of its own',
  )
}

/** The rows of one connection that somebody waits for. */
export class Deliveries {
  readonly #db: SqliteHandle
  readonly #outcomes: OutcomeReader
  readonly #waiters: Waiters<Awaited, undefined>

  constructor(db: SqliteHandle, watch: CommitWatch) {
    this.#db = db
    this.#outcomes = new OutcomeReader(db)
    this.#waiters = new Waiters({ db, watch, look: () => this.#look(), restPerWork })
  }

  /**
   * Resolves once row `id` is delivered. Rejects when it never will be, when a transaction is open
   * now, with the reason of the signal, or with what SQLite says.
   */
  async wait(id: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const forgotten = translated(() => this.#outcomes.forgotten())
    const outcome = translated(() => this.#outcomes.read(id, undefined))
    if (outcome.type === 'delivered') return
    refuseInTransaction(this.#db)
    if (outcome.type === 'lost') throw outcome.error
    await this.#waiters.wait({ id, seen: { uid: outcome.uid, forgotten } }, signal)
  }

  /** Rejects all that wait. */
  close(): void {
    this.#waiters.close()
  }

  #look(): number {
    const forgotten = this.#outcomes.forgotten()
    for (const awaited of this.#waiters.questions) {
      const outcome = this.#outcomes.read(awaited.id, awaited.seen)
      if (outcome.type === 'waiting') awaited.seen = { uid: outcome.uid, forgotten }
      if (outcome.type === 'delivered') this.#waiters.resolve(awaited, undefined)
      if (outcome.type === 'lost') this.#waiters.reject(awaited, outcome.error)
    }
    return recheckMs
  }
}
