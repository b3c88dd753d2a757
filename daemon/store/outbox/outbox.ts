/**
 * The outbound half of the store: one reading session for each lane, from the stream's name to
 * bytes of records. Must never hand over a row that is not numbered on disk, nor one under another
 * number than before.
 */
import { assert, unreachable } from '../../protocol/assert.ts'
import { varintLength, Writer } from '../../protocol/codec/buffer.ts'
import type { LaneId, SessionId } from '../../protocol/store-messages.ts'
import type { Connection, Turn, Work } from '../connection.ts'
import { DatabaseChanged } from '../error-classification.ts'
import type { EventLog } from '../event-log.ts'
import type { Sha256 } from '../hash-chain.ts'
import { encodeMessage, encodeSkip, type Message, skipCountMax } from '../record.ts'
import { type Batch, type Batches, rowsPerRun, uidBytes } from './batches.ts'
import type { Confirmer } from './confirmer.ts'
import type { IdentityCheck } from './identity-check.ts'
import type { Lane, Lanes } from './lanes.ts'
import { LargeRow, type OutboxRow, type RowReader, bodyBytes } from './row-reader.ts'
import type { Refusal } from './parked-rows.ts'
import { flaw, type PeerLimits, type Sequencer } from './sequencer.ts'

type OutboxParts = {
  readonly connection: Connection
  readonly lanes: Lanes
  readonly batches: Batches
  readonly rows: RowReader
  readonly sequencer: Sequencer
  readonly confirmer: Confirmer
  readonly identityCheck: IdentityCheck
  readonly events: EventLog
  readonly randomBytes: (length: number) => Uint8Array
  readonly sha256: Sha256
  readonly databaseId: Uint8Array
}

/** Rows that the operator has to decide about are looked at again when asked for, not before. */
const ambiguousCode = 'TINYMQ_AMBIGUOUS'

type Reading = {
  /** The sequence whose record comes next. */
  next: number
  readonly limits: PeerLimits
  /** Bytes of the first record that the peer has (PROTOCOL §6.3). */
  part: number
  large: LargeRow | undefined
  /** A read that waits for rows. */
  bytesMax: number | undefined
}

type OutboundSession = {
  readonly id: SessionId
  readonly lane: Lane
  /** Undefined until the rules have let it go. */
  reading: Reading | undefined
}

/** One answer while it is made: it must not outlive the call that makes it. */
type Filling = {
  readonly session: OutboundSession
  readonly reading: Reading
  readonly batch: RecordEncoder
  readonly turn: Turn
}

/** `length` in bytes, at most; 0 means nothing. */
type Filled = { readonly length: number; readonly encode: Encode; readonly drained: boolean }

export class Outbox {
  readonly #parts: OutboxParts
  readonly #sessions = new Map<SessionId, OutboundSession>()
  /** The newest session of each lane. */
  readonly #present = new Map<LaneId, OutboundSession>()
  readonly #left = new Set<LaneId>()

  constructor(parts: OutboxParts) {
    this.#parts = parts
  }

  hasSession(lane: LaneId): boolean {
    return this.#present.has(lane)
  }

  openLane({ lane: id, session }: Work<'open-lane'>, { emit }: Turn): void {
    const { lanes, databaseId } = this.#parts
    const lane = lanes.load(id)
    if (lane === undefined) {
      const reason = 'the lane is no longer in mqlane'
      return emit({ type: 'session-invalidated', session, retryAfterMs: 0, reason })
    }
    const opened = { id: session, lane, reading: undefined }
    this.#sessions.set(session, opened)
    this.#present.set(id, opened)
    const [stream, peer] = [Uint8Array.from(lane.stream), lane.peer && Uint8Array.from(lane.peer)]
    emit({ type: 'lane-opened', session, databaseId, peer, stream, confirmed: lane.confirmed })
  }

  /** @returns whether it is done; else it must be called again in the next transaction. */
  checkIdentity(
    { session: id, opened, addressIsOwn }: Work<'check-identity'>,
    { nowMs, emit }: Turn,
  ): boolean {
    const session = this.#presentSession(id)
    if (session === undefined) return true
    const { lane } = session
    const judgement = this.#parts.identityCheck.checkIdentity(lane, opened, addressIsOwn, nowMs)
    switch (judgement.type) {
      case 'unfinished':
        return false
      case 'go':
        session.reading = {
          next: opened.watermark + 1,
          limits: { bodyBytesMax: opened.messageBytesMax, logStart: opened.logStart },
          part: opened.part,
          large: undefined,
          bytesMax: undefined,
        }
        emit({ type: 'identity-checked', session: id, decision: { type: 'go' } })
        return true
      case 'restart':
      case 'pause':
        emit({ type: 'identity-checked', session: id, decision: judgement })
        return true
      default:
        return unreachable(judgement)
    }
  }

