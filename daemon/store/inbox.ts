/**
 * The inbound half of the store: one receiving session for each stream, from bytes to rows of
 * `mqin`. Must never answer for a row, or move a watermark, but in the transaction that inserts it.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { assert } from '../protocol/assert.ts'
import type { Sha256 } from '../protocol/chain.ts'
import { closeCode, reasonBytesMax, type CloseCode } from '../protocol/frame.ts'
import { bodyBytesMaxOfAll, RecordParser, type RecordEvent } from '../protocol/record.ts'
import type { SessionId } from '../protocol/store-port.ts'
import { clampText, equalBytes } from '../protocol/wire.ts'
import { BrokenInbox } from './broken-inbox.ts'
import type { Connection } from './connection.ts'
import type { Events } from './events.ts'
import type { Turn, Work } from './turn.ts'
import type { KeptParts, Parts } from './parts.ts'
import { LogCare } from './log-care.ts'
import { takeMessages } from './received-messages.ts'
import type { Seen } from './seen.ts'
import type { SenderLog } from './sender-log.ts'
import { crowdedReason, kinOf, relativesOf } from './senders.ts'
import type { Sender, SenderId, Senders } from './senders.ts'
import type { Storing } from './storing.ts'

/** The parser is fed slices of this size, so that little waits behind a full transaction. */
export const feedBytes = 131_072
/** What a body has besides its data, at most: token, headers, digest and the numbers. */
export const bodyExtraBytes = 66_000
/** Somebody has to mend a trigger or to delete a row first. */
const refusedPauseMs = 60_000
const brokenPauseMs = 10_000

export type InboxParts = {
  readonly connection: Connection
  readonly isSentTo: (origin: Uint8Array, key: string) => boolean
  readonly senders: Senders
  readonly log: SenderLog
  readonly seen: Seen
  readonly parts: Parts
  readonly storing: Storing
  readonly events: Events
  readonly sha256: Sha256
  readonly origin: Uint8Array
}

type InboundSession = {
  readonly id: SessionId
  readonly sender: Sender
  readonly key: string
  readonly host: string
  readonly port: number
  readonly parser: RecordParser
  /** Bytes of stream that were taken over … */
  received: number
  /** … of which the parser has not had these … */
  unfed: Uint8Array
  /** … and what it made of the others is not stored as far as it is here. */
  events: RecordEvent[]
  /** Parts of the body that is next, or older parts of it that may not be used. */
  kept: KeptParts | undefined
  spillBytes: number
  /** Something was stored that the core has not heard of. */
  hasNews: boolean
  toldDurable: number
}

export class Inbox {
  readonly #parts: InboxParts
  readonly #messageBytesMax: BetterSqlite3.Statement<[], number>
  readonly #sessions = new Map<SessionId, InboundSession>()
  /** The newest session of each stream. */
  readonly #present = new Map<Sender, InboundSession>()
  /** These wait until the log of their origin has been gone through. */
  readonly #waiting = new Map<SessionId, Work<'accept'>>()
  /** These have something to store that could not be stored yet. */
  readonly #unstored = new Set<InboundSession>()
  readonly #left = new Set<Sender>()
  readonly #broken: BrokenInbox
  readonly #care: LogCare

