/**
 * Opens a database file the way tinymq needs it. It must never open and close an existing database,
 * its -wal or its -shm by other means than SQLite: closing any descriptor of a file drops the locks
 * that the process holds on it.
 */

// Named, `statfsSync` would keep an older Node.js from loading this, and from reading its
// age.
import fs, {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { constants as osConstants } from 'node:os'
import { dirname, resolve } from 'node:path'
import type BetterSqlite3 from 'better-sqlite3'
import { fromSqlite, isError, messageOf, TinymqError, translated } from './errors.ts'
import type { SqliteHandle, Synchronous } from './sqlite-handle.ts'

/** How long a statement waits for other writers, in milliseconds. */
export const busyTimeoutMs = 5000

/**
 * File systems on which the shared memory or the locks of WAL do not hold between machines or
 * between host and guest, by the `f_type` of statfs(2). Databases there have been seen to break
 * within a minute.
 */
const unsafeFilesystems: ReadonlyMap<number, string> = new Map([
  [0x65735546, 'FUSE (a shared folder, sshfs or the like)'],
  [0x01021997, '9p (a folder shared with a virtual machine)'],
  [0x6969, 'NFS'],
  [0xff534d42, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0x00c36400, 'CephFS'],
  [0x0bd00bd0, 'Lustre'],
  [0x5346414f, 'AFS'],
  [0x786f4256, 'a shared folder of VirtualBox'],
])

/**
 * Rejects a file on a file system of this type.
 * @throws TinymqError TINYMQ_UNSAFE_FILESYSTEM
 */
export function refuseUnsafeFilesystem(type: number, file: string): void {
  const name = unsafeFilesystems.get(type)
  if (name === undefined) return
  throw new TinymqError(
    'TINYMQ_UNSAFE_FILESYSTEM',
    `${file} is on ${name}, where SQLite's write-ahead log corrupts the database: ` +
      'put it on a disk of this machine (with containers, in a named volume)',
  )
}

/** What other libraries take for a database, and what would be a strange name for a file here. */
const isAddress = /^(?:file|sqlite\d?|better-sqlite3|libsql|https?):/i

/**
 * Opens the database at `path`, in WAL mode, and makes the file if there is none. It does not
 * create the tables (`migrate` does).
 * @param path of the file, or `:memory:`.
 * @param synchronous in SQLite's words. `full`: what was committed survives a power cut. `normal`,
 * the default of better-sqlite3: a power cut may take back the last commits, but never a row that
 * was sent, because the daemon makes a durable commit that covers a row before it sends it.
 * @throws TinymqError TINYMQ_UNSAFE_FILESYSTEM, TINYMQ_CANNOT_OPEN, TINYMQ_NOT_A_DATABASE and what
 * else SQLite says.
 */
export function openDatabase(
  path: string,
  synchronous: Synchronous = 'full',
): BetterSqlite3.Database {
  if (isAddress.test(path)) {
    throw new TinymqError(
      'TINYMQ_CANNOT_OPEN',
      `${path} is a URI, and the path of a file is needed: give the path alone, ` +
        `or ./${path} when a file has that name`,
    )
  }
  const file = path === ':memory:' ? path : resolve(path)
  if (file !== ':memory:') {
    refuseUnsafeFilesystem(filesystemTypeOf(file), file)
    createIfAbsent(file)
  }
  return translated(() => {
    const db = construct(file)
    try {
      useWal(db)
      db.pragma(`synchronous = ${synchronous}`)
      // macOS only: there fsync does not reach the disk. Elsewhere these do nothing.
      db.pragma(`fullfsync = ${synchronous === 'full'}`)
      db.pragma(`checkpoint_fullfsync = ${synchronous === 'full'}`)
    } catch (error) {
      db.close()
      throw explained(file, error)
    }
    return db
  })
}

/** The addon itself is loaded with the first connection. */
function construct(file: string, options: BetterSqlite3.Options = {}): BetterSqlite3.Database {
  refuseOldNode()
  const all = { timeout: busyTimeoutMs, ...options }
  try {
    return withDriver((Database) => new Database(file, all))
  } catch (error) {
    if (!isCode(error, 'SQLITE_CANTOPEN')) throw error
    throw cannotOpen(file, whyNot(file, constants.R_OK | constants.W_OK) ?? error)
  }
}

/**
 * The same error, or why: SQLite says only that it cannot open a file, which may be one that it
 * cannot make beside `file`.
 */
export function explained(file: string, error: unknown): unknown {
  if (!isCode(error, 'SQLITE_CANTOPEN') && !isCode(error, 'TINYMQ_CANNOT_OPEN')) return error
  const reason = whyNotWritten(file, 0)
  const isScarce = isQuota(reason) || scarcities.some((code) => isCode(reason, code))
  return isScarce ? cannotOpen(file, reason) : error
}

/**
 * Whether no more may be written beside `file` because a quota is used up: SQLite calls that a
 * failed write, as of a broken disk.
 */
export const isQuotaSpent = (file: string): boolean => isQuota(whyNotWritten(file, probeBytes))

/** Why a file of so many bytes cannot be made beside `file`; undefined when it can. */
function whyNotWritten(file: string, bytes: number): unknown {
  const probe = `${file}-probe-${process.pid}`
  try {
    writeFileSync(probe, Buffer.alloc(bytes), { flag: 'wx', mode: 0o600, flush: true })
    return undefined
  } catch (error) {
    return error
  } finally {
    rmSync(probe, { force: true })
  }
}

/** More than the last blocks that a quota leaves. */
const probeBytes = 262_144

/** What SQLite does not tell from a lack of permission. */
const scarcities = ['ENOSPC', 'EMFILE', 'ENFILE']

/** Why a file that is there cannot be opened: SQLite says only that it cannot. */
function whyNot(file: string, access: number): Error | undefined {
  try {
    if (statSync(file).isDirectory()) return new Error('it is a directory')
    accessSync(file, access)
    return undefined
  } catch (error) {
    return isError(error) ? error : undefined
  }
}

/**
 * Whether there is anything at `path`.
 * @throws TinymqError TINYMQ_CANNOT_OPEN when that cannot be seen, as by a user who may not enter
 * its directory.
 */
export function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    throw cannotOpen(path, error)
  }
}

