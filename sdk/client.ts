/**
 * What `open` returns: the tables of tinymq through one SQLite connection. It only reads and writes
 * them; the daemon on the same file does the sending.
 */

import diagnosticsChannel from 'node:diagnostics_channel'
import {
  BriefLock,
  type SqliteHandle,
  type SqliteStatement,
  type Synchronous,
  atomically,
  inTransaction,
  isOpen,
  prepare,
} from './schema/sqlite-handle.ts'
import { CommitWatch, closedWhileWaiting } from './commit-watch.ts'
import { type ConsumeOptions, parseConsumeOptions } from './consumer/options.ts'
import {
  type Consumer,
  type ConsumerParts,
  type ConsumeTrace,
  HandlerConsumer,
  TransactionConsumer,
} from './consumer/consumer.ts'
import { busyTimeoutMs } from './schema/open-database.ts'
import { Deliveries, refuseInTransaction } from './waiters.ts'
import { TinymqError, translated } from './schema/errors.ts'
import { Failures, isTraced, warn } from './consumer/batcher.ts'
import { InboxIterator } from './consumer/iterator.ts'
import type { InboxMessage } from './consumer/leased-message.ts'
import { InboxReader, type Message, type ReadInboxOptions } from './inbox-reader.ts'
import { keepOpen, OneLibrary } from './schema/one-library.ts'
import {
  type Headers,
  type OutgoingData,
  type OutgoingMessage,
  outgoingValues,
  refuseIterable,
  sendSql,
} from './outgoing-message.ts'
import { requestHeader } from './schema/reply-headers.ts'
import { Requests } from './request-reply.ts'
import { migrate } from './schema/migrate.ts'

/** What `send` takes next to the message. */
export type SendOptions = {
  /** What travels next to the data: trace context, content type, where to reply. */
  readonly headers?: Headers | null | undefined
}

/** What `delivered` takes next to the id. */
export type DeliveredOptions = { readonly signal?: AbortSignal | undefined }

/** What subscribers of the channels `tracing:tinymq:send:*` get. */
type SendTrace = {
  host: string
  port?: number | undefined
  token?: string | undefined
  headers: Record<string, unknown>
}

