/**
 * One daemon for one database: a lock that dies with its process, so that a crash leaves nothing to
 * clean up. It is SQLite's own lock on a small file beside the database, which works between
 * threads, processes and containers of one kernel. The file stays: to remove a lock's file is to
 * let in two who each hold another one. Must never touch the database itself, nor open the lock's
 * file other than through SQLite: closing it would drop the locks of the process.
 */
import { hostname } from 'node:os'
import Database from 'better-sqlite3'
import { fromSqlite, TinymqError } from '../sdk/errors.ts'
import { StartError } from './start-error.ts'

export type InstanceLock = { readonly release: () => void }

/** @throws StartError when another daemon has it, TinymqError when the file cannot be made. */
export function lockInstance(databasePath: string): InstanceLock {
  const db = openLock(`${databasePath}-daemon`)
  try {
    hold(db, `process ${process.pid} on ${hostname()}, since ${new Date().toISOString()}`)
  } catch (error) {
    const holder = holderOf(db)
    db.close()
    throw lockError(fromSqlite(error), databasePath, holder)
  }
  return { release: () => db.close() }
}

function openLock(path: string): Database.Database {
  try {
    return new Database(path, { timeout: 0 })
  } catch (cause) {
    const error = fromSqlite(cause)
    if (!(error instanceof TinymqError)) throw error
    throw new TinymqError(error.code, `${path}: ${error.message}`, { cause })
  }
}

/**
 * The lock is an open write transaction, which lets others read who holds it. To write the name
 * down ends one, and before the next begins somebody else may have written theirs: then it is
 * written again, until name and lock are of one hand.
 */
function hold(db: Database.Database, name: string): void {
  for (;;) {
    db.exec('BEGIN IMMEDIATE')
    db.exec('CREATE TABLE IF NOT EXISTS holder (name TEXT)')
    db.exec('DELETE FROM holder')
    db.prepare('INSERT INTO holder VALUES (?)').run(name)
    db.exec('COMMIT')
    db.exec('BEGIN IMMEDIATE')
    if (holderOf(db) === name) return
    db.exec('ROLLBACK')
  }
}

function holderOf(db: Database.Database): string {
  try {
    return db.prepare<[], string>('SELECT name FROM holder').pluck().get() ?? 'just starting'
  } catch {
    // It is being written at this moment.
    return 'just starting'
  }
}

function lockError(error: unknown, path: string, holder: string): unknown {
  if (!(error instanceof TinymqError) || error.code !== 'TINYMQ_BUSY') return error
  const sentence = `Another daemon (${holder}) has ${path}`
  const advice = 'stop that one or choose another database.'
  return new StartError('TINYMQ_ALREADY_RUNNING', `${sentence}: ${advice}`, { cause: error })
}
