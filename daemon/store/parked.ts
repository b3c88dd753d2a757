/**
 * Rows set aside because the peer refuses them (`mqparked`), and rows that the numbering by id
 * would overlook (`mqlate`). A row leaves the first for the second (a trigger does it), and the
 * second when it is numbered. Must never lose one of them on the way: "up to mqlane.numbered_id
 * every row is numbered, parked or in mqlate".
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { LaneId } from '../protocol/store-port.ts'
import type { Connection } from './connection.ts'
import type { Keying } from './keying.ts'
import type { LanePlace } from './outbox-places.ts'
import { given } from '../../sdk/given-sql.ts'

/** Rows that one look may free or pass: bounds the transaction. */
const rowsPerLook = 512
/** How often parked rows are looked through for those whose time has come. */
const lookPauseMs = 1_000
/** Attempts are remembered for this many rows at once; the others are tried more often. */
const attemptsMax = 100_000
/**
 * A row that is refused again and again costs a session each time, before rows that could go: its
 * pause doubles, up to this.
 */
const pauseMsMax = 3_600_000
/** No pause is longer: a later time was written by a clock that has been set back since. */
const retryMsMax = 24 * 3_600_000
/** What the clock may be set back by before every time of a retry counts as wrong. */
const setBackMsMin = 1_000

export type Refusal = {
  readonly code: string
  readonly reason: string
  readonly retryAfterMs: number
}

/** A late row that is still there, with the lane that it belongs to. */
export type LateRow = [id: number, host: string, port: number, token: string]

export type LateLook = {
  readonly rows: readonly LateRow[]
  /** Their rows are not there any more. */
  readonly gone: readonly number[]
  readonly passedId: number
  /** There is more to look at. */
  readonly isMore: boolean
}

/** How often a row was refused, how often its pause was doubled for that, and when it ends. */
type Refused = {
  readonly attempts: number
  readonly doublings: number
  readonly retryAtMs: number
}

const never: Refused = { attempts: 0, doublings: 0, retryAtMs: Infinity }

type NewParked = [number, Uint8Array, LaneId, string, string, number, number]

export class ParkedRows {
  readonly #connection: Connection
  readonly #insert: BetterSqlite3.Statement<NewParked>
  readonly #due: BetterSqlite3.Statement<[number, number, number], number>
  readonly #free: BetterSqlite3.Statement<[number]>
  readonly #any: BetterSqlite3.Statement<[], number>
  readonly #refused = new Map<number, Refused>()
  readonly #after: BetterSqlite3.Statement<[number, number], number>
  #lookAtMs = -Infinity
  #nowMs = -Infinity
  /** Since the clock was set back: up to this id the rows of before have been freed. */
  #freedId: number | undefined
  /** The same before the open transaction. */
  #freedIdBefore: number | undefined