/**
 * A connection that changes nothing, neither the file nor its journal mode.
 * @throws TinymqError TINYMQ_CANNOT_OPEN and what else SQLite says.
 */
export function openToRead(path: string): BetterSqlite3.Database {
  const file = resolve(path)
  const reason = whyNot(file, constants.R_OK)
  if (reason !== undefined) throw cannotOpen(file, reason)
  return translated(() => construct(file, { readonly: true }))
}

/**
 * better-sqlite3 is loaded at the first use, so that an application that brings its own handle
 * never loads it. The first way is a literal, which bundlers and file tracers can read. A bundler
 * that makes a CommonJS module of this one leaves the address out, one that packs the driver loses
 * its addon, and one that keeps the address may have that of another machine: then the driver is
 * looked for from the program and from the directory, in a way that no bundler reads.
 */
const ways: readonly (() => unknown)[] = [
  (): unknown => createRequire(import.meta.url)('better-sqlite3'),
  () => requireFrom(resolve(process.argv[1] ?? 'index.js')),
  () => requireFrom(resolve('index.js')),
]

const requireFrom = (path: string): unknown =>
  process.getBuiltinModule('node:module').createRequire(path)('better-sqlite3')

const loadingCodes = ['ERR_DLOPEN_FAILED', 'MODULE_NOT_FOUND', 'ERR_INVALID_ARG_VALUE']

/** The first way to the driver that leads to an addon. */
function withDriver<T>(work: (Database: typeof BetterSqlite3) => T): T {
  let failure: unknown
  for (const load of ways) {
    try {
      return work(load() as typeof BetterSqlite3)
    } catch (error) {
      if (!loadingCodes.some((code) => isCode(error, code))) throw error
      // A bundle for CommonJS has no address of its own: that says nothing about the driver.
      if (failure === undefined || isCode(failure, 'ERR_INVALID_ARG_VALUE')) failure = error
    }
  }
  throw noDriver(failure)
}

