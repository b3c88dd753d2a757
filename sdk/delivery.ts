/**
 * Waits until rows of `mqout` have been delivered: looks when something was committed, and once a
 * second without a sign of it, because rolling back is no commit. Nothing runs while nobody waits.
 */

import {
  type CommitListener,
  type CommitWatch,
  closedWhileWaiting,
  reasonOf,
} from './commit-watch.ts'
import { TinymqError, translated } from './errors.ts'
import { inTransaction, type SqliteHandle } from './handle.ts'
import { OutcomeReader, type Seen } from './outcome.ts'

const recheckMs = 1_000
const inTransactionMs = 5

// However many rows are waited for, looking takes at most a tenth of the time.
const restPerWork = 10

type Waiter = {
  readonly id: number
  seen: Seen
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/**
 * Who waits in a transaction waits for what it sends itself: that leaves after the COMMIT.
 * @throws TinymqError TINYMQ_BAD_ARGUMENT
 */
export function refuseInTransaction(db: SqliteHandle): void {
  if (!inTransaction(db)) return
  throw new TinymqError(
    'TINYMQ_BAD_ARGUMENT',
    'a transaction is open on this connection, and what it sends leaves only when it was ' +
      'committed: commit first, or wait on a connection of its own',
  )
}

/** The rows of one connection that somebody waits for. */
export class Deliveries {
  readonly #db: SqliteHandle
  readonly #watch: CommitWatch
  readonly #outcomes: OutcomeReader
  readonly #waiters = new Set<Waiter>()
  readonly #listener: CommitListener = {
    onCommit: () => this.#lookIn(0),
    onEnd: (reason) => this.#rejectAll(reason),
  }
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = Infinity
  #restUntilMs = 0

  constructor(db: SqliteHandle, watch: CommitWatch) {
    this.#db = db
    this.#watch = watch
    this.#outcomes = new OutcomeReader(db)
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
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = { id, seen: { uid: outcome.uid, forgotten }, resolve, reject }
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiters.add(waiter)
    try {
      if (this.#waiters.size === 1) this.#start()
      await promise
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#waiters.delete(waiter)
      if (this.#waiters.size === 0) this.#stop()
    }
  }

  /** Rejects all that wait. */
  close(): void {
    this.#rejectAll(closedWhileWaiting())
    this.#stop()
  }

  #start(): void {
    this.#watch.add(this.#listener)
    // What was committed since the first look is not told.
    this.#lookIn(0)
  }

  #stop(): void {
    this.#watch.remove(this.#listener)
    clearTimeout(this.#timer)
    this.#dueAtMs = Infinity
  }

  #lookIn(ms: number): void {
    if (this.#waiters.size === 0) return
    const nowMs = performance.now()
    const dueAtMs = Math.max(nowMs + ms, this.#restUntilMs)
    if (this.#dueAtMs <= dueAtMs) return
    clearTimeout(this.#timer)
    this.#dueAtMs = dueAtMs
    this.#timer = setTimeout(() => this.#look(), dueAtMs - nowMs)
  }

  #look(): void {
    this.#dueAtMs = Infinity
    const startMs = performance.now()
    try {
      // What a transaction of the application shows may be rolled back.
      if (inTransaction(this.#db)) return this.#lookIn(inTransactionMs)
      const forgotten = this.#outcomes.forgotten()
      for (const waiter of this.#waiters) {
        const outcome = this.#outcomes.read(waiter.id, waiter.seen)
        if (outcome.type === 'waiting') waiter.seen = { uid: outcome.uid, forgotten }
        if (outcome.type === 'delivered') waiter.resolve()
        if (outcome.type === 'lost') waiter.reject(outcome.error)
      }
    } catch (error) {
      const reason = reasonOf(this.#db, error)
      if (!(reason instanceof TinymqError && reason.retryable)) this.#rejectAll(reason)
    }
    const tookMs = performance.now() - startMs
    this.#restUntilMs = startMs + tookMs + restPerWork * tookMs
    return this.#lookIn(recheckMs)
  }

  #rejectAll(reason: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(reason)
  }
}
