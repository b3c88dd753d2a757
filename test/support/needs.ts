/**
 * What some tests need besides Node and npm, found before a test starts. A test that lacks it is
 * skipped, with one line that says how to get it. `TINYMQ_TEST_WHOLE=1` (CI) makes it a failure.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The program, and the package of Debian that has it. */
const programs = {
  cc: 'gcc libc6-dev',
  chromium: 'chromium',
  curl: 'curl',
  git: 'git',
  ip: 'iproute2',
  php: 'php-cli php-sqlite3',
  python3: 'python3',
  sqlite3: 'sqlite3',
} as const

export type Need = keyof typeof programs | 'root'

/**
 * The `skip` of a test that needs all of these: false when they are here, else the sentence.
 * @throws Error with that sentence when nothing may be skipped.
 */
export function needs(...wanted: readonly Need[]): string | false {
  const missing = wanted.flatMap((need) => whyMissing(need) ?? [])
  if (missing.length === 0) return false
  const sentence = missing.join('; ')
  if (process.env['TINYMQ_TEST_WHOLE'] === '1') {
    throw new Error(
      `TINYMQ_TEST_WHOLE=1 allows no skipped test, and this machine lacks: ${sentence}`,
    )
  }
  return sentence
}

/** Where a program is that `needs` has found. @throws Error when it is not on the path. */
export function pathOf(program: string): string {
  const path = find(program)
  if (path === undefined) throw new Error(`${program} is not on the path.`)
  return path
}

function find(program: string): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter)
  return directories.map((directory) => join(directory, program)).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** A chroot is no mount point, and a container may forbid it. */
function mayMount(): boolean {
  const words = ['--mount', '--net', '--propagation', 'private', 'true']
  return spawnSync('unshare', words).status === 0
}

function whyMissing(need: Need): string | undefined {
  if (need === 'root') {
    const isRoot = process.platform === 'linux' && process.getuid?.() === 0
    if (!isRoot || find('unshare') === undefined) return 'needs root on Linux: run it as root'
    return mayMount() ? undefined : 'needs a machine where root may mount: this is a chroot, say'
  }
  if (find(need) !== undefined) {
    if (need !== 'git' || existsSync(join(import.meta.dirname, '..', '..', '.git')))
      return undefined
    return 'needs a clone by git: this is a copy of the files'
  }
  return `needs ${need}: apt-get install --no-install-recommends ${programs[need]}`
}
