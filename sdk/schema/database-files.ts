/**
 * The three files of a database that is in use, by their identity: somebody may remove or replace
 * one while SQLite goes on in the old one, and what it commits then is lost. Must never open them:
 * closing any descriptor of a file drops the locks that SQLite holds on it.
 */
import { type BigIntStats, realpathSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** What is no longer at its path, or is another one there: the database, or its -wal or -shm. */
type FilesChange = 'database' | 'log' | undefined

/** A file system's clock may do not move for so long, in milliseconds: 10 in Linux. */
const coarseClockMs = 50

export class DatabaseFiles {
  /** As it was given. */
  readonly path: string
  /** Where the file really is: SQLite follows links, so that -wal and -shm are there too. */
  readonly realPath: string
  readonly #directory: string
  readonly #database: string
  readonly #log: readonly (readonly [path: string, identity: string])[]
  /** The directory as it was when all files were the ones that were opened. */
  #unchanged = ''

  /** The connection must have read already: only then does it have its -wal and -shm. */
  constructor(path: string) {
    this.path = path
    this.realPath = ifThere(() => realpathSync(path)) ?? resolve(path)
    this.#directory = identityOf(dirname(this.realPath))
    this.#database = identityOf(path)
    // A database that an application brings may have no write-ahead log.
    this.#log = ['-wal', '-shm']
      .map((suffix) => [this.realPath + suffix, identityOf(this.realPath + suffix)] as const)
      .filter(([, identity]) => identity !== '')
  }

  get change(): FilesChange {
    const database = identityOf(this.path)
    if (database === '' || database !== this.#database) return 'database'
    if (this.#log.some(([path, identity]) => identityOf(path) !== identity)) return 'log'
    return undefined
  }

  /**
   * As `change`, for every commit: it costs one stat as long as nothing is made or removed in the
   * directory. It does not see that a link which leads to the database leads elsewhere.
   */
  get changeInDirectory(): FilesChange {
    const stats = statOf(dirname(this.realPath))
    const now = stats === undefined ? '' : `${stats.dev} ${stats.ino} ${stats.mtimeNs}`
    if (now !== '' && now === this.#unchanged) return undefined
    const change = this.change
    // What is removed within one tick of that clock leaves the time as it is.
    const isSettled = stats !== undefined && Date.now() - Number(stats.mtimeMs) > coarseClockMs
    this.#unchanged = change === undefined && isSettled ? now : ''
    return change
  }

  /** The database is where it was, and a link to it may have changed. */
  get isInPlace(): boolean {
    return identityOf(this.realPath) === this.#database
  }

  /** Whether these are the stats of the database that was opened. */
  isDatabase({ dev, ino }: BigIntStats): boolean {
    return `${dev} ${ino}` === this.#database
  }

  /** Another directory is at its path, or none: it was renamed, or its volume is gone. */
  get isDirectoryGone(): boolean {
    return identityOf(dirname(this.realPath)) !== this.#directory
  }

  /** Nobody has begun another log: each file of it is the one that was there, or is missing. */
  get hasNoOtherLog(): boolean {
    return this.#log.every(([path, identity]) => ['', identity].includes(identityOf(path)))
  }

  /** Whether this file of the log (`-wal`, `-shm`) is still the one that was there. */
  isSame(suffix: string): boolean {
    return this.#log.some(
      ([path, identity]) => path === this.realPath + suffix && identityOf(path) === identity,
    )
  }
}

/**
 * What a look at a file tells, or undefined when there is none. For files that others make and
 * remove: one that was there a moment ago may be gone, so that a look is never made in two steps.
 */
export function ifThere<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (['ENOENT', 'ENOTDIR'].includes(code)) return undefined
    throw error
  }
}

/** Which file is at the path: '' when there is none. */
export function identityOf(path: string): string {
  const stats = statOf(path)
  return stats === undefined ? '' : `${stats.dev} ${stats.ino}`
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    // A directory on the way cannot be entered any more: nobody can say.
    return undefined
  }
}

// The database of a daemon and of a command that names none. Not in /var/tmp, where systems
// remove files that nobody has touched for some time. cli/tinymq.js and the page repeat it.

export const defaultDatabase = '/var/lib/tinymq/tinymqdb'
