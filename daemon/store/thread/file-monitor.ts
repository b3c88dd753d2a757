/**
 * A second connection to the database, for what is not the store's business: it reads what the
 * store adds to `mqevent` and how many rows wait, and saves what the files hold when they were
 * removed or replaced while in use. Must never write a table, nor keep a read open.
 */
import { linkSync, rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import type { DatabaseFiles } from '../../../sdk/schema/database-files.ts'
import { countRows } from '../../../sdk/schema/sqlite-handle.ts'
import { type Scheduler, systemScheduler } from '../../../sdk/schema/scheduler.ts'
import { salvage, type Loss } from './salvage.ts'

/** A row of `mqevent`. */
export type StoreEvent = {
  readonly code: string
  readonly host: string | null
  readonly port: number | null
  readonly detail: string | null
}

type Row = StoreEvent & { readonly id: number }

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

export class FileMonitor {
  readonly #db: Database.Database
  readonly #files: DatabaseFiles
  readonly #scheduler: Scheduler
  readonly #newRows: Database.Statement<[number], Row>
  readonly #oldest: Database.Statement<[], number>
  readonly #dataVersion: Database.Statement<[], number>
  #lastId: number
  #seenVersion = -1
  #countNextMs = Number.NEGATIVE_INFINITY

  /** Begins behind the events that are there. The store has the database open, with the tables. */
  constructor(files: DatabaseFiles, scheduler = systemScheduler) {
    this.#files = files
    this.#scheduler = scheduler
    this.#db = openNameless(files.realPath)
    const lastId = this.#db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM mqevent').pluck()
    this.#lastId = lastId.get() ?? 0
    this.#newRows = this.#db.prepare(
      `SELECT id, code, host, port, detail FROM mqevent WHERE id > ? ORDER BY id LIMIT ${rowsMax}`,
    )
    this.#oldest = this.#db
      .prepare<[], number>('SELECT created_at FROM mqout ORDER BY id LIMIT 1')
      .pluck()
    this.#dataVersion = this.#db.prepare<[], number>('PRAGMA data_version').pluck()
  }

  /** What has come since the last call. */
  newEvents(): StoreEvent[] {
    const rows = this.#newRows.all(this.#lastId)
    this.#lastId = rows.at(-1)?.id ?? this.#lastId
    return rows
  }

  /** What waits now, if anybody has written anything since the last call that reported it. */
  newBacklog(): Backlog | undefined {
    const startMs = this.#scheduler.nowUs() / 1_000
    const version = this.#dataVersion.get() ?? 0
    if (version === this.#seenVersion || startMs < this.#countNextMs) return undefined
    this.#seenVersion = version
    const { value: waiting } = countRows(this.#db, 'mqout')
    const oldestAt = this.#oldest.get() ?? null
    const endMs = this.#scheduler.nowUs() / 1_000
    this.#countNextMs = endMs + (endMs - startMs) * countShare
    return { waiting, oldestAt }
  }

  close(): void {
    this.#db.close()
  }

  /** The files are not the ones that are open here; the store must be closed already. */
  salvage(): Loss {
    return salvage(this.#db, this.#files)
  }
}

/**
 * Opens the database under a second name, which is gone at once. When the last connection of all is
 * closed, SQLite moves the log into the file, and removes what is at the path of the log then,
 * whoever has made that. A connection that has no path does neither, and keeps the others of this
 * process from it.
 */
function openNameless(path: string): Database.Database {
  const name = `${path}${secondName}`
  try {
    removeSecondName(path)
    linkSync(path, name)
    linkSync(`${path}-wal`, `${name}-wal`)
    const db = new Database(name, { timeout: 0, fileMustExist: true })
    // Only what has read has the log open.
    db.prepare('SELECT 1 FROM sqlite_master LIMIT 1').get()
    return db
  } catch {
    // A file system without such links.
    return new Database(path, { timeout: 0 })
  } finally {
    removeSecondName(path)
  }
}

const secondName = '-side'

/** A daemon that was killed may have left it. */
function removeSecondName(path: string): void {
  rmSync(`${path}${secondName}`, { force: true })
  rmSync(`${path}${secondName}-wal`, { force: true })
}
