/**
 * What a running daemon knows of its own trouble, for `tinymq check` and `doctor` in other
 * processes: one small file next to the database. It has the same length always, so that it can be
 * written on a disk that is full. Must never be believed unless its daemon holds the lock, and must
 * never lead to another file: everybody may write in some directories, such as /var/tmp.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs'
import type { StoreFault } from '../../store/error-classification.ts'

const fileBytes = 1_024

const pathOf = (database: string): string => `${database}-health`

/** Undefined: nothing is wrong. What cannot be written is in the log all the same. */
export function writeHealth(database: string, fault: StoreFault | undefined): void {
  const text = JSON.stringify({ fault: fault ?? null })
  const bytes = Buffer.alloc(fileBytes, ' ')
  if (bytes.write(text) < Buffer.byteLength(text)) return
  try {
    withFile(database, constants.O_WRONLY | constants.O_CREAT, (file, { uid, nlink }) => {
      if (nlink === 1 && uid === self()) writeSync(file, bytes, 0, fileBytes, 0)
    })
  } catch {
    // No room and no file, or no right: the log, the metrics and the page report it all the same.
  }
}

/** What the daemon that holds the lock of this database has last written. */
export function readHealth(database: string): StoreFault | undefined {
  try {
    return withFile(database, constants.O_RDONLY, (file, { uid }) => {
      const isTrusted = uid === 0 || uid === self() || uid === statSync(database).uid
      if (!isTrusted) return undefined
      const { fault } = JSON.parse(readFileSync(file, 'utf8')) as Written
      return fault ?? undefined
    })
  } catch {
    // An older daemon writes none, and a newer one may be writing it at this moment.
    return undefined
  }
}

type Written = { readonly fault: StoreFault | null }

export function removeHealth(database: string): void {
  try {
    rmSync(pathOf(database), { force: true })
  } catch {
    // It is somebody else's.
  }
}

const self = (): number => process.geteuid?.() ?? 0

/** @throws what the system says, as of a link. A pipe stops nobody. */
function withFile<T>(database: string, flags: number, use: (file: number, stats: Stats) => T): T {
  const { O_NOFOLLOW, O_NONBLOCK } = constants
  const file = openSync(pathOf(database), flags | O_NOFOLLOW | O_NONBLOCK, 0o660)
  try {
    const stats = fstatSync(file)
    if (!stats.isFile()) throw new Error(`${pathOf(database)} is not a file.`)
    return use(file, stats)
  } finally {
    closeSync(file)
  }
}
