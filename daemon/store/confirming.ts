/**
 * Frees the rows that the peer has on disk. Must never delete a row that was not numbered under a
 * confirmed sequence: an id may have been given to another row since, and a row may have been set
 * aside.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Connection } from './connection.ts'
import { DatabaseChanged } from './faults.ts'
import type { Keying } from './keying.ts'
import type { Lane, Lanes } from './lanes.ts'
import { placeSql } from './outbox-rows.ts'
import type { Run } from './run.ts'
import type { Runs } from './runs.ts'

/** A place, and the first and last id there. */
type Range = (string | number)[]

export class Confirming {
  readonly #connection: Connection
  readonly #lanes: Lanes
  readonly #runs: Runs
  readonly #keying: Keying
  readonly #count: BetterSqlite3.Statement<Range, number>
  readonly #isAnyOther: BetterSqlite3.Statement<[number, number, number, number], number>
  readonly #deleteRange: BetterSqlite3.Statement<Range>
  readonly #deleteOne: BetterSqlite3.Statement<[number, Uint8Array]>

  constructor(connection: Connection, lanes: Lanes, runs: Runs, keying: Keying) {
    this.#connection = connection
    this.#lanes = lanes
    this.#runs = runs
    this.#keying = keying
    this.#count = connection.prepareValue(countSql(keying.isByToken))
    this.#isAnyOther = connection.prepareValue(isAnyOtherSql)
    this.#deleteRange = connection.prepareChange(deleteRangeSql(keying.isByToken))
    this.#deleteOne = connection.prepareChange(deleteOneSql)
  }

  /**
   * Everything up to `sequence` is on the peer's disk. Begins the transaction.
   * @returns false when there is more than the transaction may hold: call again in the next.
   * @throws DatabaseBusy, DatabaseChanged
   */
  advance(lane: Lane, sequence: number, nowMs: number): boolean {
    if (sequence <= lane.confirmed) return true
    this.#connection.begin()
    while (lane.confirmed < sequence) {
      if (this.#connection.isSpent) return false
      const run = this.#runs.at(lane, lane.confirmed + 1)
      if (run === undefined) throw new DatabaseChanged('mqrun')
      const to = Math.min(sequence, run.last, lane.confirmed + this.#connection.rowsLeft)
      this.#free(lane, run, lane.confirmed + 1, to)
      lane.chain.appendMany(run.uidsOf(lane.confirmed + 1, to))
      lane.confirmed = to
      this.#lanes.onChanged(lane)
      if (to === run.last) this.#runs.finish(lane, nowMs)
    }
    return true
  }

  #free(lane: Lane, run: Run, from: number, to: number): void {
    this.#connection.spend(to - from + 1, 0)
    const { tally } = this.#connection
    if (run.isGapless && this.#freeRange(lane, run.idAt(from), run.idAt(to))) {
      return tally.onDelivered(to - from + 1)
    }
    for (let sequence = from; sequence <= to; sequence++) {
      const id = run.idAt(sequence)
      if (id === 0) continue
      const { changes } = this.#deleteOne.run(id, run.uidAt(sequence))
      if (changes === 0) run.strike(sequence)
      else tally.onDelivered(1)
    }
  }

  /**
   * The quick way, if each id of the range is still with the row that was numbered: none has gone,
   * and none that has come back under an id of old is late or parked. (One that came back and was
   * numbered again has been struck out, and the run has a gap.)
   */
  #freeRange(lane: Lane, idFirst: number, idLast: number): boolean {
    // Of this lane alone: the id of a row that has gone may be that of a row under another token.
    const places = this.#keying.placesOf(lane.address)
    const counts = places.map((place) => this.#count.get(...place, idFirst, idLast) ?? 0)
    const count = counts.reduce((sum, some) => sum + some, 0)
    if (count !== idLast - idFirst + 1) return false
    if (this.#isAnyOther.get(idFirst, idLast, idFirst, idLast) !== undefined) return false
    for (const place of places) this.#deleteRange.run(...place, idFirst, idLast)
    return true
  }
}

const rangeSql = (isByToken: boolean): string => `${placeSql(isByToken)} AND id BETWEEN ? AND ?`

export const countSql = (isByToken: boolean): string =>
  `SELECT count(*) FROM mqout WHERE ${rangeSql(isByToken)}`
export const isAnyOtherSql = `SELECT 1 FROM mqlate WHERE id BETWEEN ? AND ?
  UNION ALL SELECT 1 FROM mqparked WHERE id BETWEEN ? AND ? LIMIT 1`
export const deleteRangeSql = (isByToken: boolean): string =>
  `DELETE FROM mqout WHERE ${rangeSql(isByToken)}`
export const deleteOneSql = 'DELETE FROM mqout WHERE id = ? AND uid = ?'
