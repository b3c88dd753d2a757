/**
 * Whether a daemon may make a database where there is none: a volume that is not mounted looks like
 * a database that was never there, and rows that go into the directory under it are hidden when the
 * volume is back. Must never decide for a daemon that runs: that one makes no database at all.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { defaultDatabase } from '../../../sdk/schema/database-files.ts'
import { TinymqError } from '../../../sdk/schema/errors.ts'
import type { LogLine } from '../log.ts'
import { mountOf, parseFstab, readMounts, type Mount } from './mounts.ts'
import type { Config } from '../config/options.ts'
import { rescuedCopies } from '../../store/thread/salvage.ts'
import { StartError } from '../start-error.ts'

/** What the system has mounted, and what it is meant to mount. */
export type Volumes = { readonly mounts: readonly Mount[]; readonly fstab: readonly string[] }

/**
 * `path` has no links, and there is no file.
 * @throws StartError or TinymqError when the file is missing, rather than new.
 */
export function checkMayCreate(
  path: string,
  create: Config['create'],
  volumes: Volumes = readVolumes(),
): void {
  if (create === 'never') {
    const advice = 'put it back, mount its volume, or leave --create never out for the first start'
    throw new TinymqError('TINYMQ_NO_DATABASE', `There is no database ${path}: ${advice}`)
  }
  const mount = mountOf(path, volumes.mounts)
  if (create === 'mounted' && mount?.point === '/') {
    throw noVolume(
      `No volume is mounted at ${dirname(path)}, and no database is there`,
      'mount the volume or directory that has it, or say --create auto (TINYMQ_CREATE=auto) to ' +
        'begin an empty one that is lost with the container.',
    )
  }
  const point = missingVolume(path, volumes)
  if (point === undefined) return
  throw noVolume(
    `/etc/fstab has a volume for ${point}, which is not mounted, and no database is there`,
    `sudo mount ${point}, or choose another path.`,
  )
}

/**
 * Makes the directory of the default path where this may be done; every other one is the
 * operator's to make, and a missing one is an error (database-path.ts).
 * @throws as `checkMayCreate` does.
 */
export function makeDefaultDirectory(
  path: string,
  create: Config['create'],
  { defaultPath = defaultDatabase, volumes = readVolumes() } = {},
): void {
  const directory = dirname(path)
  if (path !== defaultPath || existsSync(directory)) return
  checkMayCreate(path, create, volumes)
  try {
    mkdirSync(directory, { mode: 0o755 })
  } catch {
    // An ordinary user may not: the check of the directory that follows says what to do.
  }
}

function noVolume(what: string, remedy: string): StartError {
  return new StartError('TINYMQ_NO_VOLUME', { what, remedy })
}

/** The innermost volume that `path` is meant to be in, if another one is there instead. */
function missingVolume(path: string, { mounts, fstab }: Volumes): string | undefined {
  const meant = mountOf(
    path,
    fstab.map((point) => ({ root: '/', point, type: '' })),
  )
  const mount = mountOf(path, mounts)
  if (meant === undefined || mount === undefined) return undefined
  return meant.point.length > mount.point.length ? meant.point : undefined
}

function readVolumes(): Volumes {
  return { mounts: readMounts(), fstab: readFstab() }
}

function readFstab(): readonly string[] {
  try {
    return parseFstab(readFileSync('/etc/fstab', 'utf8'))
  } catch {
    // There is none, or it may not be read: nothing is known.
    return []
  }
}

/** Loud: whoever expected rows here must not find out from their absence. */
export function createdLine(path: string): LogLine {
  const copies = rescuedCopies(dirname(path), basename(path))
  const sentence =
    copies.length === 0
      ? 'There was no database: an empty one was made.'
      : 'There was no database: an empty one was made. A copy of an earlier one is next to it.'
  const fields = { database: path, ...(copies.length > 0 && { saved: copies.at(-1) }) }
  return { level: 'warn', event: 'database-created', sentence, fields }
}

/** A daemon that was killed while it saved a removed log may have left it (salvage.ts). */
export function removeGuard(path: string): void {
  try {
    rmdirSync(`${path}-shm`)
  } catch {
    // It is a file, as it should be, or is not there.
  }
}
