/** A sound copy of a database that is in use. Must never leave half of one behind. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { fromSqlite, TinymqError } from './errors.ts'
import type { SqliteHandle } from './sqlite-handle.ts'

/**
 * VACUUM INTO reads in one transaction, so that the copy is of one moment, and needs no -wal beside
 * it. It is synced under another name first: a file of the name that was asked for is whole.
 * @throws TinymqError; there is no file then.
 */
export function copyDatabase(db: SqliteHandle, target: string): void {
  const unfinished = `${target}.unfinished-${process.pid}`
  create(unfinished, target)
  try {
    db.prepare('VACUUM INTO ?').run(unfinished)
    sync(unfinished)
    renameSync(unfinished, target)
    sync(dirname(target))
  } catch (error) {
    rmSync(unfinished, { force: true })
    throw fromSqlite(error)
  }
}

/** Empty, and for nobody but owner and group to read: SQLite would let everybody. */
function create(unfinished: string, target: string): void {
  try {
    closeSync(openSync(unfinished, 'wx', 0o660))
  } catch (cause) {
    const sentence = `${target} cannot be written: ${(cause as Error).message}`
    throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence, { cause })
  }
}

function sync(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
