/** What became of a row of `mqout`: the row itself, the runs and the counters tell. */

import { TinymqError } from './errors.ts'
import { prepare, type SqliteHandle, type SqliteStatement } from './handle.ts'

/** A row that is still there (its identity), one that nobody can say more about yet, or the end. */
export type Outcome =
  | { readonly type: 'waiting'; readonly uid: Uint8Array | undefined }
  | { readonly type: 'delivered' }
  | { readonly type: 'lost'; readonly error: TinymqError }

type Run = { readonly ids: Uint8Array | null; readonly done: number }

/** Reads outcomes from one connection. */
export class OutcomeReader {
  readonly #row: SqliteStatement
  readonly #runs: SqliteStatement
  readonly #counters: SqliteStatement

  constructor(db: SqliteHandle) {
    this.#row = prepare(db, 'SELECT uid FROM mqout WHERE id = ?')
    this.#runs = prepare(
      db,
      `SELECT ids, done_at IS NOT NULL AS done FROM mqrun
      WHERE id_last >= ? AND id_first <= ?`,
    )
    this.#counters = prepare(
      db,
      `SELECT
        (SELECT seq FROM sqlite_sequence WHERE name = 'mqout') AS given,
        (SELECT CAST(value AS INTEGER) FROM mqmeta WHERE key = 'forgotten_id') AS forgotten`,
    )
  }

  /**
   * What became of row `id`.
   * @param uid the identity of the row when it was looked at before. It tells the row from another
   * one that came to have the same id because the first was rolled back.
   */
  read(id: number, uid: Uint8Array | undefined): Outcome {
    // The row comes first: the daemon deletes it in the commit that ends its run, so that a row
    // gone by now is in a run that can be seen.
    const row = this.#row.get(id) as { uid: Uint8Array } | undefined
    if (row !== undefined && (uid === undefined || Buffer.compare(row.uid, uid) === 0)) {
      return { type: 'waiting', uid: row.uid }
    }
    const runs = (this.#runs.all(id, id) as Run[]).filter(({ ids }) => includesId(ids, id))
    if (runs.some(({ done }) => done === 1)) return { type: 'delivered' }
    // Deleted while it was in flight: whether the peer has it will be known when the run is done.
    if (runs.length > 0) return { type: 'waiting', uid }
    return { type: 'lost', error: this.#lost(id, uid !== undefined) }
  }

  #lost(id: number, seen: boolean): TinymqError {
    const { given, forgotten } = this.#counters.get() as {
      given: number | null
      forgotten: number | null
    }
    if (id > (given ?? 0)) {
      return new TinymqError('TINYMQ_NO_SUCH_ROW', `there has never been a row ${id} in mqout`)
    }
    if (!seen && id <= (forgotten ?? 0)) {
      return new TinymqError(
        'TINYMQ_FORGOTTEN',
        `row ${id} left mqout too long ago to say whether it was delivered or deleted`,
      )
    }
    return new TinymqError(
      'TINYMQ_CANCELLED',
      `row ${id} was deleted from mqout before the peer had it`,
    )
  }
}

/** Whether a run has the row: its ids are 8 bytes big-endian each; NULL means all of its range. */
function includesId(ids: Uint8Array | null, id: number): boolean {
  if (ids === null) return true
  const wanted = new Uint8Array(8)
  new DataView(wanted.buffer).setBigUint64(0, BigInt(id))
  const all = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)
  let at = all.indexOf(wanted)
  while (at !== -1 && at % 8 !== 0) at = all.indexOf(wanted, at + 1)
  return at !== -1
}
