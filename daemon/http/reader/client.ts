/**
 * The thread that reads the tables, from the side of the daemon: started with the first question,
 * ended when nobody has asked for a minute. Must never wait for ever: an answer that does not come
 * in time is an error.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { TinymqError } from '../../../sdk/schema/errors.ts'
import type {
  ActionResult,
  Health,
  InboxMessage,
  InboxRow,
  OutboxMessage,
  OutboxRow,
  Rows,
} from '../api-types.ts'
import type { ReadRequest, ReaderReply, ReaderRequest } from './worker.ts'
import type { TablesSnapshot } from './overview.ts'

/** What the answer to each question is. */
type ReadReply = {
  look: TablesSnapshot
  health: Health
  outbox: Rows<OutboxRow>
  inbox: Rows<InboxRow>
  'outbox-message': OutboxMessage
  'inbox-message': InboxMessage
  act: ActionResult
}

const idleMs = 60_000
const answerMs = 5_000
/** More questions at once are somebody's mistake, or malice. */
const openMax = 64
/** It holds pages of results only. */
const resourceLimits = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 256 }

type Waiter = {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}

export class Reader {
  readonly #path: string
  readonly #waiters = new Map<number, Waiter>()
  #worker: Worker | undefined
  #lastTicket = 0
  #idleTimer: NodeJS.Timeout | undefined

  /** @param path of the database as it is from the root. */
  constructor(path: string) {
    this.#path = path
  }

  get isRunning(): boolean {
    return this.#worker !== undefined
  }

  /** @throws TinymqError what the tables say, or TINYMQ_BUSY when no answer comes. */
  async ask<Type extends ReadRequest['type']>(
    question: Extract<ReadRequest, { readonly type: Type }>,
  ): Promise<ReadReply[Type]> {
    if (this.#waiters.size >= openMax) throw busy('too many are asking at once')
    const worker = this.#start()
    const ticket = ++this.#lastTicket
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const timer = setTimeout(() => {
      reject(busy(`there was no answer within ${answerMs / 1_000} s`))
      this.#waiters.delete(ticket)
      // It may be caught in a slow disk: the next question gets a new one.
      void this.#end(worker)
    }, answerMs)
    this.#waiters.set(ticket, { resolve, reject, timer })
    const request: ReaderRequest = { ticket, question }
    worker.postMessage(request, [])
    return (await promise) as ReadReply[Type]
  }

  /** Nobody gets an answer any more. Resolves when its connection is closed. */
  async stop(): Promise<void> {
    if (this.#worker !== undefined) await this.#end(this.#worker)
  }

  #start(): Worker {
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => void this.stop(), idleMs)
    this.#idleTimer.unref()
    if (this.#worker !== undefined) return this.#worker
    const url = new URL(`./worker${extname(import.meta.filename)}`, import.meta.url)
    const worker = new Worker(url, {
      workerData: this.#path,
      name: 'tinymq reader',
      resourceLimits,
    })
    worker.unref()
    worker.on('message', (reply: ReaderReply) => this.#onReply(reply))
    worker.on('error', (error) => this.#onEnd(worker, error))
    worker.on('exit', () => this.#onEnd(worker, busy('the thread that reads has ended')))
    this.#worker = worker
    return worker
  }

  #onReply(reply: ReaderReply): void {
    const waiter = this.#waiters.get(reply.ticket)
    if (waiter === undefined) return
    this.#waiters.delete(reply.ticket)
    clearTimeout(waiter.timer)
    if ('code' in reply) waiter.reject(new TinymqError(reply.code, reply.sentence))
    else waiter.resolve(reply.answer)
  }

  async #end(worker: Worker): Promise<void> {
    this.#onEnd(worker, busy('the daemon has stopped reading'))
    await worker.terminate()
  }

  #onEnd(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    clearTimeout(this.#idleTimer)
    for (const waiter of this.#waiters.values()) {
      clearTimeout(waiter.timer)
      waiter.reject(error)
    }
    this.#waiters.clear()
  }
}

const busy = (reason: string): TinymqError =>
  new TinymqError('TINYMQ_BUSY', `the tables could not be read: ${reason}`)
