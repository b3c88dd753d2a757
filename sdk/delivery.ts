/**
 * Waits until rows of `mqout` have been delivered: looks when something was committed, and once a
 * second without a sign of it, because rolling back is no commit.
 */

import type { CommitWatch } from './commit-watch.ts'
import { TinymqError, translated } from './schema/errors.ts'
import { inTransaction, type SqliteHandle } from './schema/sqlite-handle.ts'
import { OutcomeReader, type SeenRow } from './schema/row-outcome.ts'
import { Waiters } from './waiters.ts'

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
