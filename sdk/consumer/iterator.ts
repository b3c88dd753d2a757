/**
 * `inbox`: messages one after the other, each in the hands of whoever iterates until it is settled.
 * Ending the iteration, however that happens, releases what is not.
 */

import type { Claim } from './leases.ts'
import { type Consumer, type ConsumerParts, outcomeOf } from './consumer.ts'
import { type LeaseContext, InboxMessage } from './leased-message.ts'
import { Batcher, leaseLost } from './batcher.ts'
import { validPayload } from './payload.ts'

type Step<T> = IteratorResult<InboxMessage<T>, undefined>
type Pending<T> = {
  readonly resolve: (step: Step<T>) => void
  readonly reject: (e: unknown) => void
}

const end = { done: true, value: undefined } as const

/** The iterator that `inbox` returns. */
export class InboxIterator<T>
  implements AsyncIterableIterator<InboxMessage<T>, undefined>, AsyncDisposable, Consumer
{
  readonly done: Promise<void>
  readonly #parts: ConsumerParts<T>
  readonly #batcher: Batcher
  readonly #inHand = new Map<Claim, InboxMessage<T>>()
  readonly #hand: LeaseContext
  readonly #removeListener: () => void
  #pending: Pending<T>[] = []
  #state: 'open' | 'ending' | 'ended' = 'open'
  #failure: { readonly reason: unknown } | undefined

  constructor(parts: ConsumerParts<T>) {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { consumption, send } = parts
    const { signal } = consumption
    this.#parts = parts
    this.done = promise
    const abort = (): void => {
      for (const message of this.#inHand.values()) message.abort(signal?.reason)
      this.stop()
    }
    this.#removeListener = () => signal?.removeEventListener('abort', abort)
    this.#batcher = new Batcher(parts, {
      onClaims: (leases) => {
        for (const claim of leases) void this.#handOver(claim)
      },
      onLost: (claim) => {
        this.#inHand.get(claim)?.abort(leaseLost(claim))
        this.#inHand.delete(claim)
      },
      onSettled: (claim) => this.#inHand.delete(claim),
      onIdle: () => {
        if (this.#state === 'open') return
        this.#end()
        resolve()
      },
      onFailed: (reason) => {
        this.#fail(reason)
        resolve()
      },
    })
    this.#hand = {
      settle: (claim, outcome) => this.#batcher.settleNow(claim, outcome),
      isHeld: (claim) => this.#batcher.isHeld(claim),
      send,
    }
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted === true) this.stop()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** The next message; the end once it was stopped. */
  async next(): Promise<Step<T>> {
    if (this.#failure !== undefined) throw this.#failure.reason
    if (this.#state !== 'open') {
      await this.return()
      return end
    }
    const { promise, resolve, reject } = Promise.withResolvers<Step<T>>()
    this.#pending.push({ resolve, reject })
    this.#batcher.want(1)
    return promise
  }

  /** Ends it, and releases what is not settled. Resolves when that is done. */
  async return(): Promise<Step<T>> {
    this.stop()
    this.#batcher.releaseAll()
    await this.done
    return end
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  /** Takes no more. What is in hand can still be settled until `next` or `return` is called. */
  stop(): void {
    if (this.#state === 'open') this.#state = 'ending'
    const pending = this.#pending
    this.#pending = []
    for (const { resolve } of pending) resolve(end)
    // Who was waiting gets the end, and will not come again to say that the loop is over.
    if (pending.length > 0) this.#batcher.releaseAll()
    this.#batcher.wantNothing()
  }

  #end(): void {
    this.#state = 'ended'
    this.#removeListener()
    this.#batcher.close()
  }

  #fail(reason: unknown): void {
    this.#failure = { reason }
    this.#state = 'ended'
    this.#removeListener()
    for (const message of this.#inHand.values()) message.abort(reason)
    for (const { reject } of this.#pending) reject(reason)
    this.#pending = []
  }

  async #handOver(claim: Claim): Promise<void> {
    const { schema } = this.#parts.consumption
    try {
      const payload =
        schema === undefined ? undefined : { value: await validPayload(claim.message, schema) }
      this.#deliver(claim, new InboxMessage<T>(claim, this.#hand, payload))
    } catch (error) {
      this.#batcher.settle(claim, outcomeOf(error, false))
      if (this.#state === 'open') this.#batcher.want(1)
    }
  }

  #deliver(claim: Claim, message: InboxMessage<T>): void {
    const next = this.#pending.shift()
    if (next === undefined) {
      // It was ended while a schema looked at the message.
      this.#batcher.settle(claim, { type: 'released', afterMs: 0 })
      return
    }
    this.#inHand.set(claim, message)
    next.resolve({ done: false, value: message })
  }
}
