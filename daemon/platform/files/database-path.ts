/**
 * The place of the database in the file system: whether a daemon can work there, and when a file
 * that was put in its place is ready. Must never open the file: closing it again would drop
 * SQLite's locks on it.
 */
import {
  accessSync,
  constants,
  lstatSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { defaultDatabase, ifThere } from '../../../sdk/schema/database-files.ts'
import { TinymqError } from '../../../sdk/schema/errors.ts'
import { filesystemTypeOf, refuseUnsafeFilesystem } from '../../../sdk/schema/open-database.ts'
import { StartError } from '../start-error.ts'
import { isContainer, type Mount, readMounts } from './mounts.ts'

/** What surrounds the daemon; a test gives its own. */
export type HostEnvironment = {
  readonly mounts: readonly Mount[]
  /** Whether it is in a container, where the way out is another one. */
  readonly isContainer: boolean
}

/** @throws StartError or TinymqError with what has to be changed, and whose it is. */
export function checkDatabasePath(path: string, around: HostEnvironment = surroundings()): void {
  const directory = dirname(path)
  const stats = statOf(directory)
  if (stats?.isDirectory() !== true) throw noDirectory(path)
  const file = statOf(path)
  if (file !== undefined && !file.isFile()) throw notAFile(path, file)
  refuseFileMount(realPath(path), around.mounts)
  // Before the lock is made, which could hang on a network's file system.
  refuseUnsafeFilesystem(filesystemTypeOf(path), path)
  refuseUnwritable(directory, 'directory', around)
  for (const place of new Set([path, realPath(path)])) refusePlanted(place, around)
  // SQLite makes the second and third next to the database, and the lock is the fourth.
  for (const suffix of ['', '-wal', '-shm', '-daemon']) {
    refuseUnwritable(path + suffix, 'file', around)
  }
}

function noDirectory(path: string): StartError {
  return new StartError('TINYMQ_NO_DIRECTORY', {
    what: `There is no directory ${dirname(path)} for the database`,
    remedy: `${directoryAdvice(path)}.`,
  })
}

/**
 * In a directory where everybody may make files, such as /tmp, somebody else may have put one of
 * these there, or a link that leads to a file of ours.
 */
function refusePlanted(path: string, { isContainer: isAlone }: HostEnvironment): void {
  const directory = dirname(path)
  if (((statOf(directory)?.mode ?? 0) & 0o002) === 0) return
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

export function surroundings(): HostEnvironment {
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
  const what = `Only the file ${path} is mounted, so that SQLite's log next to it would be lost`
  const remedy = `mount its directory instead: --volume ./data:${dirname(path)}.`
  throw new StartError('TINYMQ_SINGLE_FILE_MOUNT', { what, remedy })
}

function self(): string {
  return `this daemon runs as uid ${process.getuid?.()}, gid ${process.getgid?.()}`
}

/** What is not there is not refused: the last program that closes a database removes two files. */
function refuseUnwritable(path: string, kind: string, { isContainer }: HostEnvironment): void {
  try {
    ifThere(() => accessSync(path, constants.W_OK))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EROFS') throw readOnlyMount(path, kind, cause)
    const stats = statOf(path)
    if (stats === undefined) return
    const { uid, gid, mode } = stats
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
  const target = ifThere(() => realpathSync(path))
  if (target !== undefined) return target
  const directory = ifThere(() => realpathSync(dirname(path)))
  if (directory === undefined) throw noDirectory(path)
  return join(directory, basename(path))
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

// How the ids of users in a container stand for those of the host (user_namespaces(7)). Must never
// be asked about processes other than this one.

type Range = { readonly inside: number; readonly outside: number; readonly count: number }

export class UserNamespace {
  readonly #uids: readonly Range[]
  readonly #gids: readonly Range[]

  /** What `/proc/self/uid_map` and `gid_map` say; '' where there are none. */
  constructor(uidMap: string, gidMap: string) {
    this.#uids = rangesOf(uidMap)
    this.#gids = rangesOf(gidMap)
  }

  /** Ids are the same on both sides. */
  get isTrivial(): boolean {
    return [...this.#uids, ...this.#gids].every(({ inside, outside }) => inside === outside)
  }

  /** `uid:gid` as the host has it; undefined for what has no id there. */
  onHost(uid: number, gid: number): string | undefined {
    const [hostUid, hostGid] = [outsideOf(this.#uids, uid), outsideOf(this.#gids, gid)]
    return hostUid === undefined || hostGid === undefined ? undefined : `${hostUid}:${hostGid}`
  }
}

/** The one of this process. */
export function ownUserNamespace(): UserNamespace {
  return new UserNamespace(mapOf('uid'), mapOf('gid'))
}

function mapOf(kind: 'uid' | 'gid'): string {
  try {
    return readFileSync(`/proc/self/${kind}_map`, 'utf8')
  } catch {
    return ''
  }
}

function rangesOf(map: string): Range[] {
  return map
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([inside, outside, count]) =>
      inside === undefined || outside === undefined || count === undefined
        ? []
        : [{ inside, outside, count }],
    )
}

function outsideOf(ranges: readonly Range[], id: number): number | undefined {
  if (ranges.length === 0) return id
  const range = ranges.find(({ inside, count }) => id >= inside && id < inside + count)
  return range && range.outside + id - range.inside
}