function noDriver(cause: unknown): TinymqError {
  const [reason = ''] = messageOf(cause).split('\n')
  const sentence = `better-sqlite3 cannot be loaded: ${reason}`
  return new TinymqError('TINYMQ_NO_DRIVER', sentence, { cause })
}

/**
 * Says so where the addon would end the process with a segmentation fault.
 * @throws TinymqError TINYMQ_NODE_TOO_OLD
 */
export function refuseOldNode(): void {
  if (!isNodeTooOld(process.versions.node)) return
  const sentence = `Node.js 22.14 or newer is needed, this is ${process.versions.node}.`
  throw new TinymqError('TINYMQ_NODE_TOO_OLD', sentence)
}

/** better-sqlite3 13 crashes below 22.14. */
export function isNodeTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < 22 || (major === 22 && minor < 14)
}

function useWal(db: BetterSqlite3.Database): void {
  const deadlineMs = performance.now() + busyTimeoutMs
  for (;;) {
    try {
      const mode = db.pragma('journal_mode = WAL', { simple: true })
      if (mode === 'wal' || db.memory) return
      throw new TinymqError(
        'TINYMQ_CANNOT_OPEN',
        `SQLite cannot keep a write-ahead log for ${db.name}: put the file on a local disk`,
      )
    } catch (error) {
      // The switch of a new file needs it alone, and SQLite does not wait for that: when several
      // programs start at once, all but one fail at first.
      if (!isCode(error, 'SQLITE_BUSY') || performance.now() > deadlineMs) throw error
      sleep(5)
    }
  }
}

const sleep = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/**
 * The `f_type` of the file system that `file` is on, or will be.
 * @throws TinymqError TINYMQ_CANNOT_OPEN when there is no directory for it.
 */
export function filesystemTypeOf(file: string): number {
  const type = statType(file) ?? statType(dirname(file))
  if (type !== undefined) return type
  throw new TinymqError(
    'TINYMQ_CANNOT_OPEN',
    `there is no directory ${dirname(file)} for the database: create it first`,
  )
}

/** The type of the file system that `path` is on, `undefined` when there is no such path. */
function statType(path: string): number | undefined {
  try {
    // Some types come sign-extended.
    return fs.statfsSync(path).type >>> 0
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw cannotOpen(path, error)
  }
}

/**
 * Makes the file before SQLite does, which would let everybody read it: owner and group, as far as
 * the umask lets the group. SQLite then gives -wal and -shm the same mode.
 */
function createIfAbsent(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o660))
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw cannotOpen(file, error)
    // SQLite would make what it leads to, for everybody to read.
    if (!existsSync(file)) throw cannotOpen(file, new Error('it is a link to nothing'))
  }
}

const isCode = (error: unknown, code: string): boolean => isError(error) && error.code === code

/** Node.js has no name for EDQUOT: its `code` is UNKNOWN. */
const isQuota = (error: unknown): boolean =>
  isError(error) && 'errno' in error && error.errno === -osConstants.errno.EDQUOT

function cannotOpen(path: string, cause: unknown): TinymqError {
  return openFailure(`the database at ${path} cannot be opened: ${messageOf(cause)}`, cause)
}

/** What `sentence` says has failed because of `cause`, under the code that has the remedy. */
export function openFailure(sentence: string, cause: unknown): TinymqError {
  if (isQuota(cause)) {
    const quota = 'a quota of the disk is used up (quota -s tells whose)'
    return new TinymqError('TINYMQ_DISK_FULL', `${sentence}: ${quota}`, { cause })
  }
  if (isCode(cause, 'ENOSPC')) {
    return new TinymqError('TINYMQ_DISK_FULL', `${sentence} (df and df -i tell of what)`, { cause })
  }
  const isLimit = isCode(cause, 'EMFILE') || isCode(cause, 'ENFILE')
  const limit = isLimit ? ': it has as many files open as it may (ulimit -n)' : ''
  return new TinymqError('TINYMQ_CANNOT_OPEN', sentence + limit, { cause })
}

// A sound copy of a database that is in use. Must never leave half of one behind.

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
