/**
 * One daemon for one database: a lock that dies with its process, so that a crash leaves nothing to
 * clean up. It is SQLite's own lock on a small file next to the database, which works between
 * threads, processes and containers of one kernel. The file stays: to remove a lock's file is to
 * let in two who each hold another one. Must never touch the database itself, nor open the lock's
 * file other than through SQLite: closing it would drop the locks of the process.
 */
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  statSync,
} from 'node:fs'
import { hostname } from 'node:os'
import Database from 'better-sqlite3'
import { explained, openFailure } from '../../../sdk/schema/open-database.ts'
import { fromSqlite, TinymqError } from '../../../sdk/schema/errors.ts'
import type { Address } from '../../protocol/io.ts'
import { StartError } from '../start-error.ts'

export type InstanceLock = {
  /**
   * Says where the daemon listens, for UDP and for the status page, for whoever asks `holderOf`.
   * @throws StartError when somebody else has taken the lock meanwhile.
   */
  readonly announce: (address: Address, page?: Address) => void
  readonly release: () => void
}

/** Who holds a lock, and since it was announced, where it listens. */
export type Holder = {
  readonly name: string
  /** The name of its machine or container; '' while it is just starting. */
  readonly host: string
  readonly address: Address | undefined
  /** Where its status page is; undefined when it is off. */
  readonly page: Address | undefined
}

/**
 * A starting daemon waits this long for whoever only looks (`holderOf`), so that it is not rejected
 * because of a look.
 */
const startWaitMs = 250
/** Of two who look at the same time, one waits for the other. */
const lookWaitMs = 20

/** @throws StartError when another daemon has it, TinymqError when the file cannot be made. */
export function lockInstance(databasePath: string): InstanceLock {
  makeFile(lockPath(databasePath), modeFor(databasePath))
  const db = openLock(lockPath(databasePath), { timeout: startWaitMs })
  const name = `process ${process.pid} on ${hostname()}, since ${new Date().toISOString()}`
  const take = (address: Address | undefined, page: Address | undefined): void => {
    try {
      hold(db, { name, host: hostname(), address, page })
    } catch (error) {
      const { name: other } = readHolder(db)
      db.close()
      throw lockError(fromSqlite(explained(databasePath, error)), databasePath, other)
    }
  }
  take(undefined, undefined)
  return {
    announce: (address, page) => {
      db.exec('ROLLBACK')
      take(address, page)
    },
    release: () => db.close(),
  }
}

/**
 * The daemon that has this database at this moment; undefined when none has. Changes nothing.
 * @throws TinymqError when the lock cannot be looked at, as by a user who may not write its file.
 */
export function holderOf(databasePath: string): Holder | undefined {
  const path = lockPath(databasePath)
  if (!existsSync(path)) return undefined
  refuseReader(path)
  const db = openLock(path, { timeout: lookWaitMs, fileMustExist: true })
  try {
    db.exec('BEGIN IMMEDIATE')
    return undefined
  } catch (cause) {
    const error = fromSqlite(cause)
    if (!(error instanceof TinymqError) || error.code !== 'TINYMQ_BUSY') throw error
    return readHolder(db)
  } finally {
    db.close()
  }
}

/** To a connection that cannot write, SQLite gives every lock: nobody would seem to have it. */
function refuseReader(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (cause) {
    const sentence = `whether a daemon runs is seen only by who may write ${path}`
    throw new TinymqError('TINYMQ_READ_ONLY', `${sentence}, and ${self()} may not`, { cause })
  }
}

const self = (): string => `uid ${process.getuid?.()}`

function lockPath(databasePath: string): string {
  return `${databasePath}-daemon`
}

/** Whoever may read the file can keep the lock from a daemon: it is for who may write messages. */
function modeFor(databasePath: string): number {
  return modeOf(statSync(databasePath, { throwIfNoEntry: false })?.mode ?? 0o660)
}

const modeOf = (mode: number): number => 0o600 | ((mode & 0o022) << 1) | (mode & 0o022)

/** Before SQLite does, which would let everybody read it, and would follow a link. */
function makeFile(path: string, mode: number): void {
  try {
    const file = openSync(path, 'wx', mode)
    try {
      fchmodSync(file, fstatSync(file).mode & modeOf(fstatSync(file).mode))
    } finally {
      closeSync(file)
    }
    return
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw openFailure(`${path}: ${(cause as Error).message}`, cause)
    }
  }
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats?.isSymbolicLink() === true && !existsSync(path)) {
    throw new TinymqError('TINYMQ_CANNOT_OPEN', `${path} is a link to nothing: remove it`)
  }
  // Of a version that left it to SQLite. To open it would drop the locks of this process.
  const isOurs = stats?.isFile() === true && stats.uid === process.geteuid?.()
  if (isOurs && (stats.mode & 0o066 & ~mode) !== 0) chmodSync(path, stats.mode & mode & 0o777)
}

function openLock(path: string, options: Database.Options): Database.Database {
  try {
    return new Database(path, options)
  } catch (cause) {
    const error = fromSqlite(explained(path, cause))
    if (!(error instanceof TinymqError)) throw error
    throw new TinymqError(error.code, `${path}: ${error.message}`, { cause })
  }
}

/**
 * The lock is an open write transaction, which lets others read who holds it. To write the name
 * down ends one, and before the next begins somebody else may have written theirs: then it is
 * written again, until name and lock are of one hand.
 */
function hold(db: Database.Database, { name, host, address, page }: Holder): void {
  const columns = 'name TEXT, host TEXT, ip TEXT, port INTEGER, page_ip TEXT, page_port INTEGER'
  const values = [name, host, address?.ip, address?.port, page?.ip, page?.port]
  for (;;) {
    db.exec('BEGIN IMMEDIATE')
    db.exec(`DROP TABLE IF EXISTS holder; CREATE TABLE holder (${columns})`)
    db.prepare('INSERT INTO holder VALUES (?, ?, ?, ?, ?, ?)').run(
      ...values.map((value) => value ?? null),
    )
    db.exec('COMMIT')
    db.exec('BEGIN IMMEDIATE')
    if (readHolder(db).name === name) return
    db.exec('ROLLBACK')
  }
}

type HolderRow = readonly [
  name: string,
  host: string,
  ip: string | null,
  port: number | null,
  pageIp: string | null,
  pagePort: number | null,
]

function readHolder(db: Database.Database): Holder {
  const unknown = { name: 'just starting', host: '', address: undefined, page: undefined }
  const addressOf = (ip: string | null, port: number | null): Address | undefined =>
    ip === null || port === null ? undefined : { ip, port }
  try {
    // By name: a daemon of an earlier build may have it, whose table has other columns.
    const query = 'SELECT name, host, ip, port, page_ip, page_port FROM holder'
    const row = db.prepare<[], HolderRow>(query).raw().get()
    if (row === undefined) return unknown
    const [name, host, ip, port, pageIp, pagePort] = row
    return { name, host, address: addressOf(ip, port), page: addressOf(pageIp, pagePort) }
  } catch {
    // It is being written at this moment, or an earlier build wrote it.
    return unknown
  }
}

function lockError(error: unknown, path: string, holder: string): unknown {
  if (!(error instanceof TinymqError) || error.code !== 'TINYMQ_BUSY') return error
  const what = `Another daemon (${holder}) has ${path}`
  const remedy = 'stop that one or choose another database.'
  return new StartError('TINYMQ_ALREADY_RUNNING', { what, remedy }, { cause: error })
}
