/**
 * The place of the database in the file system: whether a daemon can work there, and when a file
 * that was put in its place is ready. Must never open the file: closing it again would drop
 * SQLite's locks on it.
 */
import { accessSync, constants, existsSync, realpathSync, statSync, type Stats } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { TinymqError } from '../sdk/errors.ts'
import { StartError } from './start-error.ts'

/** @throws StartError or TinymqError with what has to be changed, and whose it is. */
export function checkPlace(path: string): void {
  const directory = dirname(path)
  const stats = statOf(directory)
  if (stats?.isDirectory() !== true) {
    const sentence = `There is no directory ${directory} for the database`
    throw new StartError('TINYMQ_NO_DIRECTORY', `${sentence}: create it or choose another path.`)
  }
  refuseUnwritable(directory, 'directory', stats)
  const file = statOf(path)
  if (file === undefined) return
  if (!file.isFile()) {
    throw new TinymqError('TINYMQ_NOT_A_DATABASE', `${path} is not a file.`)
  }
  refuseUnwritable(path, 'file', file)
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (cause) {
    const sentence = `${path} cannot be reached: ${(cause as Error).message}; ${self()}.`
    throw new TinymqError('TINYMQ_READ_ONLY', sentence, { cause })
  }
}

function self(): string {
  return `this daemon runs as uid ${process.getuid?.()}, gid ${process.getgid?.()}`
}

/** SQLite makes files beside the database, so both must be writable. */
function refuseUnwritable(path: string, kind: string, { uid, gid, mode }: Stats): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (cause) {
    const owner = `it belongs to uid ${uid}, gid ${gid}, mode ${(mode & 0o7777).toString(8)}`
    const sentence = `The ${kind} ${path} cannot be written: ${owner}; ${self()}.`
    throw new TinymqError('TINYMQ_READ_ONLY', sentence, { cause })
  }
}

/** Where the file is, or will be, whatever links lead there: the name that two daemons agree on. */
export function realPath(path: string): string {
  if (existsSync(path)) return realpathSync(path)
  return join(realpathSync(dirname(path)), basename(path))
}

/** Somebody who replaces a database may do it in two steps, and a copy takes its time. */
const settleMs = 1_000

/** Resolves when nothing has changed at `path` for a second, whether there is a file or none. */
export async function settled(path: string): Promise<void> {
  let before = signature(path)
  for (;;) {
    await setTimeout(settleMs)
    const now = signature(path)
    if (now === before) return
    before = now
  }
}

function signature(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? '' : `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeMs}`
}
