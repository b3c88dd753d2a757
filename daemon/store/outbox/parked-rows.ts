/**
 * Rows set aside because the peer rejects them (`mqparked`), and rows that the numbering by id
 * would overlook (`mqrequeue`). A row leaves the first for the second (a trigger does it), and the
 * second when it is numbered. Must never lose one of them on the way: "up to mqlane.numbered_id
 * every row is numbered, parked or in mqrequeue".
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { LaneId } from '../../protocol/store-messages.ts'
import type { Connection } from '../connection.ts'
import type { KeyPolicy } from '../key-policy.ts'
import { isPlace, type FlawedPlace, type LaneDestination } from './destinations.ts'
import { given } from '../../../sdk/schema/sqlite-handle.ts'
import { parkInvalidSql } from '../../../sdk/schema/triggers.ts'

/** Rows that one look may free or pass: bounds the transaction. */
const rowsPerLook = 512
/** How often parked rows are looked through for those whose time has come. */
const lookPauseMs = 1_000
/** Attempts are remembered for this many rows at once; the others are tried more often. */
const attemptsMax = 100_000
/**
 * A row that is rejected again and again costs a session each time, before rows that could go: its
 * pause doubles, up to this.
 */
const pauseMsMax = 3_600_000
/** No pause is longer: a later time was written by a clock that has been set back since. */
const retryMsMax = 24 * 3_600_000
/** A row that was parked so much later than now was parked before the clock was set back. */
const setBackMsMin = 1_000

export type Refusal = {
  readonly code: string
  readonly reason: string
  readonly retryAfterMs: number
}

/** A late row that is still there, with the lane that it belongs to. */
type RequeuedRow = [id: number, host: string, port: number, token: string, state: 'there']

type FoundRequeued = [number, unknown, unknown, unknown, 'gone' | 'empty' | 'parked' | 'there']

const isValid = ([, host, port, token, state]: FoundRequeued): boolean =>
  state === 'there' && isPlace(host, port, token)

export type RequeuedLook = {
  readonly rows: readonly RequeuedRow[]
  /** No lane can have these. */
  readonly invalid: readonly number[]
  /** Their rows are not there any more. */
  readonly gone: readonly number[]
  readonly passedId: number
  /** There is more to look at. */
  readonly isMore: boolean
}

/** How often a row was rejected, how often its pause was duplicated for that, and when it ends. */
type Refused = {
  readonly attempts: number
  readonly doublings: number
  readonly retryAtMs: number
}

const never: Refused = { attempts: 0, doublings: 0, retryAtMs: Infinity }

type NewParked = [number, Uint8Array, LaneId, string, string, number, number, number]
type NewFlawed = [string, string, number, number, Uint8Array, number, Uint8Array, number]

export class ParkedRows {
  readonly #connection: Connection
  readonly #insert: BetterSqlite3.Statement<NewParked>
  readonly #insertFlawed: BetterSqlite3.Statement<NewFlawed, number>
  readonly #due: BetterSqlite3.Statement<[number, number, number, number], number>
  readonly #free: BetterSqlite3.Statement<[number]>
  readonly #any: BetterSqlite3.Statement<[], number>
  readonly #parkInvalid: BetterSqlite3.Statement<[number, number, number]>
  readonly #refused = new Map<number, Refused>()
  #lookAtMs = -Infinity

