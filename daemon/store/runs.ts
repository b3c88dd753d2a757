/**
 * `mqrun`: which rows got which sequences. Runs that are not done are in memory while their lane is
 * in use; runs that are done are kept for a while, for people and for rule 4 of PROTOCOL §7.3. Must
 * never delete a row of the outbox.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { assert } from '../protocol/assert.ts'
import type { LaneId } from '../protocol/store-port.ts'
import type { Connection } from './connection.ts'
import type { Lane } from './lanes.ts'
import { Run, readId, type RunRow } from './run.ts'
import { given } from '../../sdk/given-sql.ts'

/** Rows of one run: what one read numbers. */
export const rowsPerRun = 1_024
/** So many done runs are kept for each lane … */
const doneRunsMax = 1_000
/** … and none for longer than this. */
const doneRunsMaxMs = 90 * 24 * 3_600_000
/** They are thrown away this many at a time. */
const runsPerPruning = 64

type NewRun = [LaneId, number, number, number, number, Buffer | null, Buffer]
type KeptRun = [first: number, count: number, idFirst: number, ids: Buffer | null]

export class Runs {
  readonly #insert: BetterSqlite3.Statement<NewRun>
  readonly #select: BetterSqlite3.Statement<[LaneId, number], RunRow>
  readonly #rewrite: BetterSqlite3.Statement<[Buffer | null, Buffer, LaneId, number]>
  readonly #finish: BetterSqlite3.Statement<[number, Buffer | null, LaneId, number]>
  readonly #cut: BetterSqlite3.Statement<[number, Buffer | null, number, LaneId, number]>
  readonly #deleteOpen: BetterSqlite3.Statement<[LaneId]>
  readonly #detach: BetterSqlite3.Statement<[LaneId]>
  readonly #kept: BetterSqlite3.Statement<[LaneId, number, number], KeptRun>
  readonly #countDone: BetterSqlite3.Statement<[LaneId | null], number>
  readonly #oldest: BetterSqlite3.Statement<[LaneId | null, number], [number, number, number]>
  readonly #delete: BetterSqlite3.Statement<[number]>
  readonly #forgotten: BetterSqlite3.Statement<[number]>
  readonly #open = new Map<LaneId, Run[]>()
  readonly #done = new Map<LaneId | null, number>()

