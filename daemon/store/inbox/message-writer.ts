/**
 * Makes messages and skips of one stream durable: rows, log, watermark and chain move together.
 * Must never store a message twice that any stream of its database id has brought before (PROTOCOL
 * §7.4).
 */
import { equalBytes } from '../../protocol/codec/buffer.ts'
import type { Connection } from '../connection.ts'
import { isRefusal } from '../error-classification.ts'
import type { Sha256 } from '../hash-chain.ts'
import type { KeyPolicy } from '../key-policy.ts'
import { uidBytes } from '../outbox/batches.ts'
import { isTime } from '../outbox/sequencer.ts'
import { decodeBody, type Message, type RecordEvent } from '../record.ts'
import type { Arrival, RowWriter } from './row-writer.ts'
import type { Sender, Senders, Suspects } from './senders.ts'
import type { UidIndex } from './uid-index.ts'
import type { UidLog } from './uid-log.ts'

/** Why the row after the last stored one was not: the row, all rows of this peer, or any row. */
export type Refused = { readonly type: 'refused' | 'closed' | 'broken'; readonly reason: string }

export class MessageWriter {
  readonly #connection: Connection
  readonly #keyPolicy: KeyPolicy
  readonly #senders: Senders
  readonly #log: UidLog
  readonly #uidIndex: UidIndex
  readonly #rows: RowWriter
  readonly #suspects: Suspects
  /** Up to where the open transaction has settled what the suspected senders brought. */
  readonly #passed = new Map<Sender, number>()

  constructor(
    connection: Connection,
    keyPolicy: KeyPolicy,
    senders: Senders,
    log: UidLog,
    uidIndex: UidIndex,
    rows: RowWriter,
    suspects: Suspects,
  ) {
    this.#connection = connection
    this.#keyPolicy = keyPolicy
    this.#senders = senders
    this.#log = log
    this.#uidIndex = uidIndex
    this.#rows = rows
    this.#suspects = suspects
  }

