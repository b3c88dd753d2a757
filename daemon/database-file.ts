/**
 * The place of the database in the file system: whether a daemon can work there, and when a file
 * that was put in its place is ready. Must never open the file: closing it again would drop
 * SQLite's locks on it.
 */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  realpathSync,
  statSync,
  type Stats,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { filesystemTypeOf, refuseUnsafeFilesystem } from '../sdk/database.ts'
import { defaultDatabase } from '../sdk/default-database.ts'
import { TinymqError } from '../sdk/errors.ts'
import { isContainer, readMounts, type Mount } from './mounts.ts'
import { ownUserNamespace } from './user-namespace.ts'
import { StartError } from './start-error.ts'

/** What surrounds the daemon; a test gives its own. */
export type Surroundings = {
  readonly mounts: readonly Mount[]
  /** Whether it is in a container, where the way out is another one. */
  readonly isContainer: boolean
}

/** @throws StartError or TinymqError with what has to be changed, and whose it is. */
export function checkPlace(path: string, around: Surroundings = surroundings()): void {
  const directory = dirname(path)
  const stats = statOf(directory)
  if (stats?.isDirectory() !== true) {
    const sentence = `There is no directory ${directory} for the database`
    throw new StartError('TINYMQ_NO_DIRECTORY', `${sentence}: ${directoryAdvice(path)}.`)
  }
  const file = statOf(path)
  if (file !== undefined && !file.isFile()) throw notAFile(path, file)
  refuseFileMount(realPath(path), around.mounts)
  // Before the lock is made, which could hang on a network's file system.
  refuseUnsafeFilesystem(filesystemTypeOf(path), path)
  refuseUnwritable(directory, 'directory', around)
  for (const place of new Set([path, realPath(path)])) refusePlanted(place, around)
  // SQLite makes the second and third beside the database, and the lock is the fourth.
  for (const suffix of ['', '-wal', '-shm', '-daemon']) {
    if (statOf(path + suffix) !== undefined) refuseUnwritable(path + suffix, 'file', around)
  }
}

/**
 * In a directory where everybody may make files, such as /tmp, somebody else may have put one of
 * these there, or a link that leads to a file of ours.
 */
function refusePlanted(path: string, { isContainer: isAlone }: Surroundings): void {
  const directory = dirname(path)
  if ((statSync(directory).mode & 0o002) === 0) return
  const own = process.geteuid?.()
  for (const file of ['', '-wal', '-shm', '-daemon'].map((suffix) => path + suffix)) {
    const stats = lstatSync(file, { throwIfNoEntry: false })
    if (stats === undefined) continue
    const isForeign = !isAlone && stats.uid !== own && stats.uid !== 0
    if (!stats.isSymbolicLink() && !isForeign) continue
    const what = isForeign ? `belongs to uid ${stats.uid}` : 'is a link'
    throw new TinymqError(
      'TINYMQ_CANNOT_OPEN',
      `${file} ${what}, in a directory where everybody may make files: somebody else may have ` +
        `put it there. Move the database to a directory of its own, or remove that file; ${self()}`,
    )
  }
}

function directoryAdvice(path: string): string {
  if (path !== defaultDatabase) return 'create it or choose another path'
  const make = `sudo install -d -o ${process.getuid?.() ?? 0} ${dirname(path)}`
  return `create it with ${make}, or name another file, as in tinymq 9000 ~/tinymqdb`
}

export function surroundings(): Surroundings {
  return { mounts: readMounts(), isContainer: isContainer() }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (cause) {
    const sentence = `${path} cannot be reached: ${(cause as Error).message}; ${self()}.`
    throw new TinymqError('TINYMQ_READ_ONLY', sentence, { cause })
  }
}

function notAFile(path: string, stats: Stats): TinymqError {
  const advice = stats.isDirectory()
    ? ` A directory is there, which Docker makes when the file to be mounted is missing: name a ` +
      `file in a mounted directory, as ${path}/tinymqdb.`
    : ''
  return new TinymqError('TINYMQ_NOT_A_DATABASE', `${path} is not a file.${advice}`)
}

/** The -wal of a database that is mounted by itself stays behind, and the rows in it are lost. */
function refuseFileMount(path: string, mounts: readonly Mount[]): void {
  if (!mounts.some(({ point }) => point === path)) return
  const sentence = `Only the file ${path} is mounted, so that SQLite's log beside it would be lost`
  const advice = `mount its directory instead: --volume ./data:${dirname(path)}.`
  throw new StartError('TINYMQ_FILE_MOUNT', `${sentence}: ${advice}`)
}

function self(): string {
  return `this daemon runs as uid ${process.getuid?.()}, gid ${process.getgid?.()}`
}

function refuseUnwritable(path: string, kind: string, { isContainer }: Surroundings): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EROFS') throw readOnlyMount(path, kind, cause)
    const { uid, gid, mode } = statSync(path)
    const owner = `it belongs to uid ${uid}, gid ${gid}, mode ${(mode & 0o7777).toString(8)}`
    const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
    const advice = isContainer ? ` ${containerAdvice({ uid, gid }, own)}` : ''
    const sentence = `The ${kind} ${path} cannot be written: ${owner}; ${self()}.${advice}`
    throw new TinymqError('TINYMQ_READ_ONLY', sentence, { cause })
  }
}

function readOnlyMount(path: string, kind: string, cause: unknown): TinymqError {
  const sentence = `The ${kind} ${path} is on a file system that is mounted read-only`
  const advice = 'mount it for writing (without :ro), or choose another path.'
  return new TinymqError('TINYMQ_READ_ONLY', `${sentence}: ${advice}`, { cause })
}

type Ids = { readonly uid: number; readonly gid: number }

/** What a file shows whose owner has no id in this user namespace. */
const nobody = 65_534

/** A container does not run as root to please a directory that Docker made as root. */
export function containerAdvice(owner: Ids, own: Ids, namespace = ownUserNamespace()): string {
  const ownOnHost = namespace.onHost(own.uid, own.gid) ?? `${own.uid}:${own.gid}`
  const give = `On the host, sudo chown -R ${ownOnHost} the directory that is mounted`
  const { uid, gid } = owner
  const become = `TINYMQ_UID=${uid} TINYMQ_GID=${gid} in .env (docker run: --user ${uid}:${gid})`
  const orBecome = `or let the container run as its owner: ${become}`
  if (namespace.isTrivial) return uid === 0 ? `${give}.` : `${give}, ${orBecome}.`
  const other = 'or take a named volume, or docker run --userns=host'
  const instead = uid === nobody ? other : orBecome
  return `The ids in this container are not those of the host. ${give}, ${instead}.`
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
