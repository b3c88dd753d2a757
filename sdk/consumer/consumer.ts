/**
 * Handlers that messages are brought to: `consume`, where each message has a lease, and
 * `consumeInTransaction`, where handler and removal are one transaction. Must never let a handler's
 * error escape: it is kept with the message.
 */
import { AsyncResource } from 'node:async_hooks'
import type { TracingChannel } from 'node:diagnostics_channel'
import { isPromise } from 'node:util/types'
import { errorText, TinymqError } from '../schema/errors.ts'
import { inTransaction, type SqliteHandle } from '../schema/sqlite-handle.ts'
import { Batcher, type IntakeParts, isTraced, leaseLost, WorkFailure } from './batcher.ts'
import { InboxMessage, type LeaseContext } from './leased-message.ts'
import type { Claim, Outcome } from './leases.ts'
import type { Consumption } from './options.ts'
import { isThenable, SchemaMismatch, validPayload } from './payload.ts'

/** What every consumer of a connection has in common. */
export interface Consumer {
  /** Resolves when it has ended and nothing is in hand. */
  readonly done: Promise<void>
  /** Takes no more messages. */
  stop(): void
}

/** What a consumer works with. */
export type ConsumerParts<T> = Omit<IntakeParts, 'consumption'> & {
  readonly consumption: Consumption<T>
  readonly send: LeaseContext['send']
  readonly trace: TracingChannel<'tinymq:consume', ConsumeTrace>
}

/** What subscribers of the channels `tracing:tinymq:consume:*` get. */
export type ConsumeTrace = { readonly message: InboxMessage }

/** What becomes of a message whose handler has thrown. */
export function outcomeOf(error: unknown, isEnding: boolean): Outcome {
  if (error instanceof SchemaMismatch) return { type: 'dead', error: error.message, cause: error }
  // It was asked to stop, and stopped: no fault of the message.
  if (isEnding) return { type: 'released', afterMs: 0 }
  return { type: 'failed', error: errorText(error), cause: error }
}

/** Runs a handler for each message, some at a time. */
export class HandlerConsumer<T> implements Consumer {
  readonly done: Promise<void>
  readonly #handler: (message: InboxMessage<T>) => unknown
  readonly #parts: ConsumerParts<T>
  readonly #batcher: Batcher
  readonly #context = new HandlerContext()
  readonly #inHand = new Map<Claim, InboxMessage<T>>()
  readonly #hand: LeaseContext
  #isStopping = false

  constructor(parts: ConsumerParts<T>, handler: (message: InboxMessage<T>) => unknown) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { consumption, send } = parts
    const { signal, concurrency } = consumption
    this.#parts = parts
    this.#handler = handler
    const abort = (): void => this.#abort(signal?.reason)
    this.done = promise.finally(() => signal?.removeEventListener('abort', abort))
    this.#batcher = new Batcher(parts, {
      onClaims: (leases) => {
        for (const claim of leases) this.#begin(claim)
      },
      onLost: (claim) => this.#inHand.get(claim)?.abort(leaseLost(claim)),
      onIdle: () => {
        // A handler may have settled its message and still be at work.
        if (!this.#isStopping || this.#inHand.size > 0) return
        this.#batcher.close()
        resolve()
      },
      onFailed: (reason) => {
        this.#abort(reason)
        reject(reason)
      },
    })
    this.#hand = {
      settle: (claim, outcome) => this.#batcher.settleNow(claim, outcome),
      isHeld: (claim) => this.#batcher.isHeld(claim),
      send,
    }
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted === true) this.stop()
    else this.#batcher.want(concurrency)
  }

  stop(): void {
    this.#isStopping = true
    this.#batcher.wantNothing()
  }

  #abort(reason: unknown): void {
    this.stop()
    for (const message of this.#inHand.values()) message.abort(reason)
  }

  #begin(claim: Claim): void {
    // The handler of one that was claimed with it may have ended the consumer.
    if (this.#isStopping) this.#batcher.settle(claim, { type: 'released', afterMs: 0 })
    else this.#context.run(() => void this.#handle(claim))
  }

  async #handle(claim: Claim): Promise<void> {
    const { consumption, trace } = this.#parts
    let message = new InboxMessage<T>(claim, this.#hand)
    this.#inHand.set(claim, message)
    let outcome: Outcome = { type: 'completed' }
    try {
      if (consumption.schema !== undefined) {
        const value = await validPayload(claim.message, consumption.schema)
        message = this.#withPayload(claim, message, value)
      }
      const handle = async (): Promise<unknown> => this.#handler(message)
      await (isTraced(trace) ? trace.tracePromise(handle, { message }) : handle())
    } catch (error) {
      outcome = outcomeOf(error, message.wasAborted)
    }
    this.#inHand.delete(claim)
    // A transaction that it has left open settles it; if it is rolled back, nothing was done.
    const hangs = message.isSettled && this.#batcher.isUnsure(claim)
    if (hangs && outcome.type === 'completed') outcome = { type: 'released', afterMs: 0 }
    this.#batcher.settle(claim, outcome)
    if (this.#isStopping) this.#batcher.wantNothing()
    else this.#batcher.want(1)
  }

  #withPayload(claim: Claim, before: InboxMessage<T>, value: T): InboxMessage<T> {
    const message = new InboxMessage<T>(claim, this.#hand, { value })
    if (before.wasAborted) message.abort(before.signal.reason)
    this.#inHand.set(claim, message)
    return message
  }
}

