/**
 * Shows those who wait, through one connection, that something was committed. There is one watch
 * for all of them, and none when nobody waits. It keeps the process alive while somebody does. Must
 * never write.
 */

import { DatabaseFiles } from './schema/database-files.ts'
import { fromSqlite, TinymqError } from './schema/errors.ts'
import {
  filePath,
  isOpen,
  prepare,
  type SqliteHandle,
  type SqliteStatement,
} from './schema/sqlite-handle.ts'
import { CommitNotifier } from './schema/commit-notifier.ts'

/** Without a file there are no events: how often the changes of the connection are looked at. */
const memoryLookMs = 10

/** Somebody who waits. */
export type CommitListener = {
  readonly onCommit: () => void
  /** There will be no more: the connection was closed, or another file is at its path. */
  readonly onEnd: (reason: unknown) => void
}

/** The commits that one connection can see, its own among them. */
export class CommitWatch {
  readonly #db: SqliteHandle
  /** As of now: another file may be there later. Undefined: the database is in memory. */
  readonly #files: DatabaseFiles | undefined
  readonly #dataVersion: SqliteStatement
  readonly #ownChanges: SqliteStatement
  readonly #listeners = new Set<CommitListener>()
  #notifier: CommitNotifier | undefined
  #memoryTimer: NodeJS.Timeout | undefined
  #seen = ''
  #ended: { readonly reason: unknown } | undefined

  constructor(db: SqliteHandle) {
    this.#db = db
    this.#dataVersion = prepare(db, 'PRAGMA data_version')
    // Only a connection that has read has opened its log.
    this.#dataVersion.get()
    const path = filePath(db)
    this.#files = path === undefined ? undefined : new DatabaseFiles(path)
    this.#ownChanges = prepare(db, 'SELECT total_changes() AS own_changes')
  }

  /**
   * From now on, until `remove`. What was committed before is not reported; that it is over, is.
   * @throws TinymqError TINYMQ_CLOSED when the files are no longer the ones that were opened.
   */
  add(listener: CommitListener): void {
    if (this.#ended !== undefined) {
      const { reason } = this.#ended
      return queueMicrotask(() => listener.onEnd(reason))
    }
    if (this.#listeners.size === 0) this.#start()
    this.#listeners.add(listener)
  }

  remove(listener: CommitListener): void {
    if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#stop()
  }

  /** Shows all that wait why it is over. */
  end(reason: unknown): void {
    const listeners = [...this.#listeners]
    this.#ended ??= { reason }
    this.#listeners.clear()
    this.#stop()
    for (const listener of listeners) listener.onEnd(reason)
  }

  /**
   * For what was committed just now: in files that were removed, nobody will ever find it.
   * @throws TinymqError TINYMQ_CLOSED
   */
  refuseLostFiles(): void {
    if (this.#files?.changeInDirectory !== undefined) throw replaced(this.#files)
  }

  #start(): void {
    this.#seen = this.#version()
    const files = this.#files
    if (files === undefined) {
      this.#memoryTimer = setInterval(() => this.#look(), memoryLookMs)
      return
    }
    this.refuseLostFiles()
    this.#notifier = new CommitNotifier({
      files,
      look: () => this.#look(),
      isQuiet: () => false,
      // The last one who closes removes the log.
      onReplaced: () => this.end(isOpen(this.#db) ? replaced(files) : closedWhileWaiting()),
      // The polls go on, and are quick enough.
      onWatchUnavailable: () => undefined,
    })
    this.#notifier.start()
  }

  #stop(): void {
    this.#notifier?.stop()
    this.#notifier = undefined
    clearInterval(this.#memoryTimer)
  }

  #version(): string {
    return JSON.stringify([this.#dataVersion.get(), this.#ownChanges.get()])
  }

  #look(): boolean {
    try {
      const seen = this.#version()
      if (seen === this.#seen) return false
      this.#seen = seen
    } catch (error) {
      this.#onFailed(error)
      return false
    }
    for (const listener of this.#listeners) listener.onCommit()
    return true
  }

  #onFailed(error: unknown): void {
    const reason = reasonOf(this.#db, error)
    if (reason instanceof TinymqError && reason.retryable) return
    this.end(reason)
  }
}

function replaced(files: DatabaseFiles): TinymqError {
  const { path, change } = files
  const sentence =
    change === 'log'
      ? `the -wal or -shm of ${path} was removed, what was written since may be lost`
      : `another file is at ${path} now, or none`
  return new TinymqError('TINYMQ_CLOSED', `${sentence}: open it again`)
}

/** What to tell those who wait, of an error on the connection. */
export const reasonOf = (db: SqliteHandle, error: unknown): unknown =>
  isOpen(db) ? fromSqlite(error) : closedWhileWaiting()

/** What those get who wait while the connection is closed. */
export const closedWhileWaiting = (): TinymqError =>
  new TinymqError('TINYMQ_CLOSED', 'the connection was closed while something waited on it')
