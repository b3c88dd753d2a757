/**
 * A second connection to the database, for what is not the store's business: it reads what the
 * store adds to `mqevent` and how many rows wait, and puts the traces of a file in order that was
 * replaced while it was in use. Must never write a table, nor keep a read open.
 */
import { renameSync, statSync, unlinkSync } from 'node:fs'
import Database from 'better-sqlite3'
import { countRows } from '../sdk/row-count.ts'
import { identityOf } from '../sdk/wake.ts'

/** A row of `mqevent`. */
export type NotedEvent = {
  readonly code: string
  readonly host: string | null
  readonly port: number | null
  readonly detail: string | null
}

type Row = NotedEvent & { readonly id: number }

/** What waits in `mqout`. */
export type Backlog = {
  /** All rows; an estimate when they are many. */
  readonly waiting: number
  /** `created_at` of the first of them, null when there is none. */
  readonly oldestAt: number | null
}

const rowsMax = 100
/** Where counting is slow (large rows, cold disk) it takes one part in so many of the time. */
const countShare = 200

export class SideConnection {
  readonly #db: Database.Database
  readonly #path: string
  readonly #newRows: Database.Statement<[number], Row>
  readonly #oldest: Database.Statement<[], number>
  readonly #dataVersion: Database.Statement<[], number>
  readonly #file: string
  readonly #wal: string
  readonly #shm: string
  #lastId: number
  #seenVersion = -1
  #countNextMs = Number.NEGATIVE_INFINITY

  /** Begins behind the events that are there. `path` has no links, and the tables exist. */
  constructor(path: string) {
    this.#path = path
    this.#db = new Database(path, { timeout: 0 })
    const lastId = this.#db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM mqevent').pluck()
    this.#lastId = lastId.get() ?? 0
    this.#newRows = this.#db.prepare(
      `SELECT id, code, host, port, detail FROM mqevent WHERE id > ? ORDER BY id LIMIT ${rowsMax}`,
    )
    this.#oldest = this.#db
      .prepare<[], number>('SELECT created_at FROM mqout ORDER BY id LIMIT 1')
      .pluck()
    this.#dataVersion = this.#db.prepare<[], number>('PRAGMA data_version').pluck()
    this.#file = identityOf(path)
    this.#wal = identityOf(`${path}-wal`)
    this.#shm = identityOf(`${path}-shm`)
  }

  /** What has come since the last call. */
  newEvents(): NotedEvent[] {
    const rows = this.#newRows.all(this.#lastId)
    this.#lastId = rows.at(-1)?.id ?? this.#lastId
    return rows
  }

  /** What waits now, if anybody has written anything since the last call that told it. */
  newBacklog(): Backlog | undefined {
    const startMs = performance.now()
    const version = this.#dataVersion.get() ?? 0
    if (version === this.#seenVersion || startMs < this.#countNextMs) return undefined
    this.#seenVersion = version
    const { value: waiting } = countRows(this.#db, 'mqout')
    const oldestAt = this.#oldest.get() ?? null
    const endMs = performance.now()
    this.#countNextMs = endMs + (endMs - startMs) * countShare
    return { waiting, oldestAt }
  }

  close(): void {
    this.#db.close()
  }

  /**
   * Another file is at the path, or none. SQLite would take the old one's -wal and -shm, which are
   * still there, for the new one's, and mix two databases: so the old file gets what its -wal
   * holds, and the two leave the path. Programs that have the old file open keep it to themselves.
   * The store must be closed already.
   * @returns the name that the -wal has now, if there was something in it that could not be saved.
   */
  closeReplaced(): string | undefined {
    // A link leads elsewhere now: the old file is where it was, and in order.
    if (identityOf(this.#path) === this.#file) return void this.#db.close()
    this.#saveWal()
    this.#db.close()
    if (identityOf(`${this.#path}-shm`) === this.#shm) unlinkSync(`${this.#path}-shm`)
    if (identityOf(`${this.#path}-wal`) !== this.#wal) return undefined
    if (statSync(`${this.#path}-wal`).size === 0) {
      unlinkSync(`${this.#path}-wal`)
      return undefined
    }
    const aside = `${this.#path}-wal.replaced-${Date.now()}`
    renameSync(`${this.#path}-wal`, aside)
    return aside
  }

  #saveWal(): void {
    try {
      this.#db.pragma('wal_checkpoint(TRUNCATE)')
    } catch {
      // Somebody reads the old file at this moment: its -wal is kept under another name.
    }
  }
}