  constructor(connection: Connection) {
    this.#insert = connection.prepareChange(
      `INSERT INTO mqrun (lane, first, count, id_first, id_last, ids, uids)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#select = connection.prepare(
      `SELECT first, count, id_first, id_last, ids, uids FROM mqrun
       WHERE lane = ? AND first > ? AND done_at IS NULL ORDER BY first`,
    )
    this.#rewrite = connection.prepareChange(
      'UPDATE mqrun SET ids = ?, uids = ? WHERE lane = ? AND first = ?',
    )
    this.#finish = connection.prepareChange(
      'UPDATE mqrun SET done_at = ?, ids = ?, uids = NULL WHERE lane = ? AND first = ?',
    )
    this.#cut = connection.prepareChange(
      'UPDATE mqrun SET count = ?, ids = ?, id_last = ? WHERE lane = ? AND first = ?',
    )
    this.#deleteOpen = connection.prepareChange(
      'DELETE FROM mqrun WHERE lane = ? AND done_at IS NULL',
    )
    this.#detach = connection.prepareChange('UPDATE mqrun SET lane = NULL WHERE lane = ?')
    this.#kept = connection.prepare(
      `SELECT first, count, id_first, ids FROM mqrun
       WHERE lane = ? AND first + count > ? AND first <= ? ORDER BY first`,
    )
    this.#countDone = connection.prepareValue(
      'SELECT count(*) FROM mqrun WHERE lane IS ? AND done_at IS NOT NULL',
    )
    this.#oldest = connection.prepare(
      `SELECT rowid, id_last, done_at FROM mqrun
       WHERE lane IS ? AND done_at IS NOT NULL ORDER BY done_at, first LIMIT ${given}`,
    )
    this.#delete = connection.prepareChange('DELETE FROM mqrun WHERE rowid = ?')
    this.#forgotten = connection.prepareChange(
      `INSERT INTO mqmeta (key, value) VALUES ('forgotten_id', ?)
       ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)`,
    )
  }

  /** The runs of a lane that are not done, in the order of their sequences. */
  open(lane: Lane): Run[] {
    const id = lane.address.lane
    const known = this.#open.get(id)
    if (known !== undefined) return known
    const rows = this.#select.all(id, lane.confirmed - rowsPerRun)
    // Those that are confirmed have rows that could not be deleted (`RowDeletion`).
    const runs = rows.map((row) => new Run(row)).filter(({ last }) => last > lane.confirmed)
    this.#open.set(id, runs)
    return runs
  }

  /** The run that holds `sequence`, if it is not done. */
  at(lane: Lane, sequence: number): Run | undefined {
    return this.open(lane).find(({ first, last }) => first <= sequence && sequence <= last)
  }

  /**
   * Whether each sequence that is given and not confirmed has its row. Only people can undo that.
   */
  isComplete(lane: Lane): boolean {
    let next = lane.confirmed + 1
    for (const { first, last } of this.open(lane)) {
      if (first > next) return false
      next = last + 1
    }
    return next === lane.numbered + 1
  }

  /** Numbers rows, inside the open transaction; their ids rise. */
  add(lane: Lane, ids: readonly number[], uids: Buffer): Run {
    assert(ids.length > 0 && ids.length <= rowsPerRun, 'A run has at least one row, and a limit.')
    const run = Run.of(lane.numbered + 1, ids, uids)
    const { first, count, idFirst, idLast } = run
    const runs = this.open(lane)
    this.#insert.run(lane.address.lane, first, count, idFirst, idLast, run.ids, uids)
    runs.push(run)
    return run
  }

  /** Every sequence of the lane's first open run is confirmed. */
  finish(lane: Lane, nowMs: number): void {
    const run = this.open(lane).shift()
    assert(run !== undefined, 'A run is finished once.')
    const id = lane.address.lane
    const done = this.#doneRuns(id) + 1
    this.#finish.run(nowMs, run.ids, id, run.first)
    this.#done.set(id, done)
    // A few more than the limit are kept, so that this is not done for every run.
    if (done % runsPerPruning === 0) this.#prune(id, nowMs)
  }

  /** The same, but rows of it are kept in `mqout`, so that it is not done. */
  keep(lane: Lane): void {
    const run = this.open(lane).shift()
    assert(run !== undefined, 'A run is kept once.')
    if (run.isChanged) this.#rewrite.run(run.ids, run.uids, lane.address.lane, run.first)
  }

  /** Writes the runs that have changed, inside the open transaction. */
  write(lane: Lane): void {
    for (const run of this.open(lane)) {
      if (!run.isChanged) continue
      this.#rewrite.run(run.ids, run.uids, lane.address.lane, run.first)
      run.onWritten()
    }
  }

  /**
   * The lane begins a new stream: nothing has a number any more. What was confirmed is kept, but no
   * longer as the lane's: its sequences begin anew.
   */
  renew(lane: Lane, nowMs: number): void {
    const id = lane.address.lane
    const partly = this.open(lane)[0]
    const count = partly === undefined ? 0 : lane.confirmed - partly.first + 1
    if (partly !== undefined && count > 0) {
      const { first, idFirst } = partly
      const ids = partly.ids?.subarray(0, count * 8) ?? null
      const idLast = partly.isGapless ? idFirst + count - 1 : partly.idLast
      this.#cut.run(count, ids, idLast, id, first)
      this.#finish.run(nowMs, ids, id, first)
    }
    this.#deleteOpen.run(id)
    this.#detach.run(id)
    this.#open.set(id, [])
    this.#done.delete(id)
    this.#done.delete(null)
    this.#prune(null, nowMs)
  }

  /**
   * The rows that were delivered under the sequences from `from` to `to`, as far as it is still
   * known; `unknown` counts the sequences that are not.
   */
  deliveredAs(lane: Lane, from: number, to: number): { ids: number[]; unknown: number } {
    const ids: number[] = []
    let unknown = to - from + 1
    for (const [first, count, idFirst, blob] of this.#kept.all(lane.address.lane, from, to)) {
      const end = Math.min(first + count - 1, to)
      for (let sequence = Math.max(first, from); sequence <= end; sequence++) {
        const index = sequence - first
        const id = blob === null ? idFirst + index : readId(blob, index)
        if (id !== 0) ids.push(id)
        unknown--
      }
    }
    return { ids, unknown }
  }

  unload(lane: LaneId): void {
    this.#open.delete(lane)
    this.#done.delete(lane)
  }

  /** Forgets everything: all of it is on disk, where others have changed it. */
  reset(): void {
    this.#open.clear()
    this.#done.clear()
  }

  #doneRuns(lane: LaneId | null): number {
    const known = this.#done.get(lane)
    if (known !== undefined) return known
    return this.#countDone.get(lane) ?? 0
  }

  #prune(lane: LaneId | null, nowMs: number): void {
    let done = this.#doneRuns(lane)
    const atMost = Math.max(runsPerPruning, done - doneRunsMax)
    for (const [row, idLast, doneAt] of this.#oldest.all(lane, atMost)) {
      if (done <= doneRunsMax && doneAt >= nowMs - doneRunsMaxMs) break
      this.#forgotten.run(idLast)
      this.#delete.run(row)
      done--
    }
    this.#done.set(lane, done)
  }
}
