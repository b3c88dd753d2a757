/**
 * Gives rows their sequences. A row gets one in a durable commit before its first byte leaves (P1),
 * and only when a session with the peer stands (P7). Must never number a row twice, nor one that
 * the peer would reject.
 */
import type { Connection } from '../connection.ts'
import { DatabaseChanged } from '../error-classification.ts'
import { type Batches, rowsPerRun } from './batches.ts'
import type { Lane, Lanes } from './lanes.ts'
import type { ParkedRows, Refusal, RequeuedRows } from './parked-rows.ts'
import { bodyBytes, defectOf, notUtf8, type OutboxRow, type RowReader } from './row-reader.ts'

/** A message that this peer rejects now it may take after its operator has raised a limit. */
const peerLimitPauseMs = 3_600_000
/** A row that nobody can take is looked at again in case somebody has fixed it. */
const defectPauseMs = 24 * 3_600_000

/** What the session's OPENED asks for (PROTOCOL §5.6). */
export type PeerLimits = {
  readonly bodyBytesMax: number
  /** Rows created up to this time the peer may have stored and forgotten; 0: none. */
  readonly logStart: number
}

export type Numbered = {
  readonly rows: readonly OutboxRow[]
  /** The next row may be duplicated at the peer: the operator has to choose. */
  readonly ambiguous: OutboxRow | undefined
  /** There may be more rows. */
  readonly isMore: boolean
}

type RefusedRow = { readonly row: OutboxRow; readonly refusal: Refusal }

/** `looked`: how many were taken or are rejected. */
type Looks = {
  readonly taken: readonly OutboxRow[]
  readonly refused: readonly RefusedRow[]
  readonly looked: number
  readonly ambiguous: OutboxRow | undefined
}

export class Sequencer {
  readonly #connection: Connection
  readonly #lanes: Lanes
  readonly #batches: Batches
  readonly #rows: RowReader
  readonly #parked: ParkedRows
  readonly #requeued: RequeuedRows

  constructor(
    connection: Connection,
    lanes: Lanes,
    batches: Batches,
    rows: RowReader,
    parked: ParkedRows,
    requeued: RequeuedRows,
  ) {
    this.#connection = connection
    this.#lanes = lanes
    this.#batches = batches
    this.#rows = rows
    this.#parked = parked
    this.#requeued = requeued
  }

  /** Whether `number` would look at any row. Cheap, and needs no transaction. */
  isAny(lane: Lane): boolean {
    if (lane.lateFrom <= lane.numberedId) return true
    return this.#rows.isAnyFresh(lane.address, lane.numberedId)
  }

  /**
   * Numbers about `bytesMax` bytes of rows, at most `rowsMax`, inside the open transaction: first
   * those that were overlooked, then the next.
   */
  number(
    lane: Lane,
    limits: PeerLimits,
    bytesMax: number,
    rowsMax: number,
    nowMs: number,
  ): Numbered {
    const count = Math.min(rowsMax, rowsPerRun, Math.floor(bytesMax / lane.rowBytes) + 1)
    const requeued = this.#numberLate(lane, limits, bytesMax, count, nowMs)
    if (
      requeued !== undefined &&
      (requeued.isMore || requeued.ambiguous !== undefined || requeued.rows.length > 0)
    ) {
      return { ...requeued, isMore: true }
    }
    return this.#numberFresh(lane, limits, bytesMax, count, nowMs)
  }

  /** Why a row is parked and not sent, if so. */
  refusalOf(row: OutboxRow, limits: PeerLimits): Refusal | undefined {
    const defect = defectOf(row)
    if (defect !== undefined) return { ...defect, retryAfterMs: defectPauseMs }
    return bodyBytes(row) > limits.bodyBytesMax ? tooLarge(limits) : undefined
  }

  isAmbiguous(lane: Lane, row: OutboxRow, limits: PeerLimits): boolean {
    const { timeMs } = row.message
    // A row without a time may be as new as the newest that was forgotten.
    const newestMs = isTime(timeMs) ? timeMs : limits.logStart
    return newestMs <= limits.logStart && newestMs > lane.resendBefore
  }

  park(lane: Lane, row: OutboxRow, refusal: Refusal, nowMs: number): void {
    this.#connection.spend(1, 0)
    this.#parked.park(lane.address.lane, row.id, row.message.uid, refusal, nowMs)
  }

