/**
 * The inbound half of the store: one receiving session for each stream, from bytes to rows of
 * `mqin`. Must never answer for a row, or move a watermark, but in the transaction that inserts it.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { assert } from '../../protocol/assert.ts'
import { clampText, equalBytes } from '../../protocol/codec/buffer.ts'
import { closeCode, type CloseCode, reasonBytesMax } from '../../protocol/codec/frame.ts'
import type { SessionId } from '../../protocol/store-messages.ts'
import type { Connection, Turn, Work } from '../connection.ts'
import { type EventLog, EventPace } from '../event-log.ts'
import type { Sha256 } from '../hash-chain.ts'
import { bodyBytesMaxOfAll, type RecordEvent, RecordParser } from '../record.ts'
import { type MessageWriter, type Refused, takeMessages } from './message-writer.ts'
import type { KeptParts, PartialBodies } from './partial-bodies.ts'
import {
  establishedMin,
  kinOf,
  relativesOf,
  type Sender,
  type SenderId,
  type Senders,
  tooManyStreams,
} from './senders.ts'
import type { UidIndex } from './uid-index.ts'
import { LogCare, type UidLog } from './uid-log.ts'

/** The parser is fed slices of this size, so that little waits behind a full transaction. */
export const feedBytes = 131_072
/** What a body has besides its data, at most: token, headers, digest and the numbers. */
export const bodyExtraBytes = 66_000
/** Somebody has to fix a trigger or to delete a row first. */
const refusedPauseMs = 60_000
const brokenPauseMs = 10_000

type InboxParts = {
  readonly connection: Connection
  readonly isSentTo: (databaseId: Uint8Array, key: string) => boolean
  readonly senders: Senders
  readonly log: UidLog
  readonly uidIndex: UidIndex
  readonly parts: PartialBodies
  readonly messageWriter: MessageWriter
  readonly events: EventLog
  readonly sha256: Sha256
  readonly databaseId: Uint8Array
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
  reportedDurable: number
}

export class Inbox {
  readonly #parts: InboxParts
  readonly #messageBytesMax: BetterSqlite3.Statement<[], number>
  readonly #sessions = new Map<SessionId, InboundSession>()
  /** The newest session of each stream. */
  readonly #present = new Map<Sender, InboundSession>()
  /** These wait until the log of their database id has been gone through. */
  readonly #waiting = new Map<SessionId, Work<'accept'>>()
  /** These have something to store that could not be stored yet. */
  readonly #unstored = new Set<InboundSession>()
  readonly #left = new Set<Sender>()
  readonly #broken: InboxFailure
  readonly #care: LogCare

