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

/** node:sqlite before Node 22.15 and bun:sqlite do not tell. */
function canExecute(db: SqliteHandle): boolean {
  try {
    db.exec('SELECT 1')
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

// Begins write transactions without holding up the application's thread: SQLite waits for a
// lock by blocking, so that what can try again later waits for it only briefly. Must leave the
// busy timeout of the connection as it was.

/** The daemon and other consumers need the lock for milliseconds. */
const lockWaitMs = 20

export class BriefLock {
  readonly #db: SqliteHandle
  /** Of a connection of ours; that of an application may change at any time. */
  readonly #knownMs: number | undefined

  constructor(db: SqliteHandle, knownMs?: number) {
    this.#db = db
    this.#knownMs = knownMs
  }

  /** `BEGIN IMMEDIATE`. Throws that the database is busy where another connection would wait on. */
  readonly begin = (): void => {
    const waitMs = this.#knownMs ?? this.#busyTimeoutMs()
    if (waitMs <= lockWaitMs) {
      this.#db.exec('BEGIN IMMEDIATE')
      return
    }
    // The PRAGMA acts when it is compiled: a prepared one would do nothing.
    const restore = `PRAGMA busy_timeout = ${waitMs}`
    try {
      this.#db.exec(`PRAGMA busy_timeout = ${lockWaitMs}; BEGIN IMMEDIATE; ${restore}`)
    } catch (error) {
      this.#db.exec(restore)
      throw error
    }
  }

  /** Compiled each time: the value is that of the moment when it is. */
  #busyTimeoutMs(): number {
    return (prepare(this.#db, 'PRAGMA busy_timeout').get() as { timeout: number }).timeout
  }
}

// How many rows a table with an integer key has. A few are counted; of many a sample is,
// because to count them all is to read through the table. Must never take longer for more rows.

/** `isExact` false: an estimate, to three digits. */
export type RowCount = { readonly value: number; readonly isExact: boolean }

type Table = 'mqout' | 'mqin' | 'mqdead' | 'mqparked'

/** So many take half a millisecond. */
const countedMax = 10_000
/** Ids in one look, and looks, spread evenly over all ids. */
const windowIds = 64
const windows = 64

/** The number of rows in `table`, as one read sees them. */
export function countRows(db: SqliteHandle, table: Table): RowCount {
  const few = prepare(
    db,
    `SELECT count(*) AS count FROM (SELECT 1 FROM ${table} LIMIT ${countedMax + 1})`,
  )
  const { count } = few.get() as { count: number }
  if (count <= countedMax) return { value: count, isExact: true }
  return { value: Math.max(countedMax, rounded(estimate(db, table))), isExact: false }
}

/** Rows leave mostly from one end, so that what is left lies close together. */
function estimate(db: SqliteHandle, table: Table): number {
  const ends = prepare(
    db,
    `SELECT (SELECT min(id) FROM ${table}) AS first, (SELECT max(id) FROM ${table}) AS last`,
  )
  const { first, last } = ends.get() as { first: number; last: number }
  const window = prepare(db, `SELECT count(*) AS count FROM ${table} WHERE id >= ? AND id < ?`)
  const span = last - first + 1
  let [found, looked] = [0, 0]
  for (let at = 0; at < windows; at++) {
    const from = first + Math.floor(((span - windowIds) * at) / (windows - 1))
    found += (window.get(from, from + windowIds) as { count: number }).count
    looked += windowIds
  }
  return (span * found) / looked
}

const rounded = (value: number): number => Number(value.toPrecision(3))
