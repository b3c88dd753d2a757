/**
 * What tinymq needs of a SQLite connection: the part that better-sqlite3 and node:sqlite have in
 * common, and the few questions that they answer under different names.
 */
import { resolve } from 'node:path'

/** When a commit is on the disk: `full` once it has returned, `normal` some time later. */
export type Synchronous = 'full' | 'normal'

/** A value that both bind. */
export type SqliteValue = null | number | bigint | string | Uint8Array

/** A prepared statement of better-sqlite3 or node:sqlite. */
export interface SqliteStatement {
  run(...values: Bound): { changes: number | bigint; lastInsertRowid: number | bigint }
  get(...values: Bound): unknown
  all(...values: Bound): unknown[]
  iterate(...values: Bound): Iterable<unknown>
}

/**
 * `SqliteValue[]`, if TypeScript below 6 took better-sqlite3's statements for that: their values
 * have a type for each statement.
 */
// oxlint-disable-next-line typescript/no-explicit-any
type Bound = any[]

/** A connection of better-sqlite3 (`Database`) or node:sqlite (`DatabaseSync`). */
export interface SqliteHandle {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
  close(): unknown
  /** better-sqlite3: whether a transaction is open. */
  readonly inTransaction?: boolean
  /** node:sqlite: the same. */
  readonly isTransaction?: boolean
  /** better-sqlite3: whether the connection is open. */
  readonly open?: unknown
  /** node:sqlite: the same. */
  readonly isOpen?: boolean
  /** better-sqlite3: the path as it was given, and whether there is no file behind it. */
  readonly name?: string
  readonly memory?: boolean
  /** node:sqlite: the path, or null when there is no file. */
  location?(): string | null
}

/** Whether a transaction is open on the connection. */
export const inTransaction = (db: SqliteHandle): boolean =>
  db.inTransaction ?? db.isTransaction ?? !canBegin(db)

/** node:sqlite before Node 22.16 does not tell. A transaction that does nothing takes no lock. */
function canBegin(db: SqliteHandle): boolean {
  try {
    db.exec('BEGIN')
  } catch (error) {
    if (!isOpen(db)) throw error
    return false
  }
  db.exec('COMMIT')
  return true
}

/** Whether the connection can still be used. */
export const isOpen = (db: SqliteHandle): boolean =>
  typeof db.open === 'boolean' ? db.open : (db.isOpen ?? canExecute(db))

/** node:sqlite before Node 22.15 does not tell. */
function canExecute(db: SqliteHandle): boolean {
  try {
    db.exec('')
    return true
  } catch {
    return false
  }
}

/** The absolute path of the database file, `undefined` when it is in memory. */
export function filePath(db: SqliteHandle): string | undefined {
  if (db.location !== undefined) return db.location() ?? undefined
  return db.memory === true || db.name === undefined || db.name === ''
    ? undefined
    : resolve(db.name)
}

/**
 * Prepares a statement whose rows are objects with plain numbers, whatever the application has set
 * as the default of its connection.
 */
export function prepare(db: SqliteHandle, sql: string): SqliteStatement {
  const statement: SqliteStatement & {
    safeIntegers?(on: boolean): unknown
    setReadBigInts?(on: boolean): unknown
    setReturnArrays?(on: boolean): unknown
  } = db.prepare(sql)
  statement.safeIntegers?.(false)
  statement.setReadBigInts?.(false)
  statement.setReturnArrays?.(false)
  return statement
}

/**
 * Runs `work` so that all of it happens or nothing: in a write transaction of its own, or in a
 * savepoint of the one that is open. It begins IMMEDIATE, because a transaction that begins as a
 * reader may be rejected when it comes to write, however long the busy timeout.
 */
export function atomically<T>(
  db: SqliteHandle,
  work: () => T,
  begin = (): unknown => db.exec('BEGIN IMMEDIATE'),
): T {
  const nested = inTransaction(db)
  if (nested) db.exec('SAVEPOINT tinymq')
  else begin()
  try {
    const result = work()
    db.exec(nested ? 'RELEASE tinymq' : 'COMMIT')
    return result
  } catch (error) {
    // When the disk is full, SQLite has rolled back already.
    if (inTransaction(db)) db.exec(nested ? 'ROLLBACK TO tinymq; RELEASE tinymq' : 'ROLLBACK')
    throw error
  }
}

// A parameter of which SQLite does not look at the value when it plans. After a bare `?` in a
// LIMIT, or in a condition next to ORDER BY, it does, and so compiles the statement again each time
// a value is bound: 40 to 75 µs for a read of an outbox that takes 6 itself.

export const given = '(SELECT ?)'
