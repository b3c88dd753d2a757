/** What became of a row of `mqout`: the row itself, the runs and the counters tell. */

import { TinymqError } from './errors.ts'
import { prepare, type SqliteHandle, type SqliteStatement } from './sqlite-handle.ts'
import { keptSql } from './triggers.ts'

/** A row that is still there (its identity), one that nobody can say more about yet, or the end. */
export type Outcome =
  | { readonly type: 'waiting'; readonly uid: Uint8Array | undefined }
  | { readonly type: 'delivered' }
  | { readonly type: 'lost'; readonly error: TinymqError }

/** What was known of a row when it was looked at before. */
export type SeenRow = {
  /** Its identity: another row may come to have the same id because the first was rolled back. */
  readonly uid: Uint8Array | undefined
  /** What `forgotten` was then. */
  readonly forgotten: number
}

type Batch = {
  readonly first: number
  readonly id_first: number
  readonly ids: Uint8Array | null
  readonly done: number
  readonly confirmed: number | null
}

/** Reads outcomes from one connection. */
export class OutcomeReader {
  readonly #row: SqliteStatement
  readonly #runs: SqliteStatement
  readonly #counters: SqliteStatement

  constructor(db: SqliteHandle) {
    const row = `SELECT uid, ${keptSql('o')} AS kept FROM mqout AS o WHERE id = ?`
    this.#row = prepare(db, row)
    this.#runs = prepare(
      db,
      `SELECT r.first, r.id_first, r.ids, r.done_at IS NOT NULL AS done, l.confirmed
      FROM mqbatch AS r LEFT JOIN mqlane AS l ON l.id = r.lane
      WHERE r.id_last >= ? AND r.id_first <= ?`,
    )
    this.#counters = prepare(
      db,
      `SELECT
        (SELECT seq FROM sqlite_sequence WHERE name = 'mqout') AS given,
        (SELECT CAST(value AS INTEGER) FROM mqmeta WHERE key = 'history_expired_id') AS forgotten`,
    )
  }

  /** Up to this id, what became of rows may be known no more. */
  forgotten(): number {
    return (this.#counters.get() as Counters).forgotten ?? 0
  }

  /** What became of row `id`. */
  read(id: number, seen: SeenRow | undefined): Outcome {
    const uid = seen?.uid
    // The row comes first: the daemon deletes it in the commit that ends its run, so that a row
    // gone by now is in a run that can be seen.
    const row = this.#row.get(id) as { uid: Uint8Array; kept: number } | undefined
    if (row !== undefined && (uid === undefined || Buffer.compare(row.uid, uid) === 0)) {
      // The peer has it, and something of the owner's keeps the row.
      return row.kept === 1 ? { type: 'delivered' } : { type: 'waiting', uid: row.uid }
    }
    let isInFlight = false
    for (const run of this.#runs.all(id, id) as Batch[]) {
      const sequence = sequenceOf(run, id)
      if (sequence === undefined) continue
      if (run.done === 1 || sequence <= (run.confirmed ?? 0)) return { type: 'delivered' }
      isInFlight = true
    }
    // Deleted while it was in flight: the daemon will say whether that came in time.
    if (isInFlight) return { type: 'waiting', uid }
    return { type: 'lost', error: this.#lost(id, seen) }
  }

  #lost(id: number, seen: SeenRow | undefined): TinymqError {
    const { given, forgotten } = this.#counters.get() as Counters
    if (id > (given ?? 0)) {
      return new TinymqError('TINYMQ_NO_SUCH_ROW', `there has never been a row ${id} in mqout`)
    }
    // Nothing was forgotten since it was seen: then it was deleted.
    const isSure = seen !== undefined && seen.forgotten === (forgotten ?? 0)
    if (!isSure && id <= (forgotten ?? 0)) {
      return new TinymqError(
        'TINYMQ_HISTORY_EXPIRED',
        `row ${id} left mqout too long ago to say whether it was delivered or deleted`,
      )
    }
    return new TinymqError(
      'TINYMQ_CANCELLED',
      `row ${id} was deleted from mqout before the peer confirmed it`,
    )
  }
}

type Counters = { readonly given: number | null; readonly forgotten: number | null }

/** The sequence number that the row has in the run, `undefined` when it is not in it. */
function sequenceOf({ first, id_first, ids }: Batch, id: number): number | undefined {
  if (ids === null) return first + id - id_first
  const wanted = new Uint8Array(8)
  new DataView(wanted.buffer).setBigUint64(0, BigInt(id))
  const all = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)
  let at = all.indexOf(wanted)
  while (at !== -1 && at % 8 !== 0) at = all.indexOf(wanted, at + 1)
  return at === -1 ? undefined : first + at / 8
}
