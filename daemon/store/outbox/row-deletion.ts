/**
 * Deletes rows of `mqout` that the peer has on disk. A foreign key or a trigger of the owner's may
 * keep a row: then it stays, with its number, so that nobody sends it again or changes it, the
 * operator is informed, and all else goes on. Must never let one such row end a turn twice.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { LaneAddress, LaneId } from '../../protocol/store-messages.ts'
import type { Connection } from '../connection.ts'
import type { EventLog } from '../event-log.ts'
import { isOwners } from '../error-classification.ts'
import type { KeyPolicy } from '../key-policy.ts'
import { destinationSql } from './row-reader.ts'
import { Batch, type BatchRow } from './batches.ts'

/** Rows that stayed are tried again after this … */
const retryMs = 10_000
/** … or as soon as this after another program has written something. */
const retryAfterNewsMs = 1_000
/** What makes a whole transaction fail ends all sessions: it gets few chances. */
const suspendMs = 3_600_000
/** No more often is it looked up whether the event was written lately. */
const sayAgainMs = 60_000
/** Runs of one retry: at most some 8,000 rows. */
const runsPerRetry = 8

export type Suspended = { readonly reason: string; readonly untilMs: number }

type Tried = { readonly isDeleted: true } | { readonly isDeleted: false; readonly reason: string }
/** A place, and the first and last id there. */
type Range = (string | number)[]
type KeptBatch = [number, string, number, LaneId, string, ...BatchRow]
type Key = [child: string, from: string, to: string | null, columns: number]

export class RowDeletion {
  readonly #connection: Connection
  readonly #keyPolicy: KeyPolicy
  readonly #events: EventLog
  /** Lanes whose rows an object of the owner's keeps by failing all; it outlives failed turns. */
  readonly #suspended: Map<LaneId, Suspended>
  readonly #schemaVersion: BetterSqlite3.Statement<[], number>
  readonly #keys: BetterSqlite3.Statement<[], Key>
  readonly #isThere: BetterSqlite3.Statement<[number, Uint8Array], number>
  readonly #kept: BetterSqlite3.Statement<[number], KeptBatch>
  readonly #finish: BetterSqlite3.Statement<[number, number]>
  #guardedAt = -1
  /** Rows that a foreign key without an action refers to, and which it is. */
  #guard = ''
  #mayBeKept = true
  #triedAtMs = -Infinity
  readonly #saidAtMs = new Map<LaneId, number>()
  /** Where the next retry goes on. */
  #passedRun = 0