/** Runs a synchronous handler for each message, in the transaction that removes it. */
export class TransactionConsumer<T, Db extends SqliteHandle> implements Consumer {
  readonly done: Promise<void>
  readonly #handler: (message: InboxMessage<T>, db: Db) => unknown
  readonly #parts: ConsumerParts<T>
  readonly #db: Db
  readonly #context = new HandlerContext()
  readonly #batcher: Batcher
  readonly #hand: LeaseContext
  #isStopping = false

  constructor(
    parts: ConsumerParts<T>,
    db: Db,
    handler: (message: InboxMessage<T>, db: Db) => unknown,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { consumption, send } = parts
    const { signal } = consumption
    this.#parts = parts
    this.#db = db
    this.#handler = handler
    const abort = (): void => this.stop()
    this.done = promise.finally(() => signal?.removeEventListener('abort', abort))
    this.#batcher = new Batcher(parts, {
      onClaims: ([claim]) => this.#onClaim(claim),
      onLost: () => undefined,
      onIdle: () => {
        if (!this.#isStopping) return
        this.#batcher.close()
        resolve()
      },
      onFailed: reject,
    })
    this.#hand = {
      settle: (claim, outcome) => this.#batcher.settleNow(claim, outcome),
      isHeld: (claim) => this.#batcher.isHeld(claim),
      send,
    }
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted === true) this.stop()
    else this.#batcher.want(1)
  }

  stop(): void {
    this.#isStopping = true
    this.#batcher.wantNothing()
  }

  /** The claim of the next message is in the transaction that completes this one. */
  #onClaim(claim: Claim | undefined): void {
    if (claim === undefined) return
    const work = (): boolean => this.#context.run(() => this.#work(claim))
    this.#batcher.settle(claim, { type: 'completed' }, work)
    if (!this.#isStopping) this.#batcher.want(1)
  }

  #work(claim: Claim): boolean {
    const { consumption, trace } = this.#parts
    const { schema } = consumption
    const payload =
      schema === undefined
        ? undefined
        : { value: guarded(() => validPayload(claim.message, schema)) }
    if (isThenable(payload?.value)) {
      leaveAlone(payload.value)
      throw misuse(
        'the schema of consumeInTransaction validates asynchronously: make it synchronous',
      )
    }
    const message = new InboxMessage<T>(claim, this.#hand, payload as { readonly value: T })
    const handle = (): unknown => this.#handler(message, this.#db)
    const result = guarded(() =>
      isTraced(trace) ? trace.traceSync(handle, { message }) : handle(),
    )
    if (isThenable(result)) {
      leaveAlone(result)
      throw misuse(
        'the handler of consumeInTransaction returned a promise, and a transaction cannot wait: ' +
          'make it synchronous, or use consume',
      )
    }
    if (!inTransaction(this.#db)) {
      throw misuse(
        'the handler of consumeInTransaction ended the transaction: leave that to tinymq',
      )
    }
    return !message.isSettled
  }
}

/** Of a promise nobody waits for, a rejection must not end the process; a query must not begin. */
function leaveAlone(thenable: PromiseLike<unknown>): void {
  if (isPromise(thenable)) thenable.catch(() => undefined)
}

const misuse = (sentence: string): TinymqError =>
  new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)

/** What the handler throws is the message's affair, not the consumer's. */
function guarded<R>(work: () => R): R {
  try {
    return work()
  } catch (error) {
    throw new WorkFailure(outcomeOf(error, false), { cause: error })
  }
}

// The asynchronous context of handlers: that in which their consumer was begun, for each message
// again. Without it a handler would run in the context of the one before it, and what that one has
// entered (`AsyncLocalStorage.enterWith`) would belong to the wrong message.

class HandlerContext {
  readonly #origin = new AsyncResource('tinymq:consumer')

  /** Before Node.js 24 a context that was entered stays with its resource: so each has its own. */
  run<T>(handle: () => T): T {
    return this.#origin.runInAsyncScope(() =>
      new AsyncResource('tinymq:message').runInAsyncScope(handle),
    )
  }
}
