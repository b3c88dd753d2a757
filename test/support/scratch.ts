/** Database files for one test, and the stock `sqlite3` shell as a foreign program. */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import { openDatabase } from '../../sdk/schema/open-database.ts'
import type { SqliteHandle } from '../../sdk/schema/sqlite-handle.ts'
import { migrate } from '../../sdk/schema/migrate.ts'
import { sqliteProgram } from './sqlite-program.ts'

/** The path of a database yet to be made, in a directory that goes away with the test. */
export function scratchPath(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'mq.db')
}

/** A new database with the tables, closed with the test. */
export function scratchDatabase(t: TestContext): ReturnType<typeof openDatabase> {
  const db = openDatabase(scratchPath(t))
  t.after(() => db.close())
  migrate(db)
  return db
}

/** Both kinds of connection that an application may bring. */
export const drivers: readonly (readonly [string, (path: string) => SqliteHandle])[] = [
  ['better-sqlite3', openDatabase],
  ['node:sqlite', connectNodeSqlite],
]

function connectNodeSqlite(path: string): SqliteHandle {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA journal_mode = WAL')
  return db
}

/**
 * What the `sqlite3` shell answers to `sql`: both its outputs, and whether it was content.
 * `isToGoOn`: after an error it takes the next statement.
 */
export function shell(
  path: string,
  sql: string,
  isToGoOn = false,
): { readonly ok: boolean; readonly output: string } {
  const [program = '', ...words] = sqliteProgram
  const { status, stdout, stderr, error } = spawnSync(
    program,
    [...words, ...(isToGoOn ? [] : ['-bail']), path],
    {
      input: `.timeout 5000\n${sql}\n`,
      encoding: 'utf8',
      maxBuffer: 64 * 1_048_576,
    },
  )
  if (error !== undefined) throw error
  return { ok: status === 0, output: `${stdout}${stderr}`.trimEnd() }
}
