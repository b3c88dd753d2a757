/**
 * One batch of numbered rows, as `mqrun` keeps it: which row has which sequence. Must never touch
 * the database.
 */
import { assert } from '../protocol/assert.ts'

export const uidBytes = 16
const idBytes = 8
const twoTo32 = 2 ** 32

/** `ids` of `mqrun`: NULL when they are consecutive. */
export type RunRow = [
  first: number,
  count: number,
  idFirst: number,
  idLast: number,
  ids: Buffer | null,
  uids: Buffer,
]

export class Run {
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

  constructor([first, count, idFirst, idLast, ids, uids]: RunRow) {
    assert(uids.length === count * uidBytes, 'A run has a uid for each row.')
    this.first = first
    this.count = count
    this.idFirst = idFirst
    this.idLast = idLast
    this.uids = uids
    this.#ids = ids ?? undefined
  }

  /** A new run of rows whose ids rise. */
  static of(first: number, ids: readonly number[], uids: Buffer): Run {
    const idFirst = ids[0] ?? 0
    const idLast = ids.at(-1) ?? 0
    const isGapless = idLast - idFirst === ids.length - 1
    const blob = isGapless ? null : encodeIds(ids)
    const run = new Run([first, ids.length, idFirst, idLast, blob, uids])
    run.mayHaveKept = false
    return run
  }

  get last(): number {
    return this.first + this.count - 1
  }

  /** Every row is still what it was when it was numbered, and the ids have no gap. */
  get isGapless(): boolean {
    return this.#ids === undefined
  }

  /** `mqrun.ids`. */
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
  strike(sequence: number): void {
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
    this.strike(sequence)
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

/** The id at `index` of a blob like `mqrun.ids`. */
export function readId(blob: Buffer, index: number): number {
  return blob.readUInt32BE(index * idBytes) * twoTo32 + blob.readUInt32BE(index * idBytes + 4)
}