  constructor(parts: InboxParts) {
    this.#parts = parts
    this.#broken = new BrokenInbox(parts.events)
    this.#care = new LogCare(parts.connection, parts.senders, parts.log)
    this.#messageBytesMax = parts.connection.prepareValue(
      "SELECT CAST(value AS INTEGER) FROM mqmeta WHERE key = 'message_bytes_max'",
    )
  }

  /** There is work that nobody asks for: call `goOn`. */
  get hasWork(): boolean {
    return this.#waiting.size + this.#unstored.size > 0 || this.#care.hasWork
  }

  accept(work: Work<'accept'>, turn: Turn): void {
    const { connection, senders } = this.#parts
    connection.begin()
    const sender = senders.find(work.key, work.stream, work.origin)
    const family = senders.ofOrigin(sender.origin)
    this.#waiting.delete(work.session)
    if (!this.#canLookUp(sender, family, turn)) {
      this.#waiting.set(work.session, work)
      this.#left.add(sender)
      return
    }
    this.#drop(work.session)
    // Our own lane has been elsewhere so far: rule 0 says so, and nothing of ours is missing.
    const isOurs = equalBytes(sender.origin, this.#parts.origin)
    const hasSent = isOurs || kinOf(sender, family).length > 0
    if (work.mustBeKnown && !hasSent && !this.#parts.isSentTo(sender.origin, work.key)) {
      this.#left.add(sender)
      return this.#broken.tellStranger(sender, work, turn)
    }
    if (!this.#supersede(sender, work.session, turn)) return
    this.#dropPartsOfOthers(sender, family)
    if (!isOurs) this.#broken.tellIfRestored(sender, work, turn.nowMs)
    senders.touch(sender, work.host, work.port, turn.nowMs)
    this.#open(sender, family, work, turn)
    this.#parts.parts.dropStale((id) => this.#isPresent(id), turn.nowMs)
  }

  /** Stores what is complete. What does not fit into the transaction is stored by `goOn`. */
  receive({ session: id, offset, bytes, spillBytes }: Work<'receive'>, turn: Turn): void {
    const session = this.#sessions.get(id)
    if (session === undefined) return
    assert(offset <= session.received, 'The stream is handed over without a gap.')
    // The database was busy, and this is the same work again.
    if (offset === session.received) {
      session.unfed = session.unfed.length === 0 ? bytes : Buffer.concat([session.unfed, bytes])
      session.received += bytes.length
      session.spillBytes = spillBytes
    }
    this.#store(session, turn)
  }

  /** Goes on with what did not fit into the last transaction. */
  goOn(turn: Turn): void {
    for (const work of Array.from(this.#waiting.values())) this.accept(work, turn)
    for (const session of Array.from(this.#unstored)) {
      if (this.#parts.connection.isSpent) return
      this.#store(session, turn)
    }
    this.#care.goOn(turn.nowMs, (oldest, kin) => {
      // The others must be told, and they are when they open again.
      for (const session of Array.from(this.#sessions.values())) {
        if (session.sender === oldest || !kin.includes(session.sender)) continue
        this.#turnAway(session, closeCode.done, 0, 'the log was pruned', turn)
      }
    })
  }

  forget(id: SessionId): void {
    this.#waiting.delete(id)
    this.#drop(id)
  }

  /** What senders without a session have in memory goes, once it is on disk. */
  onCommitted(): void {
    for (const sender of this.#left) {
      if (!this.#present.has(sender)) this.#parts.senders.unload(sender)
    }
    this.#left.clear()
    this.#parts.storing.onCommitted()
  }

  #open(sender: Sender, family: readonly Sender[], work: Work<'accept'>, turn: Turn): void {
    const { emit, nowMs } = turn
    const { parts, origin } = this.#parts
    const { session: id, key, host, port } = work
    const limit = (this.#messageBytesMax.get() ?? bodyBytesMaxOfAll) + bodyExtraBytes
    const messageBytesMax = Math.max(0, Math.min(bodyBytesMaxOfAll, limit))
    const kept = parts.kept(sender.id)
    const session: InboundSession = {
      id,
      sender,
      key,
      host,
      port,
      parser: new RecordParser(messageBytesMax),
      received: 0,
      unfed: new Uint8Array(0),
      events: [],
      kept,
      spillBytes: Infinity,
      hasNews: false,
      toldDurable: 0,
    }
    this.#sessions.set(id, session)
    this.#present.set(sender, session)
    this.#care.onOpened(sender, nowMs)
    const part = kept !== undefined && parts.mayResume(kept) ? kept.bytes : 0
    const others = kinOf(sender, family).filter((other) => other !== sender)
    const logStart = Math.max(0, ...others.map(({ forgottenAt }) => forgottenAt))
    const { watermark, chain } = sender
    const state = { watermark, digest: chain.digest(), part, logStart, messageBytesMax }
    emit({ type: 'accepted', session: id, database: origin, ...state })
  }

  /** @returns whether the session is the latest of its stream: an OPEN may come late. */
  #supersede(sender: Sender, session: SessionId, { emit }: Turn): boolean {
    const other = this.#present.get(sender)
    if (other === undefined) return true
    const isLatest = session > other.id
    if (isLatest) this.#drop(other.id)
    emit({ type: 'superseded', session: isLatest ? other.id : session })
    return isLatest
  }

  #isPresent(sender: SenderId): boolean {
    return Array.from(this.#present.keys()).some(({ id }) => id === sender)
  }

  #drop(id: SessionId): void {
    const session = this.#sessions.get(id)
    if (session === undefined) return
    this.#sessions.delete(id)
    this.#unstored.delete(session)
    if (this.#present.get(session.sender) !== session) return
    this.#present.delete(session.sender)
    this.#left.add(session.sender)
  }

  #turnAway(
    session: InboundSession,
    code: CloseCode,
    retryAfterMs: number,
    reason: string,
    { emit }: Turn,
  ): void {
    const sequence = code === closeCode.refused ? session.sender.watermark + 1 : 0
    const clamped = clampText(reason, reasonBytesMax)
    const { id } = session
    this.#tell(session, { emit })
    this.#drop(id)
    emit({ type: 'turned-away', session: id, code, sequence, retryAfterMs, reason: clamped })
  }

  #store(session: InboundSession, turn: Turn): void {
    this.#unstored.add(session)
    const family = this.#parts.senders.ofOrigin(session.sender.origin)
    const relatives = relativesOf(session.sender, family)
    if (!this.#canLookUp(session.sender, family, turn)) return
    while (this.#storeEvents(session, relatives, turn)) {
      if (session.unfed.length === 0) {
        this.#spill(session, turn)
        this.#unstored.delete(session)
        break
      }
      session.events = session.parser.feed(session.unfed.subarray(0, feedBytes))
      session.unfed = session.unfed.subarray(feedBytes)
    }
    if (this.#sessions.has(session.id)) this.#tell(session, turn)
  }

  /** Rule 8: whether what came under the origin's other streams can be looked up by uid now. */
  #canLookUp(sender: Sender, family: readonly Sender[], { nowMs }: Turn): boolean {
    const { connection, senders, seen, log } = this.#parts
    const others = relativesOf(sender, family)
    if (seen.isComplete(others)) return true
    connection.begin()
    for (const other of others) {
      // What this very transaction has stored counts too.
      log.append(other, nowMs)
      senders.onChanged(other)
    }
    seen.fill(others)
    return seen.isComplete(others)
  }

  /** @returns whether all were stored, and the session goes on. */
  #storeEvents(session: InboundSession, relatives: readonly Sender[], turn: Turn): boolean {
    while (session.events.length > 0) {
      if (this.#parts.connection.isSpent) return false
      this.#parts.connection.begin()
      if (!this.#hasRow(session, turn)) return false
      this.#care.onStored(session.sender, turn.nowMs)
      if (!this.#storeMessages(session, relatives, turn)) return false
      const event = session.events[0]
      if (event === undefined || event.type === 'message' || event.type === 'rest') continue
      session.events = session.events.slice(1)
      if (!this.#onOther(session, event, turn)) return false
    }
    return true
  }

  /** @returns whether the stream has a row: a new one gets it now, if there is room. */
  #hasRow(session: InboundSession, turn: Turn): boolean {
    const { sender, host, port } = session
    if (sender.id !== 0) return true
    if (this.#parts.senders.makeRoom(sender, (id) => this.#isPresent(id))) {
      this.#parts.senders.writeNew(sender, host, port, turn.nowMs)
      return true
    }
    this.#broken.tellRejected(session, { type: 'closed', reason: crowdedReason }, turn.nowMs)
    this.#turnAway(session, closeCode.closed, brokenPauseMs, crowdedReason, turn)
    return false
  }

  #storeMessages(session: InboundSession, relatives: readonly Sender[], turn: Turn): boolean {
    const { storing, parts, sha256, connection } = this.#parts
    const { sender, key, host, port } = session
    const countMax = storing.messagesMax(sender)
    const whole = (rest: Uint8Array): Uint8Array => parts.whole(sender.id, rest)
    const { messages, bytes, flaw } = takeMessages(session.events, countMax, whole, sha256)
    session.events = session.events.slice(messages.length)
    connection.spend(0, bytes)
    if (messages.length > 0) {
      const arrival = { sender: sender.id, key, host, port }
      const problem = storing.store(sender, messages, arrival, relatives, turn.nowMs)
      session.hasNews = true
      this.#dropParts(session)
      if (problem !== undefined) {
        if (problem.type === 'broken') this.#broken.tell(problem.reason, turn.nowMs)
        else this.#broken.tellRejected(session, problem, turn.nowMs)
        const isRefused = problem.type === 'refused'
        const code = isRefused ? closeCode.refused : closeCode.closed
        const pauseMs = isRefused ? refusedPauseMs : brokenPauseMs
        this.#turnAway(session, code, pauseMs, problem.reason, turn)
        return false
      }
    }
    if (flaw === undefined) return true
    if (flaw === 'damaged') {
      this.#dropParts(session)
      this.#turnAway(session, closeCode.damaged, 0, 'a body does not have its digest', turn)
    } else this.#turnAway(session, closeCode.protocol, 0, 'a malformed body', turn)
    return false
  }

  /** @returns whether the session goes on. */
  #onOther(
    session: InboundSession,
    event: Exclude<RecordEvent, { type: 'message' | 'rest' }>,
    turn: Turn,
  ): boolean {
    if (event.type === 'malformed') {
      this.#turnAway(session, closeCode.protocol, 0, event.reason, turn)
      return false
    }
    if (event.type === 'skip') {
      this.#parts.storing.skip(session.sender, event.uids, turn.nowMs)
      session.hasNews = true
      this.#dropParts(session)
      return true
    }
    const { kept } = session
    if (kept?.length === event.length && kept.bytes === event.offset) return true
    this.#dropParts(session)
    const reason = 'a RESUME of a body that is not kept here'
    this.#turnAway(session, closeCode.damaged, 0, reason, turn)
    return false
  }

  /** A database that has begun a new stream under a key does not go on with the old one. */
  #dropPartsOfOthers(sender: Sender, family: readonly Sender[]): void {
    for (const other of family) {
      if (other === sender || other.key !== sender.key || this.#present.has(other)) continue
      this.#parts.parts.drop(other.id)
    }
  }

  #dropParts(session: InboundSession): void {
    if (session.kept === undefined) return
    this.#parts.parts.drop(session.sender.id)
    session.kept = undefined
  }

  /** Writes down what there is of a large body (PROTOCOL §6.4). */
  #spill(session: InboundSession, turn: Turn): void {
    const body = session.parser.incompleteBody
    if (body === undefined || body.held <= session.spillBytes) return
    const { connection, parts } = this.#parts
    connection.begin()
    if (!this.#hasRow(session, turn)) return
    // The body comes whole: what was kept of it, or of another, is of no use.
    if (body.offset === 0) this.#dropParts(session)
    if (!parts.makeRoom(session.key, body.held, (id) => this.#isPresent(id))) {
      const reason = 'too much is kept of incomplete bodies under this key'
      this.#turnAway(session, closeCode.busy, brokenPauseMs, reason, turn)
      return
    }
    const bytes = session.parser.takeHeld()
    session.kept = parts.append(session.sender, session.kept, body.length, bytes)
    session.hasNews = true
  }

  #tell(session: InboundSession, { emit }: Pick<Turn, 'emit'>): void {
    if (!session.hasNews) return
    const { id, sender, parser, received, unfed, events } = session
    // What the parser has not given, or what it gave and is not stored, is not on disk.
    if (events.length === 0) session.toldDurable = received - unfed.length - parser.heldBytes
    session.hasNews = false
    emit({
      type: 'received',
      session: id,
      sequence: sender.watermark,
      durable: session.toldDurable,
    })
  }
}