  constructor(connection: Connection) {
    this.#connection = connection
    this.#insert = connection.prepareChange(
      `INSERT OR REPLACE INTO mqparked (id, uid, lane, code, reason, attempts, retry_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#due = connection.prepareValue(
      `SELECT id FROM mqparked
       WHERE retry_at NOT BETWEEN ? AND ? OR retry_at IS NULL
       ORDER BY id LIMIT ${given}`,
    )
    this.#after = connection.prepareValue(
      `SELECT id FROM mqparked WHERE id > ? ORDER BY id LIMIT ${given}`,
    )
    this.#free = connection.prepareChange('DELETE FROM mqparked WHERE id = ?')
    this.#any = connection.prepareValue('SELECT 1 FROM mqparked LIMIT 1')
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
    this.#insert.run(id, uid, lane, code, reason, attempts, retryAtMs)
  }

  /** Rows whose time has come, or was told by a clock that has been set back. */
  due(nowMs: number): number[] {
    if (nowMs < this.#nowMs - setBackMsMin) this.#freedId = 0
    this.#nowMs = nowMs
    if (this.#freedId !== undefined) {
      const due = this.#after.all(this.#freedId, rowsPerLook)
      if (due.length > 0) return due
      this.#freedId = undefined
    }
    if (Math.abs(nowMs - this.#lookAtMs) < lookPauseMs) return []
    const due = this.#due.all(nowMs + 1, nowMs + retryMsMax, rowsPerLook)
    // Nothing to be freed, which would put the next look off.
    if (due.length === 0) this.#lookAtMs = nowMs
    return due
  }

  /** Frees what `due` gave, inside the open transaction: the rows are late now. */
  free(due: readonly number[], nowMs: number): void {
    for (const id of due) this.#free.run(id)
    this.#connection.spend(due.length, 0)
    this.#freedIdBefore = this.#freedId
    if (this.#freedId !== undefined) {
      this.#freedId = due.length < rowsPerLook ? undefined : due.at(-1)
      return
    }
    // When there are more, the next look comes at once.
    if (due.length < rowsPerLook) this.#lookAtMs = nowMs
  }

  /** What was remembered may be of a transaction that was rolled back. */
  reset(): void {
    this.#lookAtMs = -Infinity
    this.#freedId = this.#freedIdBefore
  }
}

export class LateRows {
  readonly #select: BetterSqlite3.Statement<
    [number, number],
    [number, string | null, number | null, string | null]
  >
  readonly #delete: BetterSqlite3.Statement<[number]>
  readonly #deleteGone: BetterSqlite3.Statement<[number]>
  readonly #deleteRange: BetterSqlite3.Statement<(string | number)[]>
  readonly #keying: Keying
  readonly #any: BetterSqlite3.Statement<[], number>
  #passedId = 0

  constructor(connection: Connection, keying: Keying) {
    this.#keying = keying
    this.#select = connection.prepare(
      `SELECT l.id, o.host, o.port, coalesce(o.token, '')
       FROM mqlate AS l LEFT JOIN mqout AS o ON o.id = l.id
       WHERE l.id > ? ORDER BY l.id LIMIT ${given}`,
    )
    this.#delete = connection.prepareChange('DELETE FROM mqlate WHERE id = ?')
    // Asked again: between the look and the transaction the id may have been given to a new row.
    this.#deleteGone = connection.prepareChange(
      'DELETE FROM mqlate WHERE id = ? AND id NOT IN (SELECT id FROM mqout)',
    )
    this.#deleteRange = connection.prepareChange(
      `DELETE FROM mqlate WHERE id BETWEEN ? AND ? AND EXISTS (
         SELECT 1 FROM mqout AS o WHERE o.id = mqlate.id AND host = ? AND port = ?
           ${keying.isByToken ? 'AND token = ?' : ''})`,
    )
    this.#any = connection.prepareValue('SELECT 1 FROM mqlate LIMIT 1')
  }

  get isEmpty(): boolean {
    return this.#any.get() === undefined
  }

  /** The next of the late rows, from the lowest id round and round. Changes nothing. */
  look(): LateLook {
    const found = this.#select.all(this.#passedId, rowsPerLook)
    const rows = found.filter((row): row is LateRow => row[1] !== null)
    const gone = found.flatMap(([id, host]) => (host === null ? [id] : []))
    const isMore = found.length === rowsPerLook
    return { rows, gone, passedId: isMore ? (found.at(-1)?.[0] ?? 0) : 0, isMore }
  }

  /** `look` was made use of; inside the open transaction if rows are `gone`. */
  onLooked({ gone, passedId }: LateLook): void {
    for (const id of gone) this.#deleteGone.run(id)
    this.#passedId = passedId
  }

  /** The row has been numbered, inside the open transaction. */
  onNumbered(id: number): void {
    this.#delete.run(id)
  }

  /** All rows of a lane with these ids have been numbered. */
  onRangeNumbered(idFirst: number, idLast: number, lane: LanePlace): void {
    if (this.isEmpty) return
    for (const place of this.#keying.placesOf(lane)) {
      this.#deleteRange.run(idFirst, idLast, ...place)
    }
  }
}
