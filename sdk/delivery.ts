/**
 * Waits until rows of `mqout` have been delivered. There is one watch and one timer for all rows
 * that are waited for, and neither when there are none. A change in the directory of the database
 * makes it look soon; without a file, or where watching does not work, it looks every 100 ms.
 */

import { type FSWatcher, watch } from 'node:fs'
import { dirname } from 'node:path'
import { fromSqlite, TinymqError, translated } from './errors.ts'
import { filePath, prepare, type SqliteHandle, type SqliteStatement } from './handle.ts'
import { OutcomeReader } from './outcome.ts'

// The event of the watch comes before the commit can be seen, so one look is not enough.
const pollMsMin = 1
const pollMsMax = 100

// Rolling back changes no counter, so it looks without a sign of change too, but seldom.
const recheckMs = 1000

// However many rows are waited for, looking takes at most a tenth of the time.
const restPerWork = 10

type Waiter = {
  readonly id: number
  readonly uid: Uint8Array | undefined
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/** The rows of one connection that somebody waits for. */
export class Deliveries {
  readonly #directory: string | undefined
  readonly #outcomes: OutcomeReader
  readonly #dataVersion: SqliteStatement
  readonly #ownChanges: SqliteStatement
  readonly #waiters = new Set<Waiter>()
  #watcher: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = 0
  #pollMs = pollMsMin
  #restUntilMs = 0
  #lookedAtMs = 0
  #lookedAtVersion = ''

  constructor(db: SqliteHandle) {
    const path = filePath(db)
    this.#directory = path === undefined ? undefined : dirname(path)
    this.#outcomes = new OutcomeReader(db)
    this.#dataVersion = prepare(db, 'PRAGMA data_version')
    this.#ownChanges = prepare(db, 'SELECT total_changes() AS own_changes')
  }

  /**
   * Resolves once row `id` is delivered. Rejects when it never will be, with the reason of the
   * signal, or with what SQLite says.
   */
  async wait(id: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const outcome = translated(() => this.#outcomes.read(id, undefined))
    if (outcome.type === 'delivered') return
    if (outcome.type === 'lost') throw outcome.error
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = { id, uid: outcome.uid, resolve, reject }
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiters.add(waiter)
    if (this.#waiters.size === 1) this.#start()
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#waiters.delete(waiter)
      if (this.#waiters.size === 0) this.#stop()
    }
  }

  /** Rejects all that wait. */
  close(): void {
    this.#rejectAll(new TinymqError('TINYMQ_CLOSED', 'closed while waiting for a delivery'))
    this.#stop()
  }

  #start(): void {
    this.#lookedAtVersion = ''
    this.#pollMs = pollMsMin
    this.#watch()
    this.#arm(performance.now())
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#watcher?.close()
    this.#watcher = undefined
  }

  #watch(): void {
    if (this.#directory === undefined) return
    try {
      this.#watcher = watch(this.#directory, { persistent: false }, () => this.#onChange())
      this.#watcher.on('error', () => this.#watcher?.close())
    } catch {
      // The system has no more watches to give, or none for this directory: the timer will do.
      this.#watcher = undefined
    }
  }

  #onChange(): void {
    if (this.#timer === undefined) return
    this.#pollMs = pollMsMin
    const nowMs = performance.now()
    if (this.#dueAtMs > nowMs + pollMsMin) this.#arm(nowMs)
  }

  #arm(nowMs: number): void {
    clearTimeout(this.#timer)
    this.#dueAtMs = Math.max(nowMs + this.#pollMs, this.#restUntilMs)
    this.#timer = setTimeout(() => this.#poll(), this.#dueAtMs - nowMs)
  }

  #poll(): void {
    try {
      this.#lookIfChanged(performance.now())
    } catch (error) {
      const reason = fromSqlite(error)
      if (!(reason instanceof TinymqError && reason.retryable)) this.#rejectAll(reason)
    }
    this.#pollMs = Math.min(2 * this.#pollMs, pollMsMax)
    this.#arm(performance.now())
  }

  #lookIfChanged(nowMs: number): void {
    const version = JSON.stringify([this.#dataVersion.get(), this.#ownChanges.get()])
    if (version === this.#lookedAtVersion && nowMs - this.#lookedAtMs < recheckMs) return
    this.#lookedAtVersion = version
    this.#lookedAtMs = nowMs
    for (const waiter of this.#waiters) {
      const outcome = this.#outcomes.read(waiter.id, waiter.uid)
      if (outcome.type === 'delivered') waiter.resolve()
      if (outcome.type === 'lost') waiter.reject(outcome.error)
    }
    const tookMs = performance.now() - nowMs
    this.#restUntilMs = nowMs + tookMs + restPerWork * tookMs
  }

  #rejectAll(reason: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(reason)
  }
}
