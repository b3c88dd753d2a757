/**
 * Reads what the store adds to `mqevent`, so that the log says it too. Must never write, nor keep a
 * read open.
 */
import Database from 'better-sqlite3'

/** A row of `mqevent`. */
export type NotedEvent = {
  readonly code: string
  readonly host: string | null
  readonly port: number | null
  readonly detail: string | null
}

type Row = NotedEvent & { readonly id: number }

const rowsMax = 100

export class EventTail {
  readonly #db: Database.Database
  readonly #newRows: Database.Statement<[number], Row>
  #lastId: number

  /** Begins behind what is there. The tables must exist. */
  constructor(path: string) {
    this.#db = new Database(path, { readonly: true })
    const lastId = this.#db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM mqevent').pluck()
    this.#lastId = lastId.get() ?? 0
    this.#newRows = this.#db.prepare(
      `SELECT id, code, host, port, detail FROM mqevent WHERE id > ? ORDER BY id LIMIT ${rowsMax}`,
    )
  }

  /** What has come since the last call. */
  next(): NotedEvent[] {
    const rows = this.#newRows.all(this.#lastId)
    this.#lastId = rows.at(-1)?.id ?? this.#lastId
    return rows
  }

  close(): void {
    this.#db.close()
  }
}
