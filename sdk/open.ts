/**
 * `open`: a connection to the database that a daemon works on, from a path or from a connection of
 * the application. It must never open and close the file of a database by other means than SQLite.
 */

import { isThere, openDatabase, openToRead, refuseOldNode } from './schema/open-database.ts'
import { TinymqError } from './schema/errors.ts'
import type { SqliteHandle, Synchronous } from './schema/sqlite-handle.ts'
import { keepOpen, refuseSecondLibrary } from './schema/one-library.ts'
import { tablesVersion } from './schema/migrate.ts'
import { Tinymq } from './client.ts'

/** What `open` takes next to a path. */
type OpenOptions = {
  readonly synchronous?: Synchronous | undefined
  /** Whether a file and tables that are missing are made: true when left out. */
  readonly create?: boolean | undefined
}

/**
 * Opens the database that a daemon works on, and creates it and its tables if they are not there
 * yet.
 * @param target the path of the file; or your own better-sqlite3 or node:sqlite connection, so that
 * sending becomes part of your transactions. Within one process, open a file with one of the two
 * only: they are two copies of SQLite, which do not see each other's locks.
 * @param options `synchronous`, in SQLite's words. `full`, when left out: what `send` has returned
 * survives a power cut. `normal`: faster, and a power cut may take back the last commits. With a
 * connection of your own it is yours to set. `create: false`: a path without a database of tinymq
 * is rejected, so that a mistyped one does not become an empty database that nobody works on.
 * @throws TinymqError when the file cannot be used; the code says why.
 */
export function open(target: string, options?: OpenOptions): Tinymq
export function open<Db extends SqliteHandle>(target: { readonly db: Db }): Tinymq<Db>
export function open(
  target: string | { readonly db: SqliteHandle },
  options: OpenOptions = {},
): Tinymq {
  refuseOldNode()
  const { synchronous = 'full', create = true } = options
  if (synchronous !== 'full' && synchronous !== 'normal') {
    throw badArgument("synchronous must be 'full' or 'normal'")
  }
  if (typeof create !== 'boolean') throw badArgument('create must be true or false')
  if (typeof target !== 'string') {
    if (options.synchronous !== undefined) {
      throw badArgument('synchronous is for a path: on a connection of yours, set the PRAGMA')
    }
    if (typeof target?.db?.prepare === 'function') return new Tinymq(target.db)
    throw badArgument(
      'open takes a path, or { db } with a better-sqlite3 or node:sqlite connection',
    )
  }
  refuseSecondLibrary(target)
  if (!create) refuseMissing(target)
  const db = openDatabase(target, synchronous)
  try {
    return new Tinymq(db, synchronous)
  } catch (error) {
    const isShared = error instanceof TinymqError && error.code === 'TINYMQ_SECOND_LIBRARY'
    if (isShared) keepOpen(db)
    else db.close()
    throw error
  }
}

/**
 * Makes nothing.
 * @throws TinymqError TINYMQ_NO_DATABASE, TINYMQ_NO_SCHEMA
 */
export function refuseMissing(path: string): void {
  if (!isThere(path)) {
    throw new TinymqError('TINYMQ_NO_DATABASE', `there is no database at ${path}`)
  }
  const db = openToRead(path)
  try {
    if (tablesVersion(db) > 0) return
  } finally {
    db.close()
  }
  throw new TinymqError('TINYMQ_NO_SCHEMA', `${path} has no tables of tinymq`)
}

const badArgument = (sentence: string): TinymqError =>
  new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
