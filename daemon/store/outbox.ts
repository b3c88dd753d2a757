/**
 * The outbound half of the store: one reading session for each lane, from the stream's name to
 * bytes of records. Must never hand over a row that is not numbered on disk, nor one under another
 * number than before.
 */
import { unreachable } from '../protocol/assert.ts'
import type { Sha256 } from '../protocol/chain.ts'
import type { LaneId, SessionId } from '../protocol/store-port.ts'
import type { Connection } from './connection.ts'
import type { Confirming } from './confirming.ts'
import type { Events } from './events.ts'
import { DatabaseChanged } from './faults.ts'
import type { Judging } from './judging.ts'
import type { Lane, Lanes } from './lanes.ts'
import { LargeRow } from './large-row.ts'
import { flaw, type Numbering, type PeerLimits } from './numbering.ts'
import type { Refusal } from './parked.ts'
import { bodyBytes, type OutboxRow, type OutboxRows } from './outbox-rows.ts'
import type { Turn, Work } from './turn.ts'
import { RecordBatch, type Encode } from './record-batch.ts'
import type { Run } from './run.ts'
import { rowsPerRun, type Runs } from './runs.ts'

export type OutboxParts = {
  readonly connection: Connection
  readonly lanes: Lanes
  readonly runs: Runs
  readonly rows: OutboxRows
  readonly numbering: Numbering
  readonly confirming: Confirming
  readonly judging: Judging
  readonly events: Events
  readonly randomBytes: (length: number) => Uint8Array
  readonly sha256: Sha256
  readonly origin: Uint8Array
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
  readonly batch: RecordBatch
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
    const { lanes, origin } = this.#parts
    const lane = lanes.load(id)
    if (lane === undefined) {
      const reason = 'the lane is no longer in mqlane'
      return emit({ type: 'lost', session, retryAfterMs: 0, reason })
    }
    const opened = { id: session, lane, reading: undefined }
    this.#sessions.set(session, opened)
    this.#present.set(id, opened)
    const [stream, peer] = [Uint8Array.from(lane.stream), lane.peer && Uint8Array.from(lane.peer)]
    emit({ type: 'lane-opened', session, origin, peer, stream, confirmed: lane.confirmed })
  }

  /** @returns whether it is done; else it must be called again in the next transaction. */
  judge({ session: id, opened, addressIsOwn }: Work<'judge'>, { nowMs, emit }: Turn): boolean {
    const session = this.#presentSession(id)
    if (session === undefined) return true
    const { lane } = session
    const judgement = this.#parts.judging.judge(lane, opened, addressIsOwn, nowMs)
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
        emit({ type: 'judged', session: id, verdict: { type: 'go' } })
        return true
      case 'restart':
      case 'hold':
        emit({ type: 'judged', session: id, verdict: judgement })
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
    return this.#parts.confirming.advance(session.lane, sequence, nowMs)
  }

  refused({ session: id, sequence, reason, retryAfterMs }: Work<'refused'>, turn: Turn): void {
    const session = this.#presentSession(id)
    if (session?.reading === undefined || sequence <= session.lane.confirmed) return
    const { lane } = session
    const run = this.#parts.runs.at(lane, sequence)
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
    const { lanes, runs } = this.#parts
    const lane = lanes.load(id)
    if (lane === undefined) return
    for (const run of runs.open(lane)) {
      const from = Math.max(run.first, lane.confirmed + 1)
      for (let sequence = from; sequence <= run.last; sequence++) run.strike(sequence)
    }
    lanes.onChanged(lane)
    this.#left.add(id)
  }

  /** What lanes without a session have in memory goes, once it is on disk. */
  onCommitted(): void {
    for (const lane of this.#left) {
      if (this.#present.has(lane)) continue
      this.#parts.lanes.unload(lane)
      this.#parts.runs.unload(lane)
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
    return reading.next <= lane.numbered || this.#parts.numbering.isAny(lane)
  }

  /** Undefined: the session has come to an end, and the core is told. */
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
    const batch = new RecordBatch()
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
    const { numbering } = this.#parts
    const room = rowsPerRun - batch.rows
    const numbered = numbering.number(session.lane, reading.limits, bytesMax, room, turn.nowMs)
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
    const run = this.#parts.runs.at(lane, reading.next)
    if (run === undefined) throw new DatabaseChanged('mqrun')
    // Rows that were numbered a moment ago are the end of the run.
    const offset = run.last - known.length + 1
    const knownRow = reading.next >= offset ? known[reading.next - offset] : undefined
    const row = knownRow ?? this.#rowAt(lane, run, reading.next)
    if (row === undefined) return this.#skip(filling, run)
    if (this.#parts.numbering.isAmbiguous(lane, row, reading.limits)) {
      if (batch.length === 0) this.#hold(session, row, turn)
      return false
    }
    const refusal = this.#parts.numbering.refusalOf(row, reading.limits)
    if (refusal !== undefined) return this.#pass(filling, run, row, refusal)
    if (row.isLarge) return this.#beginLarge(filling, run, row)
    batch.add(row.message, bodyBytes(row))
    reading.next++
    reading.part = 0
    return true
  }

  #skip({ session: { lane }, reading, batch }: Filling, run: Run): boolean {
    // Written down: should the very same row come back, it gets a new number.
    if (run.idAt(reading.next) !== 0) {
      run.strike(reading.next)
      this.#parts.lanes.onChanged(lane)
    }
    batch.skip(run.uidAt(reading.next))
    reading.next++
    reading.part = 0
    return true
  }

  #pass(filling: Filling, run: Run, row: OutboxRow, refusal: Refusal): boolean {
    this.#setAside(filling.session.lane, run, filling.reading.next, row, refusal, filling.turn)
    return this.#skip(filling, run)
  }

  #beginLarge(filling: Filling, run: Run, row: OutboxRow): boolean {
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
      emit({ type: 'lost', session: session.id, retryAfterMs: 0, reason })
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

  #rowAt(lane: Lane, run: Run, sequence: number): OutboxRow | undefined {
    const id = run.idAt(sequence)
    if (id === 0) return undefined
    return this.#parts.rows.one(id, run.uidAt(sequence), lane.address)
  }

  /** PROTOCOL §6.3: the sequence goes to a uid that no row has. */
  #setAside(
    lane: Lane,
    run: Run,
    sequence: number,
    row: OutboxRow,
    refusal: Refusal,
    { nowMs }: Turn,
  ): void {
    run.give(sequence, this.#parts.randomBytes(16))
    this.#parts.lanes.onChanged(lane)
    // Before a trigger on mqparked may change the row: it is not in flight any more.
    this.#parts.runs.write(lane)
    this.#parts.numbering.park(lane, row, refusal, nowMs)
  }

  #hold(session: OutboundSession, row: OutboxRow, { nowMs, emit }: Turn): void {
    const { lane, host, port } = session.lane.address
    const reason =
      `row ${row.id} may have been delivered before this database was restored or copied, and ` +
      'the peer has forgotten: delete the rows that must not arrive twice, then ' +
      `UPDATE mqlane SET wish = 'resend' WHERE id = ${lane}`
    this.#parts.events.add({ code: 'AMBIGUOUS', host, port, detail: reason }, nowMs)
    const verdict = { type: 'hold', code: ambiguousCode, reason } as const
    emit({ type: 'judged', session: session.id, verdict })
    session.reading = undefined
  }
}