  /** How many messages `store` should be given at once. */
  messagesMax(sender: Sender): number {
    const isCareful = this.#connection.isCareful || this.#suspects.isAny(sender)
    return isCareful ? 1 : Math.max(1, this.#connection.rowsLeft)
  }

  /**
   * Stores the next messages of a stream, inside the open transaction.
   * @param relatives if there are any, each uid is looked up, and `UidIndex` is complete.
   */
  store(
    sender: Sender,
    messages: readonly Message[],
    arrival: Arrival,
    relatives: readonly Sender[],
    nowMs: number,
  ): Refused | undefined {
    const { key } = arrival
    const tokenMismatch = this.#keyPolicy.tokenMismatch(key, messages)
    if (tokenMismatch === undefined)
      return this.#storeTaken(sender, messages, arrival, relatives, nowMs)
    const { index, reason } = tokenMismatch
    const taken = messages.slice(0, index)
    const problem = this.#storeTaken(sender, taken, arrival, relatives, nowMs)
    // All rows of a lane under a key have one token; without a key each has its own.
    return problem ?? { type: key === '' ? 'refused' : 'closed', reason }
  }

  #storeTaken(
    sender: Sender,
    messages: readonly Message[],
    arrival: Arrival,
    relatives: readonly Sender[],
    nowMs: number,
  ): Refused | undefined {
    const reason = this.#suspects.reasonAgainstNext(sender)
    if (reason !== undefined) {
      this.#passed.set(sender, sender.watermark + 1)
      return { type: 'refused', reason }
    }
    const isFamily = relatives.length > 0
    const scopes = isFamily ? this.#uidIndex.scopesOf(relatives) : []
    const news = isFamily
      ? messages.filter(({ uid }) => !this.#uidIndex.has(scopes, uid))
      : messages
    const { inserted, problem } = this.#insert(sender, news, messages.length, arrival, nowMs)
    this.#connection.tally.onReceived(inserted)
    const refused = problem === undefined ? undefined : news[inserted]
    const stored = refused === undefined ? messages : messages.slice(0, messages.indexOf(refused))
    this.#advance(sender, uidsOf(stored))
    if (isFamily) sender.unlogged.push(loggedUids(stored, new Set(news)))
    else sender.unlogged.push(uidsOf(stored))
    for (const { timeMs } of stored) {
      // When a row without a time is forgotten, such rows must be held all the same.
      const newest = isTime(timeMs) ? timeMs : 1
      if (newest > sender.unloggedNewest) sender.unloggedNewest = newest
    }
    return problem
  }

  /** The rows of the next sequences are not coming, inside the open transaction. */
  skip(sender: Sender, uids: Uint8Array, nowMs: number): void {
    // The log has a gap there: whoever skips fills no disk.
    this.#log.append(sender, nowMs)
    this.#advance(sender, uids)
  }

  onCommitted(): void {
    for (const [sender, sequence] of this.#passed) this.#suspects.onPassed(sender, sequence)
    this.#passed.clear()
  }

  /** @param count of sequences that these messages are the news among. */
  #insert(
    sender: Sender,
    messages: readonly Message[],
    count: number,
    arrival: Arrival,
    nowMs: number,
  ): { readonly inserted: number; readonly problem: Refused | undefined } {
    if (messages.length === 0) return { inserted: 0, problem: undefined }
    const last = sender.watermark + count
    this.#connection.blame((reason) => this.#suspects.add(sender, last, count, reason))
    try {
      return this.#rows.insert(messages, arrival, nowMs)
    } catch (error) {
      // A disk that is full ends the transaction too, and is no fault of the row's.
      if (!this.#connection.isWriting && error instanceof Error && isRefusal(error)) {
        this.#suspects.add(sender, last, count, error.message)
      }
      throw error
    }
  }

  #advance(sender: Sender, uids: Uint8Array): void {
    if (uids.length === 0) return
    sender.chain.appendMany(uids)
    sender.watermark += uids.length / uidBytes
    this.#connection.spend(uids.length / uidBytes, 0)
    this.#senders.onChanged(sender)
    if (this.#suspects.isAny(sender)) this.#passed.set(sender, sender.watermark)
  }
}

function uidsOf(messages: readonly Message[]): Uint8Array {
  return Buffer.concat(messages.map(({ uid }) => uid))
}

/** Zeros for what was there already: the log has it elsewhere. */
function loggedUids(messages: readonly Message[], news: ReadonlySet<Message>): Uint8Array {
  const uids = Buffer.alloc(messages.length * uidBytes)
  for (const [index, message] of messages.entries()) {
    if (news.has(message)) uids.set(message.uid, index * uidBytes)
  }
  return uids
}

// From bodies to messages. Must never let a body pass whose digest does not fit.

/** Messages of more than this together are stored one by one. */
const bytesAtOnce = 1_048_576

export type Taken = {
  readonly messages: Message[]
  readonly bytes: number
  /** What is wrong with the message after these. */
  readonly flaw: 'malformed' | 'damaged' | undefined
}

/**
 * The messages that `events` begins with.
 * @param whole puts the end of a body behind what is kept of it.
 */
export function takeMessages(
  events: readonly RecordEvent[],
  countMax: number,
  whole: (rest: Uint8Array) => Uint8Array,
  sha256: Sha256,
): Taken {
  const messages: Message[] = []
  let bytes = 0
  for (const event of events) {
    if (event.type !== 'message' && event.type !== 'rest') break
    if (messages.length >= countMax || bytes >= bytesAtOnce) break
    const body = event.type === 'message' ? event.body : whole(event.bytes)
    const message = decodeBody(body)
    if (message === undefined) return { messages, bytes, flaw: 'malformed' }
    const { digest, data } = message
    if (digest !== undefined && !equalBytes(digest, sha256(data))) {
      return { messages, bytes, flaw: 'damaged' }
    }
    messages.push(message)
    bytes += body.length
  }
  return { messages, bytes, flaw: undefined }
}