  constructor(parts: InboxParts) {
    this.#parts = parts
    this.#broken = new InboxFailure(parts.events)
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
    const sender = senders.find(work.key, work.stream, work.databaseId)
    const family = senders.ofDatabaseId(sender.databaseId)
    this.#waiting.delete(work.session)
    if (!this.#canLookUp(sender, family, turn)) {
      this.#waiting.set(work.session, work)
      this.#left.add(sender)
      return
    }
    this.#drop(work.session)
    // Our own lane has been elsewhere so far: rule 0 says so, and nothing of ours is missing.
    const isOurs = equalBytes(sender.databaseId, this.#parts.databaseId)
    const hasSent = isOurs || kinOf(sender, family).length > 0
    if (work.mustBeKnown && !hasSent && !this.#parts.isSentTo(sender.databaseId, work.key)) {
      this.#left.add(sender)
      return this.#broken.rejectUnknown(sender, work, turn)
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
      // One before it may have taken its place.
      if (this.#unstored.has(session)) this.#store(session, turn)
    }
  }

  /** Forgets what is too old. All that was asked for is done: nobody waits for this. */
  careForLogs(turn: Turn): void {
    this.#care.goOn(turn.nowMs, (oldest, kin) => this.#onForgotten(oldest, kin, turn))
  }

  #onForgotten(oldest: Sender, kin: readonly Sender[], turn: Turn): void {
    // The others must be informed, and they are when they open again.
    for (const session of Array.from(this.#sessions.values())) {
      if (session.sender === oldest || !kin.includes(session.sender)) continue
      this.#turnAway(session, closeCode.done, 0, 'the log was pruned', turn)
    }
  }

  onTurn(turn: Turn): void {
    this.#parts.uidIndex.onTurn()
    this.#care.goOnBriefly(turn.nowMs, (oldest, kin) => this.#onForgotten(oldest, kin, turn))
  }

  /** Nobody asks for anything: all of the transaction may be used for what waits here. */
  onRest(turn: Turn): void {
    if (this.#waiting.size + this.#unstored.size === 0) return
    this.#parts.uidIndex.onRest()
    this.goOn(turn)
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
    this.#parts.messageWriter.onCommitted()
  }

  #open(sender: Sender, family: readonly Sender[], work: Work<'accept'>, turn: Turn): void {
    const { emit, nowMs } = turn
    const { parts, databaseId } = this.#parts
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
      reportedDurable: 0,
    }
    this.#sessions.set(id, session)
    this.#present.set(sender, session)
    this.#care.onOpened(sender, nowMs)
    const part = kept !== undefined && parts.mayResume(kept) ? kept.bytes : 0
    const others = kinOf(sender, family).filter((other) => other !== sender)
    const logStart = Math.max(0, ...others.map(({ historyExpiredAt }) => historyExpiredAt))
    const { watermark, chain } = sender
    const state = { watermark, digest: chain.digest(), part, logStart, messageBytesMax }
    emit({ type: 'accepted', session: id, database: databaseId, ...state })
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
    emit({ type: 'rejected', session: id, code, sequence, retryAfterMs, reason: clamped })
  }

  #store(session: InboundSession, turn: Turn): void {
    this.#unstored.add(session)
    const family = this.#parts.senders.ofDatabaseId(session.sender.databaseId)
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

  /**
   * Rule 8: whether what came under the database id's other streams can be looked up by uid now.
   */
  #canLookUp(sender: Sender, family: readonly Sender[], { nowMs }: Turn): boolean {
    const { connection, senders, uidIndex, log } = this.#parts
    const others = relativesOf(sender, family)
    if (uidIndex.isComplete(others)) return true
    connection.begin()
    for (const other of others) {
      // What this very transaction has stored counts too.
      log.append(other, nowMs)
      senders.onChanged(other)
    }
    uidIndex.fill(others)
    return uidIndex.isComplete(others)
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
    if (this.#parts.senders.makeRoom(sender, (other) => this.#givesWay(other, turn))) {
      this.#parts.senders.writeNew(sender, host, port, turn.nowMs)
      return true
    }
    this.#broken.tellRejected(session, { type: 'closed', reason: tooManyStreams }, turn.nowMs)
    this.#turnAway(session, closeCode.closed, brokenPauseMs, tooManyStreams, turn)
    return false
  }

  /** Another stream of its database id needs its place. @returns whether its session has ended. */
  #givesWay(sender: Sender, turn: Turn): boolean {
    const session = this.#present.get(sender)
    if (session === undefined) return true
    if (sender.watermark >= establishedMin) return false
    this.#turnAway(session, closeCode.closed, brokenPauseMs, tooManyStreams, turn)
    return true
  }

  #storeMessages(session: InboundSession, relatives: readonly Sender[], turn: Turn): boolean {
    const { messageWriter, parts, sha256, connection } = this.#parts
    const { sender, key, host, port } = session
    const countMax = messageWriter.messagesMax(sender)
    const whole = (rest: Uint8Array): Uint8Array => parts.whole(sender.id, rest)
    const { messages, bytes, flaw } = takeMessages(session.events, countMax, whole, sha256)
    session.events = session.events.slice(messages.length)
    connection.spend(0, bytes)
    if (messages.length > 0) {
      const arrival = { sender: sender.id, key, host, port }
      const problem = messageWriter.store(sender, messages, arrival, relatives, turn.nowMs)
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
      this.#parts.messageWriter.skip(session.sender, event.uids, turn.nowMs)
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
    if (events.length === 0) session.reportedDurable = received - unfed.length - parser.heldBytes
    session.hasNews = false
    emit({
      type: 'received',
      session: id,
      sequence: sender.watermark,
      durable: session.reportedDurable,
    })
  }
}