  constructor(
    connection: Connection,
    keyPolicy: KeyPolicy,
    events: EventLog,
    suspended: Map<LaneId, Suspended>,
  ) {
    this.#connection = connection
    this.#keyPolicy = keyPolicy
    this.#events = events
    this.#suspended = suspended
    this.#schemaVersion = connection.prepareValue('PRAGMA schema_version')
    this.#keys = connection.prepare(keysSql)
    this.#isThere = connection.prepareValue('SELECT 1 FROM mqout WHERE id = ? AND uid = ?')
    this.#kept = connection.prepare(keptSql)
    this.#finish = connection.prepareChange(
      'UPDATE mqbatch SET done_at = ?, uids = NULL WHERE rowid = ?',
    )
  }

  /** Whether rows may be here that the peer has. */
  get mayHaveKept(): boolean {
    return this.#mayBeKept
  }

  /** To be called before the first deletion of a transaction. */
  begin(): void {
    const version = this.#schemaVersion.get() ?? 0
    if (version === this.#guardedAt) return
    this.#guardedAt = version
    // A key that is checked at COMMIT would let the whole transaction fail: it is asked before.
    this.#guard = this.#keys
      .all()
      .filter(([, , , columns]) => columns === 1)
      .map(([child, from, to]) => {
        const isReferred = `c.${quoted(from)} = mqout.${quoted(to ?? 'id')}`
        return ` AND NOT EXISTS (SELECT 1 FROM ${quoted(child)} AS c WHERE ${isReferred})`
      })
      .join('')
  }

  /** All rows of a lane with ids of this range, of which there are `count`. @returns or none. */
  deleteRange(
    lane: LaneAddress,
    idFirst: number,
    idLast: number,
    count: number,
    nowMs: number,
  ): boolean {
    if (this.#suspended.has(lane.lane)) return false
    const statement = this.#connection.prepareChange<Range>(
      deleteRangeSql(this.#keyPolicy.isByToken) + this.#guard,
    )
    this.#blame(lane.lane, nowMs)
    try {
      return this.#connection.nested(() => {
        let changes = 0
        for (const destination of this.#keyPolicy.destinationsOf(lane)) {
          changes += statement.run(...destination, idFirst, idLast).changes
        }
        if (changes !== count) throw new Kept()
        return true
      })
    } catch (error) {
      if (error instanceof Kept) return false
      this.#expectOwners(error, lane.lane, nowMs)
      return false
    }
  }

  /** One row. `kept`: the peer has it, and it is still here. */
  deleteOne(
    lane: LaneAddress,
    id: number,
    uid: Uint8Array,
    nowMs: number,
  ): 'deleted' | 'gone' | 'kept' {
    const tried = this.#tryOne(lane.lane, id, uid, nowMs)
    if (tried.isDeleted) return 'deleted'
    // RAISE(FAIL) says no, and leaves it deleted.
    if (this.#isThere.get(id, uid) === undefined) return tried.reason === '' ? 'gone' : 'deleted'
    this.#mayBeKept = true
    this.#report(lane, id, tried.reason || 'a trigger on mqout ignores its deletion', nowMs)
    return 'kept'
  }

  /** Whether a run that is confirmed has rows that were kept. */
  hasKept(run: Batch): boolean {
    if (!run.mayHaveKept) return false
    for (let sequence = run.first; sequence <= run.last; sequence++) {
      const id = run.idAt(sequence)
      if (id !== 0 && this.#isThere.get(id, run.uidAt(sequence)) !== undefined) return true
    }
    return false
  }

  /** Tries those that were kept again, if it is time. @throws DatabaseBusy */
  retry(isNews: boolean, nowMs: number): void {
    if (!this.#mayBeKept) return
    // Either way: the clock may have been set back.
    const pauseMs = isNews ? retryAfterNewsMs : retryMs
    if (Math.abs(nowMs - this.#triedAtMs) < pauseMs) return
    this.#triedAtMs = nowMs
    let batches = this.#kept.all(this.#passedRun)
    if (batches.length === 0) batches = this.#kept.all(0)
    this.#mayBeKept = batches.length > 0
    if (!this.#mayBeKept) return
    this.#connection.begin()
    this.begin()
    for (const [row, host, port, lane, key, ...values] of batches) {
      this.#retryRun(row, { lane, host, port, key }, new Batch(values), nowMs)
      this.#passedRun = row
    }
  }

  #retryRun(row: number, lane: LaneAddress, run: Batch, nowMs: number): void {
    let isKept = false
    for (let sequence = run.first; sequence <= run.last; sequence++) {
      const id = run.idAt(sequence)
      if (id === 0) continue
      const result = this.deleteOne(lane, id, run.uidAt(sequence), nowMs)
      if (result === 'deleted') this.#connection.tally.onDelivered(1)
      isKept ||= result === 'kept'
    }
    if (!isKept) this.#finish.run(nowMs, row)
  }

  #tryOne(lane: LaneId, id: number, uid: Uint8Array, nowMs: number): Tried {
    const suspended = this.#suspended.get(lane)
    if (suspended !== undefined) {
      const isOver = Math.abs(suspended.untilMs - nowMs) > suspendMs || suspended.untilMs <= nowMs
      if (!isOver) return { isDeleted: false, reason: suspended.reason }
      this.#suspended.delete(lane)
    }
    const sql = deleteOneSql + this.#guard
    const statement = this.#connection.prepareChange<[number, Uint8Array]>(sql)
    this.#blame(lane, nowMs)
    try {
      if (statement.run(id, uid).changes > 0) return { isDeleted: true }
      return { isDeleted: false, reason: this.#guard === '' ? '' : 'a foreign key refers to it' }
    } catch (error) {
      return { isDeleted: false, reason: this.#expectOwners(error, lane, nowMs) }
    }
  }

  /** @returns what SQLite says. @throws what is not the doing of an object of the owner's. */
  #expectOwners(error: unknown, lane: LaneId, nowMs: number): string {
    if (!isOwners(error)) throw error
    if (this.#connection.isWriting) return error.message
    this.#suspend(lane, error.message, nowMs)
    throw error
  }

  /** A foreign key that is checked at COMMIT may be of several columns, or behind a trigger. */
  #blame(lane: LaneId, nowMs: number): void {
    this.#connection.blame((reason) => this.#suspend(lane, reason, nowMs))
  }

  #suspend(lane: LaneId, reason: string, nowMs: number): void {
    this.#suspended.set(lane, { reason, untilMs: nowMs + suspendMs })
  }

  #report({ lane, host, port }: LaneAddress, id: number, reason: string, nowMs: number): void {
    const saidMs = this.#saidAtMs.get(lane) ?? -Infinity
    if (Math.abs(nowMs - saidMs) < sayAgainMs) return
    this.#saidAtMs.set(lane, nowMs)
    const detail =
      `The peer has row ${id} of mqout, and SQLite does not let the daemon delete it here: ` +
      `${reason}. It is not sent again, and others go on. Give the foreign key ON DELETE CASCADE ` +
      'or SET NULL, or fix or drop the trigger: the daemon then deletes what it kept.'
    this.#events.addHourly({ code: 'OUTBOX_FAILED', host, port, detail }, nowMs)
  }
}

/** Some rows of a range were kept, without an error. */
class Kept extends Error {}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

// Of the other actions SQLite says at once whether they let the row go.
const keysSql = `SELECT m.name, f."from", f."to",
    (SELECT count(*) FROM pragma_foreign_key_list(m.name) AS g WHERE g.id = f.id)
  FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f
  WHERE m.type = 'table' AND lower(f."table") = 'mqout' AND f.on_delete = 'NO ACTION'`

const keptSql = `SELECT r.rowid, l.host, l.port, l.id, l.key,
    r.first, r.count, r.id_first, r.id_last, r.ids, r.uids
  FROM mqbatch AS r CROSS JOIN mqlane AS l ON l.id = r.lane
  WHERE r.done_at IS NULL AND r.rowid > ? AND r.first + r.count - 1 <= l.confirmed
  ORDER BY r.rowid LIMIT ${runsPerRetry}`

export const rangeSql = (isByToken: boolean): string =>
  `${destinationSql(isByToken)} AND id BETWEEN ? AND ?`
export const deleteRangeSql = (isByToken: boolean): string =>
  `DELETE FROM mqout WHERE ${rangeSql(isByToken)}`
export const deleteOneSql = 'DELETE FROM mqout WHERE id = ? AND uid = ?'
