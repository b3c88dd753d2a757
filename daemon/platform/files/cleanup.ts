/**
 * What the system's clean-up does to a database: it removes files that nobody has touched for some
 * time, and an idle queue is such a file. Must never guess: only rules that are there count.
 */
import { existsSync, readdirSync, readFileSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { ifThere } from '../../../sdk/schema/database-files.ts'
import type { Problem } from '../text.ts'

/** A line of tmpfiles.d(5) that says how old the contents of a directory may grow. */
type CleanRule = { readonly directory: string; readonly age: string }

/** Of files with the same name only the first counts. */
const rulesDirectories = ['/etc/tmpfiles.d', '/run/tmpfiles.d', '/usr/lib/tmpfiles.d']
/** Programs that clean /tmp, and some of them /var/tmp, on systems without such rules. */
const cleaners = ['/etc/cron.daily/tmpreaper', '/etc/cron.daily/tmpwatch']

const touchEveryMs = 3_600_000

/** A sentence with the way out, or undefined when nothing is known that would take the file. */
export function cleanupWarning(path: string, rules = readRules()): Problem | undefined {
  const covering = rules.filter(({ directory }) => path.startsWith(`${directory}/`))
  const rule = covering.toSorted((one, other) => other.directory.length - one.directory.length)[0]
  if (rule === undefined || rule.age === '-') return undefined
  return {
    what:
      `The system removes files in ${rule.directory} that nobody has touched for ${rule.age}: a ` +
      'daemon that runs touches its database every hour, but while none runs it is removed',
    remedy: 'move it to another directory, as /var/lib/tinymq.',
  }
}

/** Directories whose contents are cleaned by age; the types that do that, whatever follows them. */
export function parseRules(text: string): CleanRule[] {
  return text.split('\n').flatMap((line) => {
    const [type = '', directory = '', , , , age = '-'] = line.trim().split(/\s+/)
    if (!/^[dDevqQ][!\-=~^$+]*$/.test(type) || !/^\/[^%*?[]*$/.test(directory)) return []
    return [{ directory: directory.replace(/\/+$/, ''), age }]
  })
}

function readRules(): CleanRule[] {
  const seen = new Set<string>()
  const rules = rulesDirectories.flatMap((directory) =>
    namesIn(directory)
      .filter((name) => name.endsWith('.conf') && !seen.has(name) && seen.add(name))
      .flatMap((name) => parseRules(textOf(join(directory, name)))),
  )
  if (!cleaners.some((cleaner) => existsSync(cleaner))) return rules
  const age = 'some days'
  return [...rules, { directory: '/tmp', age }, { directory: '/var/tmp', age }]
}

function namesIn(directory: string): string[] {
  return ifThere(() => readdirSync(directory)) ?? []
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Keeps the files of the database young for as long as the daemon runs. @returns how to end it. */
export function keepYoung(path: string): () => void {
  const timer = setInterval(() => touch(path), touchEveryMs)
  timer.unref()
  touch(path)
  return () => clearInterval(timer)
}

/** By their names: to open them would drop SQLite's locks. */
export function touch(path: string): void {
  const now = new Date()
  for (const suffix of ['', '-wal', '-shm', '-daemon']) {
    try {
      utimesSync(path + suffix, now, now)
    } catch {
      // It is somebody else's, or not there.
    }
  }
}