// An inbox that takes no row, because a trigger or an index of its owner's does not work: the
// sender is informed, and so is the operator at this end, who can fix it. Must never say it for
// each try of each sender.

/** Senders try every ten seconds; whoever looks for a reason looks at the newest events. */
const sayAgainMs = 600_000

const hidden =
  "a new sender without a key at the address of the container's gateway, behind which may be " +
  'anybody: give both ends a key ring (docs/networking.md, Docker)'
/**
 * Netfilter forgets an answered flow of UDP after 120 s (nf_conntrack_udp_timeout_stream): one that
 * began while the container was away leads past the proxy then.
 */
const hiddenPauseMs = 130_000

/** Of whom a message, or all of them, was rejected. */
type Rejected = { readonly host: string; readonly port: number; readonly sender: Sender }

/** What an OPEN claims. */
type OpenedStream = { readonly confirmed: number; readonly host: string; readonly port: number }

export class InboxFailure {
  readonly #events: EventLog
  readonly #pace = new EventPace()
  #reason = ''
  #saidAtMs = Number.NEGATIVE_INFINITY

  constructor(events: EventLog) {
    this.#events = events
  }

  /** Inside the open transaction. */
  tell(reason: string, nowMs: number): void {
    if (reason === this.#reason && Math.abs(nowMs - this.#saidAtMs) < sayAgainMs) return
    this.#reason = reason
    this.#saidAtMs = nowMs
    const detail =
      `mqin takes no row: ${reason}. A trigger or an index on it does not work: fix or drop it. ` +
      'The senders keep their rows and try again every ten seconds.'
    this.#events.add({ code: 'INBOX_FAILED', detail }, nowMs)
  }

  /** Under the code that the sender has for it: who can fix it may be at this end. */
  tellRejected(from: Rejected, { type, reason }: Refused, nowMs: number): void {
    const { host, port, sender } = from
    const [code, what] =
      type === 'refused'
        ? ['TINYMQ_REFUSED', `message ${sender.watermark + 1} of this sender was rejected`]
        : ['TINYMQ_INBOX_CLOSED', 'this sender was turned away']
    const detail = `${what}: ${reason}. The sender keeps the row, and tries again.`
    if (this.#pace.mayTell(code, sender.key, nowMs)) {
      this.#events.addHourly({ code, host, port, detail }, nowMs)
    }
  }

  /** It comes from where a proxy may hide anybody, and has never come from elsewhere. */
  rejectUnknown(sender: Sender, { session, host, port }: Work<'accept'>, turn: Turn): void {
    this.tellRejected({ host, port, sender }, { type: 'closed', reason: hidden }, turn.nowMs)
    const reported = { code: closeCode.closed, sequence: 0, retryAfterMs: hiddenPauseMs }
    turn.emit({ type: 'rejected', session, ...reported, reason: hidden })
  }

  /** The sender remembers more than we do. It notices too (rule 4), and sends what it still has. */
  tellIfRestored(sender: Sender, work: OpenedStream, nowMs: number): void {
    const { confirmed, host, port } = work
    if (confirmed <= sender.watermark) return
    const code = 'INBOX_ROLLED_BACK'
    if (!this.#pace.mayTell(code, sender.key, nowMs)) return
    const detail =
      `This sender's messages ${sender.watermark + 1} to ${confirmed} were confirmed, and are ` +
      'not in this database: it was restored from a backup, or is another one than the sender ' +
      "knew. The sender's events say which they are."
    this.#events.add({ code, host, port, detail }, nowMs)
  }
}