  /** @returns whether it is done; else it must be called again in the next transaction. */
  read({ session: id, bytesMax }: Work<'read'>, turn: Turn): boolean {
    const session = this.#presentSession(id)
    if (session?.reading === undefined) return true
    session.reading.bytesMax = bytesMax
    return this.#answerRead(session, session.reading, turn)
  }

  /**
   * The lane may have rows that no read has seen: a read that waits is answered.
   * @returns whether it is done; else it must be called again in the next transaction.
   */
  onRows(lane: LaneId, turn: Turn): boolean {
    const session = this.#present.get(lane)
    return session?.reading === undefined || this.#answerRead(session, session.reading, turn)
  }

  /** @returns whether it is done; else it must be called again in the next transaction. */
  confirmed({ session: id, sequence }: Work<'confirmed'>, { nowMs }: Turn): boolean {
    const session = this.#presentSession(id)
    if (session?.reading === undefined || sequence >= session.reading.next) return true
    return this.#parts.confirmer.advance(session.lane, sequence, nowMs)
  }

  refused({ session: id, sequence, reason, retryAfterMs }: Work<'row-rejected'>, turn: Turn): void {
    const session = this.#presentSession(id)
    if (session?.reading === undefined || sequence <= session.lane.confirmed) return
    const { lane } = session
    const run = this.#parts.batches.at(lane, sequence)
    if (run === undefined) return
    this.#parts.connection.begin()
    const row = this.#rowAt(lane, run, sequence)
    if (row === undefined) return
    this.#setAside(lane, run, sequence, row, { code: 'TINYMQ_REFUSED', reason, retryAfterMs }, turn)
  }

  /** @returns the lane that the session was of. */
  forget(id: SessionId): LaneId | undefined {
    const session = this.#sessions.get(id)
    if (session === undefined) return undefined
    const { lane } = session.lane.address
    this.#sessions.delete(id)
    if (this.#present.get(lane) === session) {
      this.#present.delete(lane)
      this.#left.add(lane)
    }
    return lane
  }

  /**
   * The lane has no session, and none of its rows is there any more: those that are not confirmed
   * count as cancelled. Inside the open transaction.
   */
  settle(id: LaneId): void {
    const { lanes, batches } = this.#parts
    const lane = lanes.load(id)
    if (lane === undefined) return
    for (const run of batches.open(lane)) {
      const from = Math.max(run.first, lane.confirmed + 1)
      for (let sequence = from; sequence <= run.last; sequence++) run.tombstone(sequence)
    }
    lanes.onChanged(lane)
    this.#left.add(id)
  }

  /** What lanes without a session have in memory goes, once it is on disk. */
  onCommitted(): void {
    for (const lane of this.#left) {
      if (this.#present.has(lane)) continue
      this.#parts.lanes.unload(lane)
      this.#parts.batches.unload(lane)
    }
    this.#left.clear()
  }

  #presentSession(id: SessionId): OutboundSession | undefined {
    const session = this.#sessions.get(id)
    return session && this.#present.get(session.lane.address.lane) === session ? session : undefined
  }

  #answerRead(session: OutboundSession, reading: Reading, turn: Turn): boolean {
    const { bytesMax } = reading
    if (bytesMax === undefined || !this.#hasNext(session.lane, reading)) return true
    const { connection } = this.#parts
    connection.begin()
    const filled = this.#fill(session, reading, bytesMax, turn)
    if (filled === undefined) return true
    const { length, encode, drained } = filled
    // Rows were set aside, and there may be more: the read still waits.
    if (length === 0) return drained
    connection.spend(0, length)
    reading.bytesMax = undefined
    const lastSequence = reading.large?.sequence ?? reading.next - 1
    const rows = { type: 'rows', session: session.id, lastSequence, drained } as const
    turn.emit(() => ({ ...rows, bytes: encode() }))
    return true
  }

