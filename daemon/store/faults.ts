/**
 * What can go wrong with the database, sorted by what is to be done about it. Must never tell
 * errors apart by their text.
 */
import { fromSqlite, TinymqError } from '../../sdk/errors.ts'
import { sqliteCode } from './connection.ts'

/**
 * The database no longer says what it said when it was read: it was restored or edited under the
 * running daemon. Everything is read again.
 */
export class DatabaseChanged extends Error {
  override readonly name = 'DatabaseChanged'

  constructor(table: string) {
    super(`${table} was changed by another program while it was in use`)
  }
}

/**
 * `wait`: the same may succeed later. `fatal`: the process must end and begin anew, for what the
 * database says now may not be what is on the disk. `bug`: not an error of the database at all.
 */
export type Fault =
  | { readonly type: 'wait'; readonly reason: string }
  | { readonly type: 'fatal'; readonly error: TinymqError }
  | { readonly type: 'bug' }

/** After these the state of the file is not known. A sync that has failed is never tried again. */
const fatal: readonly string[] = [
  'IOERR',
  'CORRUPT',
  'NOTADB',
  'CANTOPEN',
  'READONLY',
  'PROTOCOL',
  'FORMAT',
  'MISUSE',
  'NOLFS',
]

export function faultOf(error: unknown): Fault {
  if (error instanceof DatabaseChanged) return { type: 'wait', reason: error.message }
  const code = sqliteCode(error)
  if (code === undefined) return { type: 'bug' }
  const translated = fromSqlite(error)
  if (!(translated instanceof TinymqError)) return { type: 'bug' }
  if (fatal.includes(primary(code))) return { type: 'fatal', error: translated }
  return { type: 'wait', reason: translated.message }
}

/** The inbox refuses the row, and would refuse it again: a constraint or a trigger says so. */
export function isRefusal(error: unknown): boolean {
  const code = sqliteCode(error)
  return code !== undefined && ['CONSTRAINT', 'TOOBIG', 'MISMATCH'].includes(primary(code))
}

/** The inbox takes nothing: a trigger or an index on it does not work. */
export function isBroken(error: unknown): boolean {
  const code = sqliteCode(error)
  return code !== undefined && ['ERROR', 'AUTH', 'LOCKED'].includes(primary(code))
}

function primary(code: string): string {
  return code.split('_')[1] ?? ''
}
