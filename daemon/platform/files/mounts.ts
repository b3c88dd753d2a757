/**
 * Where the database lies in the tree of mounts, as far as Linux shows: in containers people mount
 * one file instead of its directory, or forget the volume. Must never touch what is mounted, and
 * must never guess: where the system does not say, nothing is reported.
 */
import { existsSync, readFileSync } from 'node:fs'
import type { Problem } from '../text.ts'

export type Mount = {
  /** What of its file system is mounted: for a volume of Docker it ends in the volume's name. */
  readonly root: string
  /** Where it is mounted. */
  readonly point: string
  /** As in /proc/filesystems: overlay, ext4, … */
  readonly type: string
}

/** In the order in which they were made; empty on a system that is not Linux. */
export function readMounts(): readonly Mount[] {
  try {
    return parseMounts(readFileSync('/proc/self/mountinfo', 'utf8'))
  } catch {
    // There is no such file, or /proc is not there: nothing is known.
    return []
  }
}

/** The text of /proc/PID/mountinfo, which proc(5) describes; a line of another form is left out. */
export function parseMounts(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ', 2)
    const [, , , root, point] = before.split(' ')
    const [type = ''] = after.split(' ')
    if (root === undefined || point === undefined || type === '') return []
    return [{ root: unescapeOctal(root), point: unescapeOctal(point), type }]
  })
}

/** The points at which /etc/fstab has something mounted at every start of the system (fstab(5)). */
export function parseFstab(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const [source = '#', point = '', , flags = ''] = line.trim().split(/\s+/)
    const isByHand = flags.split(',').includes('noauto')
    if (source.startsWith('#') || !point.startsWith('/') || isByHand) return []
    const unescaped = unescapeOctal(point)
    return [unescaped === '/' ? unescaped : unescaped.replace(/\/+$/, '')]
  })
}

/** Space, tab, newline and backslash stand there as \040, \011, \012 and \134. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

/** The mount that `path` is in; `path` must be absolute and free of links. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const covering = mounts.filter(({ point }) => isWithin(path, point))
  // Of two at one place the later one hides the other.
  return covering.reduce<Mount | undefined>(
    (best, mount) => (best === undefined || mount.point.length >= best.point.length ? mount : best),
    undefined,
  )
}

function isWithin(path: string, point: string): boolean {
  return path === point || point === '/' || path.startsWith(`${point}/`)
}

/** Docker and Podman leave these files in every container. */
export function isContainer(): boolean {
  return existsSync('/.dockerenv') || existsSync('/run/.containerenv')
}

/** `docker volume create` without a name gives it one of 64 digits. */
const namelessVolume = /\/volumes\/[\da-f]{64}\/_data$/

/**
 * Why a file at `path` would not outlive the container, as a sentence with the way out; undefined
 * when it does, or when nobody can know. `path` must be absolute and free of links.
 */
export function ephemeralStorageWarning(
  path: string,
  mounts: readonly Mount[],
  container: boolean,
): Problem | undefined {
  const mount = mountOf(path, mounts)
  if (mount === undefined) return undefined
  const remedy = 'mount a directory of the host or a named volume there (docs/docker.md).'
  if (mount.type === 'tmpfs') {
    return { what: `The database is in memory (tmpfs at ${mount.point}) and will be lost`, remedy }
  }
  if (mount.point === '/' && (container || mount.type === 'overlay')) {
    return { what: 'The database is in no volume and is deleted with the container', remedy }
  }
  if (namelessVolume.test(mount.root)) {
    const what = 'The database is in a volume without a name, which no other container gets'
    return { what, remedy }
  }
  return undefined
}
