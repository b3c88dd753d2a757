/**
 * `request`: sends a message and waits for its reply in the inbox. All that wait through one
 * connection share one look at what has come, row by row and each row once. Must never take a row
 * that is no reply to one of them.
 */
import type { CommitWatch } from './commit-watch.ts'
import { type Message, messageColumns, parseMessage, type Row } from './inbox-reader.ts'
import {
  type BriefLock,
  type SqliteHandle,
  type SqliteStatement,
  atomically,
  prepare,
} from './schema/sqlite-handle.ts'
import { headerOf, headersWithSql, replyHeader, requestPrefix } from './schema/reply-headers.ts'
import { Waiters } from './waiters.ts'

const sliceRows = 1_000

export class Requests {
  readonly #db: SqliteHandle
  readonly #lock: BriefLock
  readonly #last: SqliteStatement
  readonly #slice: SqliteStatement
  readonly #read: SqliteStatement
  readonly #removes: readonly SqliteStatement[]
  readonly #prefix: string
  readonly #waiters: Waiters<string, Message>
  #cursor = 0

  constructor(db: SqliteHandle, watch: CommitWatch, lock: BriefLock) {
    this.#db = db
    this.#waiters = new Waiters({ db, watch, look: () => this.#look(), restPerWork: 0 })
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
    if (this.#waiters.isEmpty) this.#cursor = (this.#last.get() as { id: number }).id
    send(id)
    return this.#waiters.wait(id, signal)
  }

  close(): void {
    this.#waiters.close()
  }

  /** @returns at once when there is more. */
  #look(): number | undefined {
    const rows = this.#slice.all(this.#cursor) as { id: number; headers: string | null }[]
    for (const { id, headers } of rows) {
      if (headers !== null) this.#take(id, headers)
      this.#cursor = id
    }
    return rows.length === sliceRows ? 0 : undefined
  }

  #take(id: number, headers: string): void {
    const request = headerOf(headers, replyHeader) ?? ''
    if (!this.#waiters.has(request)) return
    const take = (): Row | undefined => {
      const row = this.#read.get(id) as Row | undefined
      for (const remove of this.#removes) remove.run(id)
      return row
    }
    const reply = atomically(this.#db, take, this.#lock.begin)
    if (reply !== undefined) this.#waiters.resolve(request, parseMessage(reply))
  }
}