  constructor(connection: Connection) {
    this.#connection = connection
    this.#insert = connection.prepareChange(
      `INSERT OR REPLACE INTO mqparked
         (id, uid, lane, code, reason, attempts, retry_at, parked_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#insertFlawed = connection.prepareValue(flawedSql)
    this.#due = connection.prepareValue(
      `SELECT id FROM mqparked
       WHERE retry_at NOT BETWEEN ? AND ? OR retry_at IS NULL OR parked_at > ?
       ORDER BY id LIMIT ${given}`,
    )
    this.#free = connection.prepareChange('DELETE FROM mqparked WHERE id = ?')
    this.#any = connection.prepareValue('SELECT 1 FROM mqparked LIMIT 1')
    this.#parkInvalid = connection.prepareChange(parkInvalidSql('one', '?'))
  }

  get isEmpty(): boolean {
    return this.#any.get() === undefined
  }

  /** Sets a row aside, inside the open transaction. */
  park(lane: LaneId, id: number, uid: Uint8Array, refusal: Refusal, nowMs: number): void {
    const { code, reason, retryAfterMs } = refusal
    const { attempts: before, doublings: doubled, retryAtMs: due } = this.#refused.get(id) ?? never
    // Freed before its time, by hand or by a reroute: that was not the same attempt again.
    const doublings = nowMs >= due ? doubled + 1 : doubled
    const doubledMs = Math.min(retryAfterMs * 2 ** doublings, pauseMsMax)
    const retryAtMs = nowMs + Math.max(retryAfterMs, doubledMs)
    const attempts = before + 1
    if (this.#refused.size >= attemptsMax) this.#refused.clear()
    this.#refused.set(id, { attempts, doublings, retryAtMs })
    this.#insert.run(id, uid, lane, code, reason, attempts, retryAtMs, nowMs)
  }

  /**
   * Parks rows of a place that JavaScript cannot name, inside the open transaction.
   * @returns the ids of those that were not parked before.
   */
  parkFlawed(destination: FlawedPlace, refusal: Refusal, nowMs: number): readonly number[] {
    const { code, reason, retryAfterMs } = refusal
    const { host, port, token } = destination
    const retryAtMs = nowMs + retryAfterMs
    const values: NewFlawed = [code, reason, retryAtMs, nowMs, host, port, token, rowsPerLook]
    const ids = this.#insertFlawed.all(...values)
    this.#connection.spend(ids.length, 0)
    return ids
  }

  /** Parks a row that the triggers of mqout would have rejected, inside the open transaction. */
  parkInvalid(id: number, nowMs: number): void {
    this.#connection.spend(1, 0)
    this.#parkInvalid.run(nowMs, nowMs, id)
  }

  /**
   * Rows whose time has come, or was given by a clock that has been set back since: what is
   * needed to know that is in each row, because it may have been set back while no daemon ran.
   */
  due(nowMs: number): number[] {
    if (Math.abs(nowMs - this.#lookAtMs) < lookPauseMs) return []
    const setBackMs = nowMs + setBackMsMin
    const due = this.#due.all(nowMs + 1, nowMs + retryMsMax, setBackMs, rowsPerLook)
    // Nothing to be freed, which would put the next look off.
    if (due.length === 0) this.#lookAtMs = nowMs
    return due
  }

  /** Frees what `due` gave, inside the open transaction: the rows are late now. */
  free(due: readonly number[], nowMs: number): void {
    for (const id of due) this.#free.run(id)
    this.#connection.spend(due.length, 0)
    // When there are more, the next look comes at once.
    if (due.length < rowsPerLook) this.#lookAtMs = nowMs
  }
}

/** Without a key ring the token of a place is empty, and stands for all. */
const flawedSql = `
  INSERT INTO mqparked (id, uid, lane, code, reason, attempts, retry_at, parked_at)
  SELECT o.id, o.uid, NULL, ?, ?, 1, ?, ? FROM mqout AS o
  WHERE o.host = (SELECT CAST(? AS TEXT)) AND o.port = ${given}
    AND (SELECT CAST(? AS TEXT)) IN ('', o.token)
    AND NOT EXISTS (SELECT 1 FROM mqparked AS p WHERE p.id = o.id AND p.uid = o.uid)
  ORDER BY o.id LIMIT ${given}
  ON CONFLICT (id) DO UPDATE SET uid = excluded.uid, lane = NULL, code = excluded.code,
    reason = excluded.reason, attempts = 1, retry_at = excluded.retry_at,
    parked_at = excluded.parked_at
  RETURNING id`

export class RequeuedRows {
  readonly #select: BetterSqlite3.Statement<[number, number], FoundRequeued>
  readonly #delete: BetterSqlite3.Statement<[number]>
  readonly #deleteGone: BetterSqlite3.Statement<[number]>
  readonly #deleteRange: BetterSqlite3.Statement<(string | number)[]>
  readonly #keyPolicy: KeyPolicy
  readonly #any: BetterSqlite3.Statement<[], number>
  #passedId = 0

  constructor(connection: Connection, keyPolicy: KeyPolicy) {
    this.#keyPolicy = keyPolicy
    this.#select = connection.prepare(
      `SELECT l.id, o.host, o.port, coalesce(o.token, ''),
         CASE WHEN o.id IS NULL THEN 'gone'
           WHEN EXISTS (SELECT 1 FROM mqparked AS p WHERE p.id = o.id AND p.uid = o.uid)
           THEN 'parked'
           WHEN o.data IS NULL THEN 'empty'
           ELSE 'there' END
       FROM mqrequeue AS l LEFT JOIN mqout AS o ON o.id = l.id
       WHERE l.id > ? ORDER BY l.id LIMIT ${given}`,
    )
    this.#delete = connection.prepareChange('DELETE FROM mqrequeue WHERE id = ?')
    // Asked again: between the look and the transaction the id may have been given to a new row.
    this.#deleteGone = connection.prepareChange(
      'DELETE FROM mqrequeue WHERE id = ? AND id NOT IN (SELECT id FROM mqout)',
    )
    this.#deleteRange = connection.prepareChange(
      `DELETE FROM mqrequeue WHERE id BETWEEN ? AND ? AND EXISTS (
         SELECT 1 FROM mqout AS o WHERE o.id = mqrequeue.id AND host = ? AND port = ?
           ${keyPolicy.isByToken ? 'AND token = ?' : ''})`,
    )
    this.#any = connection.prepareValue('SELECT 1 FROM mqrequeue LIMIT 1')
  }

  get isEmpty(): boolean {
    return this.#any.get() === undefined
  }

  /** The next of the late rows, from the lowest id round and round. Changes nothing. */
  look(): RequeuedLook {
    const found = this.#select.all(this.#passedId, rowsPerLook)
    const rows = found.filter((row): row is RequeuedRow => isValid(row))
    // A parked row that was inserted again is late too, and has nothing to send before it is freed.
    const others = found.filter((row) => !isValid(row) && row[4] !== 'parked')
    const gone = others.flatMap(([id, , , , state]) => (state === 'gone' ? [id] : []))
    const invalid = others.flatMap(([id, , , , state]) => (state === 'gone' ? [] : [id]))
    const isMore = found.length === rowsPerLook
    return { rows, invalid, gone, passedId: isMore ? (found.at(-1)?.[0] ?? 0) : 0, isMore }
  }

  /** `look` was made use of; inside the open transaction if rows are `gone`. */
  onLooked({ gone, passedId }: RequeuedLook): void {
    for (const id of gone) this.#deleteGone.run(id)
    this.#passedId = passedId
  }

  /** The row has been numbered, inside the open transaction. */
  onNumbered(id: number): void {
    this.#delete.run(id)
  }

  /** All rows of a lane with these ids have been numbered. */
  onRangeNumbered(idFirst: number, idLast: number, lane: LaneDestination): void {
    if (this.isEmpty) return
    for (const destination of this.#keyPolicy.destinationsOf(lane)) {
      this.#deleteRange.run(idFirst, idLast, ...destination)
    }
  }
}
