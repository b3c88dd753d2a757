/**
 * Changes the text of a key ring line by line, so that comments and everything else stay as they
 * are, and writes it so that a daemon reads the old ring or the new one, never half of it. Must
 * never lose a key that it was not asked to drop.
 */
import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  writeSync,
  type Stats,
} from 'node:fs'
import { dirname } from 'node:path'
import { parseRing, type RingLine } from './keys-text.ts'
import { StartError } from './start-error.ts'

/** The text of a ring that is there; '' when there is none yet. */
export function ringTextAt(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** The lines of one name, in their order. */
export function linesOf(text: string, name: string): RingLine[] {
  return parseRing(text).lines.filter((line) => line.name === name)
}

/** The new key comes behind the others of its name: it is taken, and not sent with yet. */
export function withKey(text: string, name: string, line: string): string {
  const lines = splitLines(text)
  const last = linesOf(text, name).at(-1)
  lines.splice(last === undefined ? lines.length : last.line, 0, line)
  return joinLines(lines)
}

/** The last key of the name comes first: it is sent with from now on. */
export function withLastFirst(text: string, name: string): string {
  const lines = splitLines(text)
  const own = linesOf(text, name)
  const [first, last] = [own[0], own.at(-1)]
  if (first === undefined || last === undefined || first === last) return text
  const [moved] = lines.splice(last.line - 1, 1)
  lines.splice(first.line - 1, 0, moved ?? '')
  return joinLines(lines)
}

/** Of the name only the first key is left. */
export function withFirstOnly(text: string, name: string): string {
  const dropped = new Set(
    linesOf(text, name)
      .slice(1)
      .map(({ line }) => line - 1),
  )
  return joinLines(splitLines(text).filter((_, index) => !dropped.has(index)))
}

/**
 * Mode 600, or that of the file that was there, and its owner. The ring and its directory must be
 * ours: who may write in the directory could have root give him a file of root's.
 * @throws StartError
 */
export function writeRing(path: string, text: string): void {
  const target = existsSync(path) ? realpathSync(path) : path
  const before = existsSync(target) ? statSync(target) : undefined
  refuseForeign(path, target, before)
  const fresh = `${target}.${process.pid}.new`
  try {
    const file = openSync(fresh, 'wx', 0o600)
    try {
      writeSync(file, text)
      if (before !== undefined) giveTo(file, before)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(fresh, target)
    syncDirectory(dirname(target))
  } catch (cause) {
    const sentence = `The key ring ${path} cannot be written: ${(cause as Error).message}.`
    throw new StartError('TINYMQ_BAD_KEYS', sentence, { cause })
  }
}

function giveTo(file: number, { uid, gid, mode }: Stats): void {
  const fresh = fstatSync(file)
  if (fresh.uid !== uid || fresh.gid !== gid) fchownSync(file, uid, gid)
  fchmodSync(file, mode & 0o777)
}

/** As a ring is refused that is read: of somebody else's, what is right may change at any time. */
function refuseForeign(path: string, target: string, ring: Stats | undefined): void {
  const own = process.geteuid?.()
  if (own === undefined) return
  const directory = dirname(target)
  const stats = statSync(directory, { throwIfNoEntry: false })
  const isOurs = (uid: number): boolean => uid === own || uid === 0
  const problem = (what: string, uid: number): StartError =>
    new StartError(
      'TINYMQ_BAD_KEYS',
      `The key ring ${path} is not written: ${what} belongs to uid ${uid}, and this process ` +
        `runs as ${own}. Run the command as that user (sudo -u '#${uid}' tinymq keys …), or ` +
        `give it to this one with chown.`,
    )
  if (ring !== undefined && !isOurs(ring.uid)) throw problem('it', ring.uid)
  if (stats === undefined || isOurs(stats.uid)) return
  throw problem(`its directory ${directory}`, stats.uid)
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function splitLines(text: string): string[] {
  return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/)
}

function joinLines(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}
