/**
 * `mqbatch`: which rows got which sequences. Runs that are not done are in memory while their lane
 * is in use; runs that are done are kept for a while, for people and for rule 4 of PROTOCOL §7.3.
 * Must never delete a row of the outbox.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { given } from '../../../sdk/schema/sqlite-handle.ts'
import { assert } from '../../protocol/assert.ts'
import type { LaneId } from '../../protocol/store-messages.ts'
import type { Connection } from '../connection.ts'
import type { Lane } from './lanes.ts'

/** Rows of one run: what one read numbers. */
export const rowsPerRun = 1_024
/** So many done runs are kept for each lane … */
const doneBatchesMax = 1_000
/** … and none for longer than this. */
const doneBatchesMaxMs = 90 * 24 * 3_600_000
/** They are thrown away this many at a time. */
const runsPerPruning = 64

type NewBatch = [LaneId, number, number, number, number, Buffer | null, Buffer]
type KeptBatch = [first: number, count: number, idFirst: number, ids: Buffer | null]

export class Batches {
  readonly #insert: BetterSqlite3.Statement<NewBatch>
  readonly #select: BetterSqlite3.Statement<[LaneId, number], BatchRow>
  readonly #rewrite: BetterSqlite3.Statement<[Buffer | null, Buffer, LaneId, number]>
  readonly #finish: BetterSqlite3.Statement<[number, Buffer | null, LaneId, number]>
  readonly #cut: BetterSqlite3.Statement<[number, Buffer | null, number, LaneId, number]>
  readonly #deleteOpen: BetterSqlite3.Statement<[LaneId]>
  readonly #detach: BetterSqlite3.Statement<[LaneId]>
  readonly #kept: BetterSqlite3.Statement<[LaneId, number, number], KeptBatch>
  readonly #countDone: BetterSqlite3.Statement<[LaneId | null], number>
  readonly #oldest: BetterSqlite3.Statement<[LaneId | null, number], [number, number, number]>
  readonly #delete: BetterSqlite3.Statement<[number]>
  readonly #forgotten: BetterSqlite3.Statement<[number]>
  readonly #open = new Map<LaneId, Batch[]>()
  readonly #done = new Map<LaneId | null, number>()

