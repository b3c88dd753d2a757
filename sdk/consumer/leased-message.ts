/** A message in the hands of a consumer, and what that one can do with it. */

import type { Claim, Outcome } from './leases.ts'
import { waitMsMax } from './options.ts'
import { errorText, TinymqError, translated } from '../schema/errors.ts'
import type { Message } from '../inbox-reader.ts'
import { type Headers, type OutgoingData, refuseIterable } from '../outgoing-message.ts'
import { parsePayload } from './payload.ts'
import { headerOf, replyHeader, requestHeader } from '../schema/reply-headers.ts'

/** What a message needs of the consumer that has it. */
export type LeaseContext = {
  readonly settle: (claim: Claim, outcome: Outcome) => void
  /** Whether it is not settled, or no more because the transaction was rolled back. */
  readonly isHeld: (claim: Claim) => boolean
  readonly send: (
    host: string,
    port: number,
    token: string,
    data: OutgoingData,
    headers: Headers,
  ) => number
}

/** A message with a lease: it is this consumer's alone until it is settled or the lease is lost. */
export class InboxMessage<T = unknown> implements Message {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly token: string
  readonly data: string | Uint8Array
  readonly headers: Headers | null
  readonly headersText: string | null
  readonly sentAt: Date | null
  readonly arrivedAt: Date
  readonly sender: number | null
  readonly senderRow: number | null
  /** Counts from 1. */
  readonly attempt: number
  readonly #claim: Claim
  readonly #hand: LeaseContext
  #payload: { readonly value: T } | undefined
  #controller: AbortController | undefined
  #abortReason: { readonly reason: unknown } | undefined
  #settledAs: Outcome['type'] | undefined

  /** @internal */
  constructor(claim: Claim, hand: LeaseContext, payload?: { readonly value: T }) {
    const { message } = claim
    this.id = message.id
    this.host = message.host
    this.port = message.port
    this.token = message.token
    this.data = message.data
    this.headers = message.headers
    this.headersText = message.headersText
    this.sentAt = message.sentAt
    this.arrivedAt = message.arrivedAt
    this.sender = message.sender
    this.senderRow = message.senderRow
    this.attempt = claim.attempt
    this.#claim = claim
    this.#hand = hand
    this.#payload = payload
  }

  /**
   * What the schema made of the data; without a schema the data as JSON, parsed when it is read.
   * @throws TinymqError TINYMQ_INVALID_PAYLOAD when the data is not JSON: read `data` then.
   */
  get payload(): T {
    this.#payload ??= { value: parsePayload(this) as T }
    return this.#payload.value
  }

  /** Aborts when the lease is lost or the consumer must end: stop working on the message then. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason.reason)
    return this.#controller.signal
  }

  /** Whether it was completed, released or declared dead, and no rollback has undone that. */
  get isSettled(): boolean {
    if (this.#settledAs !== undefined && this.#hand.isHeld(this.#claim)) this.#settledAs = undefined
    return this.#settledAs !== undefined
  }

  /**
   * Done: removes the row, in your transaction when one is open.
   * @throws TinymqError TINYMQ_LEASE_LOST when another consumer may have it by now.
   */
  complete(): void {
    this.#settle({ type: 'completed' })
  }

  /**
   * Gives it back, to be taken by any consumer `afterMs` milliseconds from now, at most an hour; at
   * once when left out. It does not count as an attempt.
   * @throws TinymqError as `complete` does, and TINYMQ_INVALID_ARGUMENT.
   */
  release(options: { readonly afterMs?: number | undefined } = {}): void {
    const { afterMs = 0 } = options
    if (typeof afterMs !== 'number' || !(afterMs >= 0 && afterMs <= waitMsMax)) {
      throw new TinymqError(
        'TINYMQ_INVALID_ARGUMENT',
        `afterMs must be a number of milliseconds from 0 to ${waitMsMax}: to wait longer, ` +
          'release the message again then, or keep the work in a table of your own',
      )
    }
    this.#settle({ type: 'released', afterMs })
  }

  /**
   * Moves it to `mqdead`, with what was wrong.
   * @throws TinymqError as `complete` does.
   */
  dead(error: unknown): void {
    const text = typeof error === 'string' ? error : errorText(error)
    this.#settle({ type: 'dead', error: text, cause: error })
  }

  /**
   * Answers a request: the reply goes to where the sender says that it can be answered, or to `to`,
   * and is part of your transaction when one is open. Returns the id of its row.
   * @throws TinymqError TINYMQ_INVALID_ARGUMENT when nobody asked, and what `send` throws.
   */
  reply(
    data: OutgoingData,
    options: {
      readonly headers?: Headers | null | undefined
      /** Where to, when you do not believe what the sender says. */
      readonly to?: { readonly host: string; readonly port: number } | undefined
    } = {},
  ): number {
    const id = headerOf(this.headersText, requestHeader)
    if (id === undefined) {
      throw new TinymqError(
        'TINYMQ_INVALID_ARGUMENT',
        `message ${this.id} does not ask for a reply`,
      )
    }
    refuseIterable(options.headers)
    const headers = { ...options.headers, [replyHeader]: id }
    const { host, port } = options.to ?? this
    return this.#hand.send(host, port, this.token, data, headers)
  }

  /** @internal */
  abort(reason: unknown): void {
    this.#abortReason ??= { reason }
    this.#controller?.abort(reason)
  }

  /** @internal */
  get wasAborted(): boolean {
    return this.#abortReason !== undefined
  }

  #settle(outcome: Outcome): void {
    if (this.isSettled) {
      if (this.#settledAs === outcome.type) return
      const sentence = `message ${this.id} cannot be ${outcome.type}: it was ${this.#settledAs}`
      throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
    }
    translated(() => this.#hand.settle(this.#claim, outcome))
    this.#settledAs = outcome.type
  }
}
