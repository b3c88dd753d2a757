/**
 * Notices a second SQLite library that has the same file open in this process. Two of them do not
 * see each other's locks, and one that closes the file drops those of the other: both write at the
 * same time, and the file breaks. Must never open or close the database or its companions itself.
 */

import { fstatSync, readdirSync, realpathSync, statSync, type BigIntStats } from 'node:fs'
import { TinymqError } from './errors.ts'
import { filePath, prepare, type SqliteHandle } from './sqlite-handle.ts'

/** Where the system lists the open files of a process: Linux, macOS. Windows has no such place. */
const lists = ['/proc/self/fd', '/dev/fd']

// A look takes about a tenth of a millisecond with a hundred open files, and up to one when the
// machine is busy: a thousandth of the time at most.
const lookEveryMs = 1_000
// Soon after the first look: another library opens its -shm with its first statement only.
const lookAgainMs = 10
const restPerLook = 1_000

/** Watches over one connection. */
export class OneLibrary {
  readonly #shm: string | undefined
  #lookAtMs = 0
  #pauseMs = lookAgainMs
  #isAlone = true

  /**
   * Looks at once.
   * @throws TinymqError TINYMQ_SECOND_LIBRARY, or what SQLite says.
   */
  constructor(db: SqliteHandle) {
    // Each library opens the -shm once for each file, with the first read of its first connection.
    prepare(db, 'SELECT count(*) FROM sqlite_master').get()
    const path = filePath(db)
    this.#shm = path === undefined ? undefined : shmOf(path)
    this.check()
  }

  /** No other was ever seen. */
  get isAlone(): boolean {
    return this.#isAlone
  }

  /**
   * Looks, at last once a second: it costs nothing to ask before each write.
   * @throws TinymqError TINYMQ_SECOND_LIBRARY
   */
  check(): void {
    if (this.#shm === undefined) return
    const startMs = performance.now()
    if (startMs < this.#lookAtMs) return
    if (countOpen(this.#shm) > 1) {
      this.#isAlone = false
      throw secondLibrary(this.#shm)
    }
    const endMs = performance.now()
    this.#lookAtMs = endMs + this.#pauseMs
    this.#pauseMs =
      this.#pauseMs < lookEveryMs / 3
        ? 3 * this.#pauseMs
        : Math.max(lookEveryMs, restPerLook * (endMs - startMs))
  }
}

/** To close these would drop the locks that the other library has on the file. */
const leftOpen: SqliteHandle[] = []

/** Keeps a connection until the process ends. */
export function keepOpen(db: SqliteHandle): void {
  leftOpen.push(db)
}

/**
 * Rejects a file that two libraries have open already.
 * @throws TinymqError TINYMQ_SECOND_LIBRARY
 */
export function refuseSecondLibrary(path: string): void {
  const shm = shmOf(path)
  if (shm !== undefined && countOpen(shm) > 1) throw secondLibrary(shm)
}

/** SQLite follows links, so that the companions are where the file really is. */
function shmOf(path: string): string | undefined {
  try {
    return `${realpathSync(path)}-shm`
  } catch {
    return undefined
  }
}

function countOpen(path: string): number {
  const file = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (file === undefined) return 0
  return openFiles().filter((fd) => isSame(fd, file)).length
}

function openFiles(): number[] {
  for (const list of lists) {
    try {
      return readdirSync(list).map(Number)
    } catch {
      // Another system.
    }
  }
  return []
}

function isSame(fd: number, file: BigIntStats): boolean {
  try {
    const { ino, dev } = fstatSync(fd, { bigint: true })
    return ino === file.ino && dev === file.dev
  } catch {
    // Closed meanwhile: that of the list itself, for one.
    return false
  }
}

const secondLibrary = (shm: string): TinymqError =>
  new TinymqError(
    'TINYMQ_SECOND_LIBRARY',
    `two SQLite libraries have ${shm.slice(0, -'-shm'.length)} open in this process, ` +
      "which would break the file: they do not see each other's locks",
  )
