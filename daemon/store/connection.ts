/**
 * The store's one SQLite connection: its durability, its write transaction, and how much work one
 * transaction may hold. Must never know a table.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { openDatabase } from '../../sdk/database.ts'
import { migrate, repair } from '../../sdk/schema-migrate.ts'
import { assert } from '../protocol/assert.ts'
import { Tally } from './tally.ts'

/**
 * What one transaction may hold. More would keep foreign writers waiting (these figures are about
 * 5 ms); less would spend the time on fsync.
 */
const rowsPerTransaction = 2_000
const bytesPerTransaction = 1_048_576
/** So many must succeed after one that an object of the owner's has kept from it. */
const carefulCommits = 256

/** Nobody has touched anything: the same work can be given again. */
export class DatabaseBusy extends Error {
  override readonly name = 'DatabaseBusy'
}

export type ConnectionOptions = {
  /**
   * False: a power cut may take commits back. For simulators only, which do not wait for a disk.
   */
  readonly isDurable?: boolean
  /** How long a call may wait for other programs. */
  readonly busyTimeoutMs?: number
  /** Gets the connection when it is set up: a simulator fills the disk and cuts the power. */
  readonly onConnected?: (db: BetterSqlite3.Database) => void
}

export class Connection {
  readonly tally = new Tally()
  readonly #db: BetterSqlite3.Database
  readonly #nowUs: () => number
  readonly #begin: BetterSqlite3.Statement<[]>
  readonly #commit: BetterSqlite3.Statement<[]>
  readonly #savepoint: BetterSqlite3.Statement<[]>
  readonly #release: BetterSqlite3.Statement<[]>
  readonly #dataVersion: BetterSqlite3.Statement<[], number>
  readonly #schemaVersion: BetterSqlite3.Statement<[], number>
  #repairedVersion: number
  readonly #checkpoint: BetterSqlite3.Statement<[]>
  /** By mode and text: what is compiled once stays, so that parts can be made again for nothing. */
  readonly #statements = new Map<string, BetterSqlite3.Statement>()
  /** Begun, and neither committed nor rolled back by us. */
  #hasBegun = false
  #beginUs = 0
  #rowsSpent = 0
  #bytesSpent = 0
  #carefulCommits = 0
  #blamed: ((reason: string) => void)[] = []

