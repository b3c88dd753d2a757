/**
 * Frees the rows that the peer has on disk. Must never delete a row that was not numbered under a
 * confirmed sequence: an id may have been given to another row since, and a row may have been set
 * aside.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Connection } from '../connection.ts'
import { DatabaseChanged } from '../error-classification.ts'
import type { KeyPolicy } from '../key-policy.ts'
import type { Lane, Lanes } from './lanes.ts'
import { rangeSql, type RowDeletion } from './row-deletion.ts'
import type { Batch, Batches } from './batches.ts'

/** A place, and the first and last id there. */
type Range = (string | number)[]

export class Confirmer {
  readonly #connection: Connection
  readonly #lanes: Lanes
  readonly #batches: Batches
  readonly #keyPolicy: KeyPolicy
  readonly #deletion: RowDeletion
  readonly #count: BetterSqlite3.Statement<Range, number>
  readonly #isAnyOther: BetterSqlite3.Statement<[number, number, number, number], number>

  constructor(
    connection: Connection,
    lanes: Lanes,
    batches: Batches,
    keyPolicy: KeyPolicy,
    deletion: RowDeletion,
  ) {
    this.#connection = connection
    this.#lanes = lanes
    this.#batches = batches
    this.#keyPolicy = keyPolicy
    this.#deletion = deletion
    this.#count = connection.prepareValue(countSql(keyPolicy.isByToken))
    this.#isAnyOther = connection.prepareValue(isAnyOtherSql)
  }

  /**
   * Everything up to `sequence` is on the peer's disk. Begins the transaction.
   * @returns false when there is more than the transaction may hold: call again in the next.
   * @throws DatabaseBusy, DatabaseChanged
   */
  advance(lane: Lane, sequence: number, nowMs: number): boolean {
    if (sequence <= lane.confirmed) return true
    this.#connection.begin()
    this.#deletion.begin()
    while (lane.confirmed < sequence) {
      if (this.#connection.isSpent) return false
      const run = this.#batches.at(lane, lane.confirmed + 1)
      if (run === undefined) throw new DatabaseChanged('mqbatch')
      const to = Math.min(sequence, run.last, lane.confirmed + this.#connection.rowsLeft)
      this.#free(lane, run, lane.confirmed + 1, to, nowMs)
      lane.chain.appendMany(run.uidsOf(lane.confirmed + 1, to))
      lane.confirmed = to
      this.#lanes.onChanged(lane)
      if (to === run.last) this.#finish(lane, run, nowMs)
    }
    return true
  }

  /** A run with rows that could not be deleted stays open: they are in it, and not sent again. */
  #finish(lane: Lane, run: Batch, nowMs: number): void {
    if (this.#deletion.hasKept(run)) this.#batches.keep(lane)
    else this.#batches.finish(lane, nowMs)
  }

  #free(lane: Lane, run: Batch, from: number, to: number, nowMs: number): void {
    this.#connection.spend(to - from + 1, 0)
    const { tally } = this.#connection
    if (run.isGapless && this.#freeRange(lane, run.idAt(from), run.idAt(to), nowMs)) {
      return tally.onDelivered(to - from + 1)
    }
    for (let sequence = from; sequence <= to; sequence++) {
      const id = run.idAt(sequence)
      if (id === 0) continue
      const result = this.#deletion.deleteOne(lane.address, id, run.uidAt(sequence), nowMs)
      if (result === 'deleted') tally.onDelivered(1)
      else if (result === 'gone') run.tombstone(sequence)
      else run.mayHaveKept = true
    }
  }

  /**
   * The quick way, if each id of the range is still with the row that was numbered: none has gone,
   * and none that has come back under an id of old is late or parked. (One that came back and was
   * numbered again has been struck out, and the run has a gap.)
   */
  #freeRange(lane: Lane, idFirst: number, idLast: number, nowMs: number): boolean {
    // Of this lane alone: the id of a row that has gone may be that of a row under another token.
    const destinations = this.#keyPolicy.destinationsOf(lane.address)
    const counts = destinations.map(
      (destination) => this.#count.get(...destination, idFirst, idLast) ?? 0,
    )
    const count = counts.reduce((sum, some) => sum + some, 0)
    if (count !== idLast - idFirst + 1) return false
    if (this.#isAnyOther.get(idFirst, idLast, idFirst, idLast) !== undefined) return false
    return this.#deletion.deleteRange(lane.address, idFirst, idLast, count, nowMs)
  }
}

export const countSql = (isByToken: boolean): string =>
  `SELECT count(*) FROM mqout WHERE ${rangeSql(isByToken)}`
export const isAnyOtherSql = `SELECT 1 FROM mqrequeue WHERE id BETWEEN ? AND ?
  UNION ALL SELECT 1 FROM mqparked WHERE id BETWEEN ? AND ? LIMIT 1`