  #hasNext(lane: Lane, reading: Reading): boolean {
    if (reading.large !== undefined) return true
    return reading.next <= lane.numbered || this.#parts.sequencer.isAny(lane)
  }

  /** Undefined: the session has come to an end, and the core is informed. */
  #fill(
    session: OutboundSession,
    reading: Reading,
    bytesMax: number,
    turn: Turn,
  ): Filled | undefined {
    if (reading.large !== undefined) {
      const bytes = this.#nextSlice(session, reading, reading.large, turn)
      return bytes && { length: bytes.length, encode: () => bytes, drained: false }
    }
    const batch = new RecordEncoder()
    const filling = { session, reading, batch, turn }
    let [drained, isMore] = [false, true]
    let known: readonly OutboxRow[] = []
    while (batch.length < bytesMax && batch.rows < rowsPerRun) {
      if (reading.next <= session.lane.numbered) {
        if (!this.#addNumbered(filling, known)) break
        continue
      }
      drained = !isMore
      if (drained) break
      const numbered = this.#number(filling, bytesMax - batch.length)
      if (numbered === undefined) break
      ;({ rows: known, isMore } = numbered)
      if (this.#parts.connection.isSpent && known.length === 0) break
    }
    if (session.reading === undefined) return undefined
    const { length } = batch
    return { length, encode: batch.take(), drained }
  }

  /** Undefined: the next row is the operator's to decide about. */
  #number(
    { session, reading, batch, turn }: Filling,
    bytesMax: number,
  ): { rows: readonly OutboxRow[]; isMore: boolean } | undefined {
    const { sequencer } = this.#parts
    const room = rowsPerRun - batch.rows
    const numbered = sequencer.number(session.lane, reading.limits, bytesMax, room, turn.nowMs)
    const { rows, ambiguous, isMore } = numbered
    if (ambiguous === undefined || rows.length > 0) return { rows, isMore }
    if (batch.length === 0) this.#hold(session, ambiguous, turn)
    return undefined
  }

  /**
   * Adds the record of the next sequence, and of those after it that are in `known`.
   * @returns false when what was added so far must leave first, or nothing more can be.
   */
  #addNumbered(filling: Filling, known: readonly OutboxRow[]): boolean {
    const { session, reading, batch, turn } = filling
    const { lane } = session
    const run = this.#parts.batches.at(lane, reading.next)
    if (run === undefined) throw new DatabaseChanged('mqbatch')
    // Rows that were numbered a moment ago are the end of the run.
    const offset = run.last - known.length + 1
    const knownRow = reading.next >= offset ? known[reading.next - offset] : undefined
    const row = knownRow ?? this.#rowAt(lane, run, reading.next)
    if (row === undefined) return this.#skip(filling, run)
    if (this.#parts.sequencer.isAmbiguous(lane, row, reading.limits)) {
      if (batch.length === 0) this.#hold(session, row, turn)
      return false
    }
    const refusal = this.#parts.sequencer.refusalOf(row, reading.limits)
    if (refusal !== undefined) return this.#pass(filling, run, row, refusal)
    if (row.isLarge) return this.#beginLarge(filling, run, row)
    batch.add(row.message, bodyBytes(row))
    reading.next++
    reading.part = 0
    return true
  }

  #skip({ session: { lane }, reading, batch }: Filling, run: Batch): boolean {
    // Written down: should the very same row come back, it gets a new number.
    if (run.idAt(reading.next) !== 0) {
      run.tombstone(reading.next)
      this.#parts.lanes.onChanged(lane)
    }
    batch.skip(run.uidAt(reading.next))
    reading.next++
    reading.part = 0
    return true
  }

  #pass(filling: Filling, run: Batch, row: OutboxRow, refusal: Refusal): boolean {
    this.#setAside(filling.session.lane, run, filling.reading.next, row, refusal, filling.turn)
    return this.#skip(filling, run)
  }

  #beginLarge(filling: Filling, run: Batch, row: OutboxRow): boolean {
    const { reading, batch } = filling
    if (batch.length > 0) return false
    const { rows, sha256 } = this.#parts
    const large = LargeRow.open(reading.next, row, reading.part, rows, sha256)
    // Read inside the transaction that has just found it.
    if (large === undefined) throw new DatabaseChanged('mqout')
    if (large === 'flawed') return this.#pass(filling, run, row, flaw('data'))
    reading.large = large
    reading.part = 0
    const slice = large.next()
    if (slice !== undefined) batch.raw(slice)
    this.#endLarge(reading)
    return false
  }

  /** Undefined: the row is gone, and with it the session. */
  #nextSlice(
    session: OutboundSession,
    reading: Reading,
    large: LargeRow,
    { emit }: Turn,
  ): Uint8Array | undefined {
    const slice = large.next()
    if (slice === undefined) {
      // The stream cannot take back what it has begun: the next session skips the row.
      const reason = `row ${large.id} was deleted while it was being sent`
      emit({ type: 'session-invalidated', session: session.id, retryAfterMs: 0, reason })
      this.forget(session.id)
      return undefined
    }
    this.#endLarge(reading)
    return slice
  }

  #endLarge(reading: Reading): void {
    if (reading.large?.isDone !== true) return
    reading.next++
    reading.large = undefined
  }

  #rowAt(lane: Lane, run: Batch, sequence: number): OutboxRow | undefined {
    const id = run.idAt(sequence)
    if (id === 0) return undefined
    return this.#parts.rows.one(id, run.uidAt(sequence), lane.address)
  }

  /** PROTOCOL §6.3: the sequence goes to a uid that no row has. */
  #setAside(
    lane: Lane,
    run: Batch,
    sequence: number,
    row: OutboxRow,
    refusal: Refusal,
    { nowMs }: Turn,
  ): void {
    run.give(sequence, this.#parts.randomBytes(16))
    this.#parts.lanes.onChanged(lane)
    // Before a trigger on mqparked may change the row: it is not in flight any more.
    this.#parts.batches.write(lane)
    this.#parts.sequencer.park(lane, row, refusal, nowMs)
  }

  #hold(session: OutboundSession, row: OutboxRow, { nowMs, emit }: Turn): void {
    const { lane, host, port } = session.lane.address
    const reason =
      `row ${row.id} may have been delivered before this database was restored or copied, and ` +
      'the peer has forgotten: delete the rows that must not arrive twice, then ' +
      `UPDATE mqlane SET requested = 'resend' WHERE id = ${lane}`
    this.#parts.events.add({ code: 'AMBIGUOUS', host, port, detail: reason }, nowMs)
    const decision = { type: 'pause', code: ambiguousCode, reason } as const
    emit({ type: 'identity-checked', session: session.id, decision })
    session.reading = undefined
  }
}

