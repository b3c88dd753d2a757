/**
 * What the status page asks for where there is no password: a random token in a file next to the
 * database, which whoever may read the database may read, and nobody else. Must never follow a
 * link, nor take a token that somebody else has put there.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
  type Stats,
} from 'node:fs'

const tokenBytes = 24
const fileBytesMax = 200
/** The file is what curl takes: `curl -H @FILE http://…`. No command line shows the token then. */
const line = /^authorization: Bearer ([\da-f]{32,128})\n$/

/** @param database its real path. */
export const pageTokenPath = (database: string): string => `${database}-page-token`

/**
 * The token that is there, if it is the daemon's own, else a new one. Its mode follows that of the
 * database at each start.
 * @throws Error of the system, when the file can be neither read nor made.
 */
export function providePageToken(database: string): string {
  const path = pageTokenPath(database)
  const readers = statSync(database)
  const found = readOwn(path, readers)
  if (found !== undefined) return found
  removeIfThere(path)
  const token = randomBytes(tokenBytes).toString('hex')
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const file = openSync(path, flags, 0o600)
  try {
    writeSync(file, `authorization: Bearer ${token}\n`)
    fsyncSync(file)
    shareWith(file, readers)
  } finally {
    closeSync(file)
  }
  return token
}

/** For a program of a user who may read it; undefined: he may not, or there is none. */
export function readPageToken(database: string): string | undefined {
  try {
    return withFile(pageTokenPath(database), (file, { uid }) => {
      const isTrusted = uid === 0 || uid === self() || uid === statSync(database).uid
      return isTrusted ? tokenIn(file) : undefined
    })
  } catch {
    return undefined
  }
}

function readOwn(path: string, readers: Stats): string | undefined {
  try {
    return withFile(path, (file, { uid, nlink }) => {
      if (nlink !== 1 || uid !== self()) return undefined
      const token = tokenIn(file)
      if (token !== undefined) shareWith(file, readers)
      return token
    })
  } catch {
    return undefined
  }
}

function withFile<Result>(path: string, work: (file: number, stats: Stats) => Result): Result {
  // A pipe would wait for somebody to write.
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(file)
    if (!stats.isFile() || stats.size > fileBytesMax) throw new Error(`${path} is no token`)
    return work(file, stats)
  } finally {
    closeSync(file)
  }
}

function tokenIn(file: number): string | undefined {
  return line.exec(readFileSync(file, 'latin1'))?.[1]
}

/** Group and others may read it as far as they may read the database. Nobody else may write it. */
function shareWith(file: number, { gid, mode }: Stats): void {
  fchmodSync(file, 0o600)
  let isOfGroup = fstatSync(file).gid === gid
  if (!isOfGroup) {
    try {
      fchownSync(file, -1, gid)
      isOfGroup = true
    } catch {
      // Only a member of the group may give it away: then it is for the owner alone.
    }
  }
  fchmodSync(file, 0o600 | (mode & (isOfGroup ? 0o044 : 0o004)))
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

const self = (): number | undefined => process.geteuid?.()
