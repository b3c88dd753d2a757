/**
 * Whether the daemon of a database does its work right now: the tables are there and ours, a living
 * process has them, and it answers. Must never change anything, nor make a file.
 */
import { hostname } from 'node:os'
import Database from 'better-sqlite3'
import { isThere } from '../sdk/database.ts'
import { fromSqlite, TinymqError, type TinymqErrorCode } from '../sdk/errors.ts'
import { tablesVersion } from '../sdk/schema-migrate.ts'
import { realPath } from './database-file.ts'
import { readHealth } from './health-file.ts'
import { holderOf, type Holder } from './instance-lock.ts'
import { isAnswering } from './probe.ts'

export type HealthCode =
  | 'TINYMQ_NO_DATABASE'
  | 'TINYMQ_NO_TABLES'
  | 'TINYMQ_NOT_RUNNING'
  | 'TINYMQ_STARTING'
  | 'TINYMQ_NO_ANSWER'
  | TinymqErrorCode

/**
 * `sentence` is for people and says what to do; `database` is the path as it was given. A healthy
 * daemon has a `code` when it works under a fault that it can bear.
 */
export type Health =
  | {
      readonly healthy: true
      readonly database: string
      readonly code?: HealthCode
      readonly sentence: string
    }
  | {
      readonly healthy: false
      readonly database: string
      readonly code: HealthCode
      readonly sentence: string
    }

/** Resolves when the answer is known; without one after `withinMs`. */
export async function examine(database: string, withinMs: number): Promise<Health> {
  const unhealthy = (code: HealthCode, sentence: string): Health => {
    return { healthy: false, database, code, sentence }
  }
  try {
    if (!isThere(database)) {
      return unhealthy('TINYMQ_NO_DATABASE', `There is no file ${database}: ${startIt(database)}`)
    }
    const holder = holderOf(realPath(database))
    if (holder === undefined) {
      return unhealthy('TINYMQ_NOT_RUNNING', `No daemon has ${database}: ${startIt(database)}`)
    }
    // Only beside a daemon: with nobody there, SQLite makes -wal and -shm even to read.
    if (versionIn(database) === 0) {
      const sentence = `There are no tables of tinymq in ${database}: restart the daemon.`
      return unhealthy('TINYMQ_NO_TABLES', sentence)
    }
    const { name, address } = holder
    if (address === undefined) {
      return unhealthy('TINYMQ_STARTING', `A daemon is just starting (${name}): wait a moment.`)
    }
    if (await isAnswering(address, withinMs)) {
      const sentence = `The daemon (${name}) answers on UDP port ${address.port}`
      const fault = readHealth(realPath(database))
      if (fault === undefined) return { healthy: true, database, sentence: `${sentence}.` }
      const { code, level, sentence: what, hint } = fault
      if (level === 'warn') {
        const but = `${sentence}, but ${what} (${code}): ${hint}`
        return { healthy: true, database, code, sentence: but }
      }
      const stands = `${sentence}, but sends and receives nothing, for ${what}`
      return unhealthy(code, `${stands}: ${hint}`)
    }
    return unhealthy('TINYMQ_NO_ANSWER', silence(holder, address.port, withinMs))
  } catch (cause) {
    const error = fromSqlite(cause)
    if (!(error instanceof TinymqError)) throw error
    return unhealthy(error.code, `${error.message.replace(/\.$/, '')}. ${error.hint}`)
  }
}

function startIt(database: string): string {
  return `start the daemon (tinymq 9000 ${database}), or name the database that it has.`
}

function silence({ name }: Holder, port: number, withinMs: number): string {
  const sentence = `The daemon (${name}) does not answer on UDP port ${port} for ${withinMs} ms`
  const isElsewhere = !name.includes(` on ${hostname()},`)
  const advice = isElsewhere
    ? 'ask where it runs (docker exec CONTAINER tinymq check); here its port cannot be reached.'
    : 'it hangs or the machine is overloaded: look at its log, and restart it if that goes on.'
  return `${sentence}: ${advice}`
}

/** @throws TinymqError when the file is not a database, or its tables are not ours or are newer. */
function versionIn(path: string): number {
  const db = new Database(path, { readonly: true, fileMustExist: true })
  try {
    return tablesVersion(db)
  } finally {
    db.close()
  }
}
