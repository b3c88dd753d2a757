/** The stock `sqlite3` command line for tests, or its stand-in where that is not installed. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const isInstalled = spawnSync('sqlite3', ['-version']).error === undefined

const standIn = join(import.meta.dirname, 'sqlite-stand-in.ts')

/** The words to run it by. */
export const sqliteProgram: readonly string[] = isInstalled
  ? ['sqlite3']
  : [process.execPath, standIn]

/** What takes its place, and answers one call after the other; undefined where it is installed. */
export const sqliteStandIn: string | undefined = isInstalled ? undefined : standIn

/** The `skip` of a test of what only the stock program has: its own commands. */
export const withoutSqlite: string | false =
  !isInstalled && 'needs sqlite3: apt-get install --no-install-recommends sqlite3'
