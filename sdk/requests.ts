/**
 * `request`: sends a message and waits for its reply in the inbox. All that wait through one
 * connection share one look at what has come, row by row and each row once. Must never take a row
 * that is no reply to one of them.
 */

import type { BriefLock } from './brief-lock.ts'
import {
  type CommitListener,
  type CommitWatch,
  closedWhileWaiting,
  reasonOf,
} from './commit-watch.ts'
import { TinymqError } from './errors.ts'
import {
  atomically,
  inTransaction,
  prepare,
  type SqliteHandle,
  type SqliteStatement,
} from './handle.ts'
import { type Message, messageColumns, parseMessage, type Row } from './message.ts'
import { headerOf, headersWithSql, replyHeader, requestPrefix } from './reply.ts'

type Waiter = { readonly resolve: (reply: Message) => void; readonly reject: (e: unknown) => void }

const sliceRows = 1_000
const retryMs = 50

export class Requests {
  readonly #db: SqliteHandle
  readonly #watch: CommitWatch
  readonly #lock: BriefLock
  readonly #last: SqliteStatement
  readonly #slice: SqliteStatement
  readonly #read: SqliteStatement
  readonly #removes: readonly SqliteStatement[]
  readonly #prefix: string
  readonly #waiters = new Map<string, Waiter>()
  readonly #listener: CommitListener = {
    onCommit: () => this.#look(),
    onEnd: (reason) => this.#rejectAll(reason),
  }
  #cursor = 0
  #timer: NodeJS.Timeout | undefined

  constructor(db: SqliteHandle, watch: CommitWatch, lock: BriefLock) {
    this.#db = db
    this.#watch = watch
    this.#lock = lock
    this.#prefix = requestPrefix(db)
    this.#last = prepare(db, 'SELECT coalesce(max(id), 0) AS id FROM mqin')
    this.#slice = prepare(
      db,
      `SELECT m.id, ${headersWithSql('m', replyHeader)} AS headers
      FROM mqin AS m WHERE m.id > ? ORDER BY m.id LIMIT ${sliceRows}`,
    )
    this.#read = prepare(db, `SELECT ${messageColumns} FROM mqin WHERE id = ?`)
    this.#removes = ['mqin', 'mqlease'].map((table) =>
      prepare(db, `DELETE FROM ${table} WHERE id = ?`),
    )
  }

  /** Sends by `send`, which gets the identity of the request, and resolves with the reply. */
  async wait(send: (id: string) => void, signal?: AbortSignal): Promise<Message> {
    signal?.throwIfAborted()
    const id = `${this.#prefix}${crypto.randomUUID()}`
    if (this.#waiters.size === 0) this.#cursor = (this.#last.get() as { id: number }).id
    send(id)
    const { promise, resolve, reject } = Promise.withResolvers<Message>()
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiters.set(id, { resolve, reject })
    try {
      if (this.#waiters.size === 1) this.#start()
      return await promise
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#waiters.delete(id)
      if (this.#waiters.size === 0) this.#stop()
    }
  }

  close(): void {
    this.#rejectAll(closedWhileWaiting())
    this.#stop()
  }

  #start(): void {
    this.#watch.add(this.#listener)
    // What was committed since the request is not told.
    this.#lookLater(0)
  }

  #stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#watch.remove(this.#listener)
  }

  #look(): void {
    clearTimeout(this.#timer)
    if (this.#waiters.size === 0) return
    try {
      // A reply that the application's own transaction takes would come back with its rollback.
      if (inTransaction(this.#db)) return this.#lookLater(1)
      if (this.#lookAtSlice()) this.#lookLater(0)
    } catch (error) {
      const reason = reasonOf(this.#db, error)
      if (reason instanceof TinymqError && reason.retryable) return this.#lookLater(retryMs)
      this.#rejectAll(reason)
    }
  }

  #lookLater(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#look(), ms)
  }

  /** Whether there is more. */
  #lookAtSlice(): boolean {
    const rows = this.#slice.all(this.#cursor) as { id: number; headers: string | null }[]
    for (const { id, headers } of rows) {
      if (headers !== null) this.#take(id, headers)
      this.#cursor = id
    }
    return rows.length === sliceRows
  }

  #take(id: number, headers: string): void {
    const waiter = this.#waiters.get(headerOf(headers, replyHeader) ?? '')
    if (waiter === undefined) return
    const take = (): Row | undefined => {
      const row = this.#read.get(id) as Row | undefined
      for (const remove of this.#removes) remove.run(id)
      return row
    }
    const reply = atomically(this.#db, take, this.#lock.begin)
    if (reply !== undefined) waiter.resolve(parseMessage(reply))
  }

  #rejectAll(reason: unknown): void {
    for (const { reject } of this.#waiters.values()) reject(reason)
  }
}
