/**
 * Begins write transactions without holding up the application's thread: SQLite waits for a lock by
 * blocking, so that what can try again later waits for it only briefly. Must leave the busy timeout
 * of the connection as it was.
 */

import { prepare, type SqliteHandle } from './sqlite-handle.ts'

/** The daemon and other consumers need the lock for milliseconds. */
const lockWaitMs = 20

export class BriefLock {
  readonly #db: SqliteHandle
  /** Of a connection of ours; that of an application may change at any time. */
  readonly #knownMs: number | undefined

  constructor(db: SqliteHandle, knownMs?: number) {
    this.#db = db
    this.#knownMs = knownMs
  }

  /** `BEGIN IMMEDIATE`. Throws that the database is busy where another connection would wait on. */
  readonly begin = (): void => {
    const waitMs = this.#knownMs ?? this.#busyTimeoutMs()
    if (waitMs <= lockWaitMs) {
      this.#db.exec('BEGIN IMMEDIATE')
      return
    }
    // The PRAGMA acts when it is compiled: a prepared one would do nothing.
    const restore = `PRAGMA busy_timeout = ${waitMs}`
    try {
      this.#db.exec(`PRAGMA busy_timeout = ${lockWaitMs}; BEGIN IMMEDIATE; ${restore}`)
    } catch (error) {
      this.#db.exec(restore)
      throw error
    }
  }

  /** Compiled each time: the value is that of the moment when it is. */
  #busyTimeoutMs(): number {
    return (prepare(this.#db, 'PRAGMA busy_timeout').get() as { timeout: number }).timeout
  }
}