// Records that follow each other, to be put into one buffer that can be given to another thread.
// They are gathered while the database is locked, and encoded when it no longer is. Must never hold
// more than one answer.

type Piece =
  | { readonly type: 'message'; readonly message: Message }
  | { readonly type: 'skip'; readonly uids: Uint8Array }
  | { readonly type: 'raw'; readonly bytes: Uint8Array }

/** Encodes what was gathered. To be called once: the bytes are the caller's own. */
export type Encode = () => Uint8Array

export class RecordEncoder {
  readonly #pieces: Piece[] = []
  #bytes = 0
  #skipped: Uint8Array[] = []
  #rows = 0

  /** Bytes so far. */
  get length(): number {
    const skipped = this.#skipped.length
    return this.#bytes + (skipped === 0 ? 0 : recordBytes(skipped, skipped * uidBytes))
  }

  /** Sequences so far. */
  get rows(): number {
    return this.#rows
  }

  /** @param bodyBytes of its body on the wire. */
  add(message: Message, bodyBytes: number): void {
    this.#endSkip()
    this.#pieces.push({ type: 'message', message })
    this.#bytes += recordBytes(bodyBytes, bodyBytes)
    this.#rows++
  }

  /** The next sequence is skipped. Neighbours become one record. */
  skip(uid: Uint8Array): void {
    this.#skipped.push(uid)
    this.#rows++
    if (this.#skipped.length === skipCountMax) this.#endSkip()
  }

  /** Bytes that are encoded already. */
  raw(bytes: Uint8Array): void {
    this.#endSkip()
    this.#pieces.push({ type: 'raw', bytes })
    this.#bytes += bytes.length
    this.#rows++
  }

  /** All of it. The batch is not used again. */
  take(): Encode {
    this.#endSkip()
    const [pieces, length] = [this.#pieces, this.#bytes]
    return () => encode(pieces, length)
  }

  #endSkip(): void {
    if (this.#skipped.length === 0) return
    const { length } = this
    this.#pieces.push({ type: 'skip', uids: Buffer.concat(this.#skipped) })
    this.#skipped = []
    this.#bytes = length
  }
}

/** Of a record whose head has `number` besides its type, and `bytes` behind the head. */
function recordBytes(number: number, bytes: number): number {
  return 1 + varintLength(number) + bytes
}

function encode(pieces: readonly Piece[], length: number): Uint8Array {
  const writer = new Writer(length)
  for (const piece of pieces) {
    if (piece.type === 'message') encodeMessage(writer, piece.message)
    else if (piece.type === 'skip') encodeSkip(writer, piece.uids)
    else writer.bytes(piece.bytes)
  }
  assert(writer.length === length, 'Records are as long as was said.')
  return writer.written
}