/** One connection to the tables. Made by `open`. */
export class Tinymq<Db extends SqliteHandle = SqliteHandle> implements Disposable, AsyncDisposable {
  readonly #db: Db
  readonly #isOwner: boolean
  /** Ours to change: the connection is ours, and syncs every commit. */
  readonly #isSynced: boolean
  readonly #library: OneLibrary
  readonly #insert: SqliteStatement
  readonly #delete: SqliteStatement
  readonly #inbox: InboxReader
  readonly #watch: CommitWatch
  readonly #lock: BriefLock
  readonly #failures = new Failures()
  readonly #deliveries: Deliveries
  readonly #requests: Requests
  readonly #consumers = new Set<Consumer>()
  /** What `consume` has returned and has not ended. */
  readonly #consumptions = new Set<Promise<void>>()
  readonly #sendTrace = diagnosticsChannel.tracingChannel<'tinymq:send', SendTrace>('tinymq:send')
  readonly #consumeTrace = diagnosticsChannel.tracingChannel<'tinymq:consume', ConsumeTrace>(
    'tinymq:consume',
  )
  #isDraining = false
  #isClosed = false

  /** @internal */
  constructor(db: Db, synchronous?: Synchronous) {
    this.#library = translated(() => new OneLibrary(db))
    migrate(db)
    this.#db = db
    this.#isOwner = synchronous !== undefined
    this.#isSynced = synchronous === 'full'
    this.#insert = prepare(db, sendSql)
    this.#delete = prepare(db, 'DELETE FROM mqout WHERE id = ?')
    this.#inbox = new InboxReader(db)
    this.#watch = new CommitWatch(db)
    this.#lock = new BriefLock(db, this.#isOwner ? busyTimeoutMs : undefined)
    this.#deliveries = new Deliveries(db, this.#watch)
    this.#requests = new Requests(db, this.#watch, this.#lock)
  }

  /**
   * Puts a message into the outbox and returns the id of its row. It is an INSERT on the
   * connection: part of your transaction when one is open, else committed on return. The daemon
   * does the rest.
   * @throws TinymqError when it could never arrive (TINYMQ_INVALID_HOST, TINYMQ_INVALID_PORT,
   * TINYMQ_INVALID_TOKEN, TINYMQ_INVALID_HEADERS, TINYMQ_INVALID_DATA, TINYMQ_INVALID_TEXT,
   * TINYMQ_NO_DATA, TINYMQ_TOO_LARGE), or what SQLite says.
   */
  send(
    host: string,
    port: number,
    token: string,
    data: OutgoingData,
    options: SendOptions = {},
  ): number {
    return this.#runSend(() => this.#send({ host, port, token, data, headers: options.headers }))
  }

  /**
   * Puts all of the messages into the outbox, or none when one is rejected. Returns their ids.
   * @throws TinymqError as `send` does.
   */
  sendMany(messages: Iterable<OutgoingMessage>): number[] {
    checkIterable(messages)
    return this.#runSend(() =>
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
   * TINYMQ_HISTORY_EXPIRED when it is too long ago to tell, TINYMQ_INVALID_ARGUMENT while a
   * transaction is open on the connection, which must be committed first, TINYMQ_CLOSED; and the
   * reason of the signal.
   */
  async delivered(id: number, options: DeliveredOptions = {}): Promise<void> {
    checkId(id)
    await this.#run(() => this.#deliveries.wait(id, options.signal))
  }

  /**
   * Takes a message back: deletes its row from the outbox. Returns whether there was one. When it
   * was in flight already (`mqstatus` shows), it may arrive all the same.
   */
  cancel(id: number): boolean {
    checkId(id)
    return this.#run(() => Number(this.#delete.run(id).changes) > 0)
  }

  /**
   * Runs `handler` for each message that is in the inbox and that comes. When it returns, or its
   * promise resolves, the row is removed; when it throws, the message is tried again after a while
   * that doubles from 0.2 s to 5 min, and goes to `mqdead` with the error after `attempts`. A
   * message whose process dies is tried again when its lease ends. Any number of consumers in any
   * number of processes share the inbox. Resolves when `signal` or `drain` ended it and the
   * handlers that were running have returned.
   * @throws TinymqError TINYMQ_INVALID_ARGUMENT, TINYMQ_CLOSED, or what SQLite says.
   */
  consume<T = unknown>(
    handler: (message: InboxMessage<T>) => unknown,
    options: ConsumeOptions<T> = {},
  ): Promise<void> {
    return this.#untilEnd(() => {
      checkHandler(handler)
      return this.#consume(options, (parts) => new HandlerConsumer<T>(parts, handler))
    })
  }

  /**
   * As `consume`, one message at a time, with `handler` in the transaction that removes the row:
   * what it writes to the same file through `db` is committed with the removal, or not at all, and
   * so is what it sends. It must be synchronous, and leave the transaction open.
   * @throws TinymqError as `consume` does.
   */
  consumeInTransaction<T = unknown>(
    handler: (message: InboxMessage<T>, db: Db) => unknown,
    options: Omit<ConsumeOptions<T>, 'concurrency'> = {},
  ): Promise<void> {
    const db = this.#db
    return this.#untilEnd(() => {
      checkHandler(handler)
      return this.#consume(options, (parts) => new TransactionConsumer<T, Db>(parts, db, handler))
    })
  }

  /**
   * The messages that are in the inbox and that come, each to be completed, released or declared
   * dead by you. Leaving the loop releases those that are not; `signal` and `drain` end it.
   * @throws TinymqError as `consume` does.
   */
  inbox<T = unknown>(
    options: Omit<ConsumeOptions<T>, 'concurrency'> = {},
  ): AsyncIterableIterator<InboxMessage<T>, undefined> & AsyncDisposable {
    return this.#consume(options, (parts) => new InboxIterator<T>(parts))
  }

  /**
   * Ends all consumers of this connection, for good: they take no more messages, and one that
   * begins later ends at once. Resolves when the handlers that are running have returned, and what
   * became of their messages is written: in a handler, do not await it.
   */
  async drain(): Promise<void> {
    this.#isDraining = true
    const consumers = [...this.#consumers]
    for (const consumer of consumers) consumer.stop()
    const timer = setTimeout(() => warn('TINYMQ_DRAIN_WAITS', drainWaits), drainWarningMs).unref()
    await Promise.allSettled(consumers.map(({ done }) => done))
    clearTimeout(timer)
  }

  /**
   * Sends a message and resolves with the reply to it, which it removes from the inbox. It waits
   * for as long as it takes: give it an `AbortSignal.timeout`. A reply that comes when nobody waits
   * any more goes to `mqdead` a minute later, if there is a consumer.
   * @throws TinymqError as `send` does, TINYMQ_INVALID_ARGUMENT while a transaction is open on the
   * connection, TINYMQ_CLOSED; and the reason of the signal.
   */
  async request(
    host: string,
    port: number,
    token: string,
    data: OutgoingData,
    options: SendOptions & DeliveredOptions = {},
  ): Promise<Message> {
    const { headers, signal } = options
    refuseIterable(headers)
    this.#run(() => refuseInTransaction(this.#db))
    return this.#run(() =>
      this.#requests.wait((id) => {
        this.send(host, port, token, data, { headers: { ...headers, [requestHeader]: id } })
      }, signal),
    )
  }

  /**
   * Ends what waits, and closes the connection if `open` made it. What consumers have in hand comes
   * free when its leases end; to finish it first, `await mq.drain()`.
   */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // Who has begun one and does not wait for it wants to hear of its failures, not of this.
    for (const consumption of this.#consumptions) consumption.catch(() => undefined)
    this.#deliveries.close()
    this.#requests.close()
    this.#watch.end(closedWhileWaiting())
    if (!this.#isOwner) return
    if (this.#library.isAlone) translated(() => this.#db.close())
    else keepOpen(this.#db)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** `await using`: drains, then closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain()
    this.close()
  }

  /** What is wrong with the call comes out of the promise, too. */
  #untilEnd(begin: () => Consumer): Promise<void> {
    const consumption = (async () => {
      const consumer = begin()
      const forget = (): boolean => this.#consumptions.delete(consumption)
      consumer.done.then(forget, forget)
      await consumer.done
    })()
    this.#consumptions.add(consumption)
    return consumption
  }

  #consume<T, C extends Consumer>(
    options: ConsumeOptions<T>,
    make: (parts: ConsumerParts<T>) => C,
  ): C {
    const consumption = parseConsumeOptions(options)
    const consumer = this.#run(() =>
      make({
        db: this.#db,
        watch: this.#watch,
        library: this.#library,
        lock: this.#lock,
        failures: this.#failures,
        unsynced: (work) => this.#unsynced(work),
        consumption,
        trace: this.#consumeTrace,
        send: (host, port, token, data, headers) => this.send(host, port, token, data, { headers }),
      }),
    )
    this.#consumers.add(consumer)
    const forget = (): boolean => this.#consumers.delete(consumer)
    consumer.done.then(forget, forget)
    // A signal may have come before the consumer did.
    if (this.#isDraining) consumer.stop()
    return consumer
  }

  #send(message: OutgoingMessage): number {
    const insert = (values: OutgoingMessage): number =>
      Number(this.#insert.run(...outgoingValues(values)).lastInsertRowid)
    if (!isTraced(this.#sendTrace)) return insert(message)
    refuseIterable(message.headers)
    // A subscriber may add headers: the trace context.
    const trace: SendTrace = { ...message, headers: { ...message.headers } }
    const work = (): number => {
      const isBare = !message.headers && Object.keys(trace.headers).length === 0
      return insert(isBare ? message : { ...message, headers: trace.headers })
    }
    const id: unknown = this.#sendTrace.traceSync(work, trace)
    return id as number
  }

  /** PRAGMA synchronous acts when it is compiled: a prepared one would do nothing. */
  #unsynced<T>(work: () => T): T {
    if (!this.#isSynced) return work()
    this.#db.exec('PRAGMA synchronous = NORMAL')
    try {
      return work()
    } finally {
      this.#db.exec('PRAGMA synchronous = FULL')
    }
  }

  /** A message is never taken for sent that went into files which were removed. */
  #runSend<T>(work: () => T): T {
    const result = this.#run(work)
    if (!inTransaction(this.#db)) this.#watch.refuseLostFiles()
    return result
  }

  #run<T>(work: () => T): T {
    if (this.#isClosed || !isOpen(this.#db)) {
      throw new TinymqError('TINYMQ_CLOSED', 'this connection is closed: open the database again')
    }
    this.#library.check()
    return translated(work)
  }
}

const drainWarningMs = 10_000
const drainWaits =
  'drain() has waited for 10 s for handlers that have not returned: pass message.signal on, ' +
  'and do not await drain() in a handler, which would wait for itself'

const badArgument = (sentence: string): TinymqError =>
  new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)

function checkHandler(handler: unknown): void {
  if (typeof handler !== 'function') throw badArgument('the handler must be a function')
}

/** A promise, an async generator or one message would send nothing. */
function checkIterable(messages: Iterable<OutgoingMessage> | null | undefined): void {
  if (typeof messages === 'object' && messages !== null && Symbol.iterator in messages) return
  throw badArgument(
    'sendMany takes an array of messages, or another iterable: ' +
      'await a promise first, collect an async iterable with Array.fromAsync, and send one by send',
  )
}

function checkId(id: number): void {
  if (Number.isSafeInteger(id)) return
  throw badArgument('id must be the number of a row in mqout, as send returned it')
}
