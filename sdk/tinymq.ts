/**
 * `open` and what it returns: the tables of tinymq through one SQLite connection. It only reads and
 * writes them; the daemon on the same file does the sending.
 */

import { openDatabase } from './database.ts'
import { Deliveries } from './delivery.ts'
import { TinymqError, translated } from './errors.ts'
import { atomically, isOpen, prepare, type SqliteHandle, type SqliteStatement } from './handle.ts'
import { InboxReader, type Message, type ReadInboxOptions } from './message.ts'
import {
  type Headers,
  type OutgoingData,
  type OutgoingMessage,
  outgoingValues,
  sendSql,
} from './outgoing.ts'
import { migrate } from './schema-migrate.ts'

/** What `send` takes beside the message. */
export type SendOptions = {
  /** What travels beside the data: trace context, content type, where to reply. */
  readonly headers?: Headers | undefined
}

/** What `delivered` takes beside the id. */
export type DeliveredOptions = { readonly signal?: AbortSignal | undefined }

/**
 * Opens the database that a daemon works on, and creates it and its tables if they are not there
 * yet.
 * @param target the path of the file; or your own better-sqlite3 or node:sqlite connection, so that
 * sending becomes part of your transactions. Within one process, open a file with one of the two
 * only: they are two copies of SQLite, which do not see each other's locks.
 * @throws TinymqError when the file cannot be used; the code says why.
 */
export function open(target: string | { readonly db: SqliteHandle }): Tinymq {
  if (typeof target !== 'string') {
    if (typeof target?.db?.prepare === 'function') return new Tinymq(target.db, false)
    throw badArgument(
      'open takes a path, or { db } with a better-sqlite3 or node:sqlite connection',
    )
  }
  const db = openDatabase(target)
  try {
    return new Tinymq(db, true)
  } catch (error) {
    db.close()
    throw error
  }
}

/** One connection to the tables. Made by `open`. */
export class Tinymq implements Disposable {
  readonly #db: SqliteHandle
  readonly #isOwner: boolean
  readonly #insert: SqliteStatement
  readonly #delete: SqliteStatement
  readonly #inbox: InboxReader
  readonly #deliveries: Deliveries
  #isClosed = false

  /** @internal */
  constructor(db: SqliteHandle, isOwner: boolean) {
    migrate(db)
    this.#db = db
    this.#isOwner = isOwner
    this.#insert = prepare(db, sendSql)
    this.#delete = prepare(db, 'DELETE FROM mqout WHERE id = ?')
    this.#inbox = new InboxReader(db)
    this.#deliveries = new Deliveries(db)
  }

  /**
   * Puts a message into the outbox and returns the id of its row. It is an INSERT on the
   * connection: part of your transaction when one is open, else committed on return. The daemon
   * does the rest.
   * @throws TinymqError when it could never arrive (TINYMQ_BAD_HOST, TINYMQ_BAD_PORT,
   * TINYMQ_BAD_TOKEN, TINYMQ_BAD_HEADERS, TINYMQ_BAD_DATA, TINYMQ_BAD_TEXT, TINYMQ_NO_DATA,
   * TINYMQ_TOO_LARGE), or what SQLite says.
   */
  send(
    host: string,
    port: number,
    token: string,
    data: OutgoingData,
    options: SendOptions = {},
  ): number {
    return this.#run(() => this.#send({ host, port, token, data, headers: options.headers }))
  }

  /**
   * Puts all of the messages into the outbox, or none when one is refused. Returns their ids.
   * @throws TinymqError as `send` does.
   */
  sendMany(messages: Iterable<OutgoingMessage>): number[] {
    return this.#run(() =>
      atomically(this.#db, () => Array.from(messages, (message) => this.#send(message))),
    )
  }

  /**
   * The messages that are in the inbox at the first step, in the order of arrival. They stay there:
   * delete a row of `mqin` when you are done with it. Nothing is locked and no read stays open
   * between the steps, so take your time.
   */
  readInbox(options: ReadInboxOptions = {}): IterableIterator<Message> {
    const { after = 0, limit = Infinity, token = null } = options
    if (!Number.isInteger(after)) throw badArgument('after must be the id of a message')
    if (!(limit >= 0)) throw badArgument('limit must be a number, 0 or more')
    return this.#readInbox(after, Math.ceil(limit), token)
  }

  *#readInbox(start: number, limit: number, token: string | null): Generator<Message> {
    const last = this.#run(() => this.#inbox.lastId())
    let after = start
    let left = limit
    for (;;) {
      const page = this.#run(() => this.#inbox.nextPage(after, last, token, left))
      const newest = page.at(-1)
      if (newest === undefined) return
      yield* page
      after = newest.id
      left -= page.length
    }
  }

  /**
   * Resolves when the peer has the message of row `id` on disk. To wait again after a restart, keep
   * the id.
   * @throws TinymqError TINYMQ_CANCELLED when the row was deleted before that (if it was in flight
   * then, the peer may have it all the same), TINYMQ_NO_SUCH_ROW when there never was one,
   * TINYMQ_FORGOTTEN when it is too long ago to tell, TINYMQ_CLOSED; and the reason of the signal.
   */
  async delivered(id: number, options: DeliveredOptions = {}): Promise<void> {
    checkId(id)
    await this.#run(() => this.#deliveries.wait(id, options.signal))
  }

  /**
   * Takes a message back: deletes its row from the outbox. Returns whether there was one. When it
   * was in flight already (`mqstatus` tells), it may arrive all the same.
   */
  cancel(id: number): boolean {
    checkId(id)
    return this.#run(() => Number(this.#delete.run(id).changes) > 0)
  }

  /** Ends what waits, and closes the connection if `open` made it. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#deliveries.close()
    if (this.#isOwner) translated(() => this.#db.close())
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #send(message: OutgoingMessage): number {
    return Number(this.#insert.run(...outgoingValues(message)).lastInsertRowid)
  }

  #run<T>(work: () => T): T {
    if (this.#isClosed || !isOpen(this.#db)) {
      throw new TinymqError('TINYMQ_CLOSED', 'this connection is closed: open the database again')
    }
    return translated(work)
  }
}

const badArgument = (sentence: string): TinymqError =>
  new TinymqError('TINYMQ_BAD_ARGUMENT', sentence)

function checkId(id: number): void {
  if (Number.isSafeInteger(id)) return
  throw badArgument('id must be the number of a row in mqout, as send returned it')
}