  #numberLate(
    lane: Lane,
    limits: PeerLimits,
    bytesMax: number,
    count: number,
    nowMs: number,
  ): Numbered | undefined {
    if (lane.lateFrom > lane.numberedId) return undefined
    const found = this.#rows.requeued(lane.address, lane.lateFrom, lane.numberedId, count)
    const unnumbered = found.filter((row) => !this.#isNumbered(lane, row))
    const looks = this.#look(lane, unnumbered, limits, bytesMax)
    const { taken, looked, ambiguous } = looks
    const passed = looked < unnumbered.length ? unnumbered[looked]?.id : undefined
    const isMore = passed !== undefined || found.length === count
    if (passed !== undefined) lane.lateFrom = passed
    else lane.lateFrom = isMore ? (found.at(-1)?.id ?? 0) + 1 : Infinity
    for (const { id } of found)
      if (passed === undefined || id < passed) this.#requeued.onNumbered(id)
    for (const row of taken) this.#strikeOld(lane, row.id)
    this.#write(lane, looks, nowMs)
    return { rows: taken, ambiguous, isMore }
  }

  #numberFresh(
    lane: Lane,
    limits: PeerLimits,
    bytesMax: number,
    count: number,
    nowMs: number,
  ): Numbered {
    const found = this.#rows.fresh(lane.address, lane.numberedId, count)
    const looks = this.#look(lane, found, limits, bytesMax)
    const { taken, looked, ambiguous } = looks
    const last = found[looked - 1]
    if (last !== undefined) {
      this.#requeued.onRangeNumbered(lane.numberedId + 1, last.id, lane.address)
      this.#lanes.pass(lane, last.id)
    }
    this.#write(lane, looks, nowMs)
    return { rows: taken, ambiguous, isMore: looked < found.length || found.length === count }
  }

  /** The first rows that make up `bytesMax` bytes; those that cannot go are passed on the way. */
  #look(lane: Lane, rows: readonly OutboxRow[], limits: PeerLimits, bytesMax: number): Looks {
    const taken: OutboxRow[] = []
    const refused: RefusedRow[] = []
    let bytes = 0
    let looked = 0
    for (const found of rows) {
      if (bytes >= bytesMax) break
      if (this.isAmbiguous(lane, found, limits)) {
        return { taken, refused, looked, ambiguous: found }
      }
      const row = this.#rows.whole(found)
      // Found a moment ago, in the same transaction.
      if (row === undefined) throw new DatabaseChanged('mqout')
      const refusal = this.refusalOf(row, limits)
      looked++
      if (refusal === undefined) {
        taken.push(row)
        bytes += bodyBytes(row)
      } else refused.push({ row, refusal })
    }
    if (taken.length > 0) lane.rowBytes = Math.ceil(bytes / taken.length)
    return { taken, refused, looked, ambiguous: undefined }
  }

  /**
   * Numbers first, then what is parked: the owner's triggers on mqparked may change rows, and
   * must find on disk how far the numbering has come.
   */
  #write(lane: Lane, { taken, refused }: Looks, nowMs: number): void {
    if (taken.length > 0) {
      const uids = Buffer.concat(taken.map(({ message }) => message.uid))
      this.#batches.add(
        lane,
        taken.map(({ id }) => id),
        uids,
      )
      lane.numbered += taken.length
      this.#lanes.onChanged(lane)
      this.#connection.spend(taken.length, 0)
    }
    for (const { row, refusal } of refused) this.park(lane, row, refusal, nowMs)
  }

  /** The very same row, put back under its own id and uid: it has its number already. */
  #isNumbered(lane: Lane, { id, message }: OutboxRow): boolean {
    return this.#batches.open(lane).some((run) => {
      const sequence = run.sequenceOf(id)
      return sequence !== undefined && run.uidAt(sequence).equals(message.uid)
    })
  }

  /**
   * The id was another row's before: whatever becomes of that sequence, it is not this row. What is
   * confirmed was delivered, and must be reported should the peer lose it.
   */
  #strikeOld(lane: Lane, id: number): void {
    for (const run of this.#batches.open(lane)) {
      const sequence = run.sequenceOf(id)
      if (sequence === undefined || sequence <= lane.confirmed) continue
      run.tombstone(sequence)
      this.#lanes.onChanged(lane)
    }
  }
}

function tooLarge(limits: PeerLimits): Refusal {
  const most = `${limits.bodyBytesMax} bytes`
  const reason = `the peer takes messages of at most ${most}, with token and headers`
  return { code: 'TINYMQ_PEER_LIMIT', reason, retryAfterMs: peerLimitPauseMs }
}

/** What makes of a row with such a column one that is parked. */
export function flaw(column: string): Refusal {
  return { ...notUtf8(column), retryAfterMs: defectPauseMs }
}

// The time of a row, `created_at` (PROTOCOL §7.5). It travels as it is; what is no time in
// milliseconds says nothing of how old the row is. Must never be derived from the clock of today.

/** The end of the year 9999. */
const timeMsMax = 253_402_300_799_999

/** Whether this is a time: 0 stands for none, and what is above is in another unit. */
export function isTime(timeMs: number): boolean {
  return timeMs > 0 && timeMs <= timeMsMax
}