  /**
   * Opens or makes the file at `path`, with all tables.
   * @param nowUs a monotonic clock; it decides about pauses only, never about what is written.
   * @throws TinymqError
   */
  constructor(path: string, nowUs: () => number, options: ConnectionOptions = {}) {
    this.#nowUs = nowUs
    this.#db = openDatabase(path)
    const { isDurable = true, busyTimeoutMs = 5_000, onConnected } = options
    try {
      for (const pragma of pragmas) this.#db.pragma(pragma)
      this.#db.pragma(`synchronous = ${isDurable ? 'FULL' : 'OFF'}`)
      this.#db.pragma(`busy_timeout = ${busyTimeoutMs}`)
      migrate(this.#db)
      onConnected?.(this.#db)
    } catch (error) {
      this.#db.close()
      throw error
    }
    this.#begin = this.#db.prepare('BEGIN IMMEDIATE')
    this.#commit = this.#db.prepare('COMMIT')
    this.#savepoint = this.#db.prepare('SAVEPOINT nested')
    this.#release = this.#db.prepare('RELEASE nested')
    this.#dataVersion = this.#db.prepare<[], number>('PRAGMA data_version').pluck()
    this.#schemaVersion = this.#db.prepare<[], number>('PRAGMA schema_version').pluck()
    this.#repairedVersion = this.#schemaVersion.get() ?? 0
    this.#checkpoint = this.#db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  }

  /** Rows come as arrays, in the order of the columns. */
  prepare<Values extends unknown[], Row extends unknown[]>(
    sql: string,
  ): BetterSqlite3.Statement<Values, Row> {
    return this.#compiled('rows', sql, (statement) => statement.raw()) as never
  }

  /** For statements that give one column. */
  prepareValue<Values extends unknown[], Value>(
    sql: string,
  ): BetterSqlite3.Statement<Values, Value> {
    return this.#compiled('value', sql, (statement) => statement.pluck()) as never
  }

  /** For statements that give no rows. */
  prepareChange<Values extends unknown[]>(sql: string): BetterSqlite3.Statement<Values> {
    return this.#compiled('change', sql, (statement) => statement) as never
  }

  /** A transaction is open: it may have ended by itself after an error. */
  get isWriting(): boolean {
    return this.#db.inTransaction
  }

  /** `commit` must follow, or `rollback`. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Changes whenever another connection has committed, never with our own commits. */
  dataVersion(): number {
    return this.#dataVersion.get() ?? 0
  }

  /**
   * Makes triggers, indexes and views of ours again that another program has dropped since the last
   * call. Cheap when nobody has touched the schema.
   * @throws DatabaseBusy
   */
  repairSchema(): void {
    const version = this.#schemaVersion.get() ?? 0
    if (version === this.#repairedVersion) return
    this.#orBusy(() => repair(this.#db))
    this.#repairedVersion = this.#schemaVersion.get() ?? 0
  }

  /**
   * Begins the write transaction, unless it has begun. It must be called before the first change,
   * in memory as in the database, so that a busy database leaves nothing half done.
   * @throws DatabaseBusy
   */
  begin(): void {
    if (this.#hasBegun) return this.#expectTransaction()
    this.#orBusy(() => this.#begin.run())
    this.#hasBegun = true
    this.tally.onBegin()
    this.#beginUs = this.#nowUs()
    this.#rowsSpent = 0
    this.#bytesSpent = 0
    this.#blamed = []
  }

  #orBusy(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (sqliteCode(error)?.startsWith('SQLITE_BUSY') !== true) throw error
      throw new DatabaseBusy('Another program has held the write lock for too long.', {
        cause: error,
      })
    }
  }

  /** Counts work against what a transaction may hold. */
  spend(rows: number, bytes: number): void {
    this.#rowsSpent += rows
    this.#bytesSpent += bytes
  }

  /** Rows that still fit into the transaction. */
  get rowsLeft(): number {
    return this.#db.inTransaction ? rowsPerTransaction - this.#rowsSpent : rowsPerTransaction
  }

  /**
   * A COMMIT has failed because of an object of the owner's (a foreign key that is checked there):
   * each piece of work has a transaction of its own until it is known which piece it is.
   */
  get isCareful(): boolean {
    return this.#carefulCommits > 0
  }

  /** If the COMMIT of this transaction fails so, and little else is in it, `told` hears why. */
  blame(told: (reason: string) => void): void {
    this.#blamed.push(told)
  }

  /** The transaction is as large as it may be: what is left to do waits for the next. */
  get isSpent(): boolean {
    if (!this.#db.inTransaction) return false
    if (this.isCareful && this.#blamed.length > 0) return true
    return this.#rowsSpent >= rowsPerTransaction || this.#bytesSpent >= bytesPerTransaction
  }

  /** On return everything is on disk. @returns how long the lock was held, in microseconds. */
  commit(): number {
    this.#expectTransaction()
    const startUs = this.#nowUs()
    try {
      this.#commit.run()
    } catch (error) {
      this.#onCommitFailed(error)
      throw error
    }
    this.#hasBegun = false
    this.#carefulCommits = Math.max(0, this.#carefulCommits - 1)
    const endUs = this.#nowUs()
    this.tally.onCommit(endUs - startUs)
    return endUs - this.#beginUs
  }

  #onCommitFailed(error: unknown): void {
    if (!(error instanceof Error) || sqliteCode(error)?.startsWith('SQLITE_CONSTRAINT') !== true) {
      return
    }
    if (this.isCareful) for (const told of this.#blamed) told(error.message)
    this.#carefulCommits = carefulCommits
  }

  /** Moves what the log holds into the file, as far as nobody is in the way. */
  checkpoint(): void {
    this.#checkpoint.get()
  }

  rollback(): void {
    this.#hasBegun = false
    // When the disk is full, or a trigger said so, SQLite has rolled back already.
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK')
  }

  /**
   * Runs `work` so that what it wrote is undone when it throws; the transaction goes on, unless a
   * trigger has rolled all of it back.
   */
  nested<T>(work: () => T): T {
    this.#savepoint.run()
    try {
      const result = work()
      this.#release.run()
      return result
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK TO nested; RELEASE nested')
      throw error
    }
  }

  /** What was written after the transaction has ended by itself would be half of a turn. */
  #expectTransaction(): void {
    assert(this.#db.inTransaction, 'An error that ends the transaction ends the turn.')
  }

  /** Whether SQLite compiles a statement at this moment, with all triggers that it fires. */
  compiles(sql: string): boolean {
    try {
      this.#db.prepare(sql)
      return true
    } catch {
      return false
    }
  }

  #compiled(
    mode: string,
    sql: string,
    configure: (statement: BetterSqlite3.Statement) => BetterSqlite3.Statement,
  ): BetterSqlite3.Statement {
    const name = `${mode} ${sql}`
    const known = this.#statements.get(name)
    if (known !== undefined) return known
    try {
      const statement = configure(this.#db.prepare(sql))
      this.#statements.set(name, statement)
      return statement
    } catch (error) {
      if (!isSchemaError(error)) throw error
      // A trigger of the owner's does not compile, say: only the work that needs it fails.
      return lateStatement(() => configure(this.#db.prepare(sql)))
    }
  }

  close(): void {
    this.rollback()
    this.#db.close()
  }
}

/** Compiled at each use, until it can be. */
function lateStatement(compile: () => BetterSqlite3.Statement): BetterSqlite3.Statement {
  let compiled: BetterSqlite3.Statement | undefined
  const late = Object.fromEntries(
    (['run', 'get', 'all'] as const).map((name) => [
      name,
      (...values: unknown[]): unknown => (compiled ??= compile())[name](...values),
    ]),
  )
  return late as never
}

const pragmas: readonly string[] = [
  'wal_autocheckpoint = 1000',
  'journal_size_limit = 67108864',
  'trusted_schema = OFF',
  // 4 MiB of the 16 that better-sqlite3 is built with: a queue is used at its two ends.
  'cache_size = -4096',
  // macOS only: there fsync does not reach the disk. Elsewhere these do nothing.
  'fullfsync = ON',
  'checkpoint_fullfsync = ON',
]

/** What a statement says that does not compile. */
const isSchemaError = (error: unknown): boolean => sqliteCode(error) === 'SQLITE_ERROR'

/** The name of SQLite's extended result code, if the error is one of SQLite's. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' && error.code.startsWith('SQLITE_') ? error.code : undefined
}