  constructor(connection: Connection) {
    this.#insert = connection.prepareChange(
      `INSERT INTO mqbatch (lane, first, count, id_first, id_last, ids, uids)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    this.#select = connection.prepare(
      `SELECT first, count, id_first, id_last, ids, uids FROM mqbatch
       WHERE lane = ? AND first > ? AND done_at IS NULL ORDER BY first`,
    )
    this.#rewrite = connection.prepareChange(
      'UPDATE mqbatch SET ids = ?, uids = ? WHERE lane = ? AND first = ?',
    )
    this.#finish = connection.prepareChange(
      'UPDATE mqbatch SET done_at = ?, ids = ?, uids = NULL WHERE lane = ? AND first = ?',
    )
    this.#cut = connection.prepareChange(
      'UPDATE mqbatch SET count = ?, ids = ?, id_last = ? WHERE lane = ? AND first = ?',
    )
    this.#deleteOpen = connection.prepareChange(
      'DELETE FROM mqbatch WHERE lane = ? AND done_at IS NULL',
    )
    this.#detach = connection.prepareChange('UPDATE mqbatch SET lane = NULL WHERE lane = ?')
    this.#kept = connection.prepare(
      `SELECT first, count, id_first, ids FROM mqbatch
       WHERE lane = ? AND first + count > ? AND first <= ? ORDER BY first`,
    )
    this.#countDone = connection.prepareValue(
      'SELECT count(*) FROM mqbatch WHERE lane IS ? AND done_at IS NOT NULL',
    )
    this.#oldest = connection.prepare(
      `SELECT rowid, id_last, done_at FROM mqbatch
       WHERE lane IS ? AND done_at IS NOT NULL ORDER BY done_at, first LIMIT ${given}`,
    )
    this.#delete = connection.prepareChange('DELETE FROM mqbatch WHERE rowid = ?')
    this.#forgotten = connection.prepareChange(
      `INSERT INTO mqmeta (key, value) VALUES ('history_expired_id', ?)
       ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)`,
    )
  }

  /** The runs of a lane that are not done, in the order of their sequences. */
  open(lane: Lane): Batch[] {
    const id = lane.address.lane
    const known = this.#open.get(id)
    if (known !== undefined) return known
    const rows = this.#select.all(id, lane.confirmed - rowsPerRun)
    // Those that are confirmed have rows that could not be deleted (`RowDeletion`).
    const batches = rows.map((row) => new Batch(row)).filter(({ last }) => last > lane.confirmed)
    this.#open.set(id, batches)
    return batches
  }

  /** The run that holds `sequence`, if it is not done. */
  at(lane: Lane, sequence: number): Batch | undefined {
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
  add(lane: Lane, ids: readonly number[], uids: Buffer): Batch {
    assert(ids.length > 0 && ids.length <= rowsPerRun, 'A run has at least one row, and a limit.')
    const batch = Batch.of(lane.numbered + 1, ids, uids)
    const { first, count, idFirst, idLast } = batch
    const batches = this.open(lane)
    this.#insert.run(lane.address.lane, first, count, idFirst, idLast, batch.ids, uids)
    batches.push(batch)
    return batch
  }

  /** Every sequence of the lane's first open run is confirmed. */
  finish(lane: Lane, nowMs: number): void {
    const batch = this.open(lane).shift()
    assert(batch !== undefined, 'A run is finished once.')
    const id = lane.address.lane
    const done = this.#doneRuns(id) + 1
    this.#finish.run(nowMs, batch.ids, id, batch.first)
    this.#done.set(id, done)
    // A few more than the limit are kept, so that this is not done for every run.
    if (done % runsPerPruning === 0) this.#prune(id, nowMs)
  }

  /** The same, but rows of it are kept in `mqout`, so that it is not done. */
  keep(lane: Lane): void {
    const batch = this.open(lane).shift()
    assert(batch !== undefined, 'A run is kept once.')
    if (batch.isChanged) this.#rewrite.run(batch.ids, batch.uids, lane.address.lane, batch.first)
  }

  /** Writes the runs that have changed, inside the open transaction. */
  write(lane: Lane): void {
    for (const batch of this.open(lane)) {
      if (!batch.isChanged) continue
      this.#rewrite.run(batch.ids, batch.uids, lane.address.lane, batch.first)
      batch.onWritten()
    }
  }

  /**
   * The lane begins a new stream: nothing has a number any more. What was confirmed is kept, but no
   * longer as the lane's: its sequences begin again.
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
    const atMost = Math.max(runsPerPruning, done - doneBatchesMax)
    for (const [row, idLast, doneAt] of this.#oldest.all(lane, atMost)) {
      if (done <= doneBatchesMax && doneAt >= nowMs - doneBatchesMaxMs) break
      this.#forgotten.run(idLast)
      this.#delete.run(row)
      done--
    }
    this.#done.set(lane, done)
  }
}

// One batch of numbered rows, as `mqbatch` keeps it: which row has which sequence. Must never touch
// the database.

export const uidBytes = 16
const idBytes = 8
const twoTo32 = 2 ** 32

/** `ids` of `mqbatch`: NULL when they are consecutive. */
export type BatchRow = [
  first: number,
  count: number,
  idFirst: number,
  idLast: number,
  ids: Buffer | null,
  uids: Buffer,
]

export class Batch {
  /** Sequence of the first row. */
  readonly first: number
  readonly count: number
  readonly idFirst: number
  readonly idLast: number
  /** 16 bytes for each row. */
  readonly uids: Buffer
  /**
   * Rows of it that are confirmed may be in `mqout` still, because something keeps them there: what
   * is read from the file may have such rows.
   */
  mayHaveKept = true
  #ids: Buffer | undefined
  #isChanged = false

  constructor([first, count, idFirst, idLast, ids, uids]: BatchRow) {
    assert(uids.length === count * uidBytes, 'A run has a uid for each row.')
    this.first = first
    this.count = count
    this.idFirst = idFirst
    this.idLast = idLast
    this.uids = uids
    this.#ids = ids ?? undefined
  }

  /** A new run of rows whose ids rise. */
  static of(first: number, ids: readonly number[], uids: Buffer): Batch {
    const idFirst = ids[0] ?? 0
    const idLast = ids.at(-1) ?? 0
    const isGapless = idLast - idFirst === ids.length - 1
    const blob = isGapless ? null : encodeIds(ids)
    const batch = new Batch([first, ids.length, idFirst, idLast, blob, uids])
    batch.mayHaveKept = false
    return batch
  }

  get last(): number {
    return this.first + this.count - 1
  }

  /** Every row is still what it was when it was numbered, and the ids have no gap. */
  get isGapless(): boolean {
    return this.#ids === undefined
  }

  /** `mqbatch.ids`. */
  get ids(): Buffer | null {
    return this.#ids ?? null
  }

  /** `ids` or `uids` differ from what was written. */
  get isChanged(): boolean {
    return this.#isChanged
  }

  onWritten(): void {
    this.#isChanged = false
  }

  /** `mqout.id` of the row at `sequence`, 0 when it was struck out. */
  idAt(sequence: number): number {
    const index = sequence - this.first
    if (this.#ids === undefined) return this.idFirst + index
    return readId(this.#ids, index)
  }

  uidAt(sequence: number): Buffer {
    const start = (sequence - this.first) * uidBytes
    return this.uids.subarray(start, start + uidBytes)
  }

  /** The uids of the sequences from `from` to `to`, both included. */
  uidsOf(from: number, to: number): Buffer {
    return this.uids.subarray((from - this.first) * uidBytes, (to - this.first + 1) * uidBytes)
  }

  /** The row at `sequence` is not, or was not, delivered under it: it is gone or parked. */
  tombstone(sequence: number): void {
    if (this.idAt(sequence) === 0) return
    this.#ids ??= encodeIds(Array.from({ length: this.count }, (_, index) => this.idFirst + index))
    writeId(this.#ids, sequence - this.first, 0)
    this.#isChanged = true
  }

  /**
   * The row at `sequence` is set aside: its sequence goes to a uid that no row has, so that an
   * older copy of this database, in which the row still has the sequence, does not take it for
   * delivered.
   */
  give(sequence: number, filler: Uint8Array): void {
    this.tombstone(sequence)
    this.uids.set(filler, (sequence - this.first) * uidBytes)
    this.#isChanged = true
  }

  /** The sequence under which the row is expected; undefined if it is not in this run. */
  sequenceOf(id: number): number | undefined {
    if (id < this.idFirst || id > this.idLast) return undefined
    if (this.#ids === undefined) return this.first + id - this.idFirst
    for (let index = 0; index < this.count; index++) {
      if (readId(this.#ids, index) === id) return this.first + index
    }
    return undefined
  }
}

function encodeIds(ids: readonly number[]): Buffer {
  const blob = Buffer.alloc(ids.length * idBytes)
  for (const [index, id] of ids.entries()) writeId(blob, index, id)
  return blob
}

function writeId(blob: Buffer, index: number, id: number): void {
  blob.writeUInt32BE(Math.floor(id / twoTo32), index * idBytes)
  blob.writeUInt32BE(id % twoTo32, index * idBytes + 4)
}

/** The id at `index` of a blob like `mqbatch.ids`. */
export function readId(blob: Buffer, index: number): number {
  return blob.readUInt32BE(index * idBytes) * twoTo32 + blob.readUInt32BE(index * idBytes + 4)
}
