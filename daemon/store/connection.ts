/**
 * The store's one SQLite connection: its durability, its write transaction, and how much work one
 * transaction may hold. Must never know a table.
 */
import { hash, randomFillSync } from 'node:crypto'
import type BetterSqlite3 from 'better-sqlite3'
import { migrate, repair } from '../../sdk/schema/migrate.ts'
import { openDatabase } from '../../sdk/schema/open-database.ts'
import { assert } from '../protocol/assert.ts'
import type { StoreResult, StoreWork } from '../protocol/store-messages.ts'
import { isOwners, sqliteCode } from './error-classification.ts'
import type { Sha256 } from './hash-chain.ts'
import { StoreMetrics } from './metrics.ts'

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
  readonly tally = new StoreMetrics()
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
  /** Tables whose owner's objects end the transaction, as long as the schema is this one. */
  readonly #unwritable = new Map<string, { readonly version: number; readonly reason: string }>()

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

  get file(): string {
    return this.#db.name
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

  /** Work of this transaction is on trial: what nothing depends on must not be blamed on it. */
  get isOnTrial(): boolean {
    return this.isCareful && this.#blamed.length > 0
  }

  /** If the COMMIT of this transaction fails so, and little else is in it, `reported` hears why. */
  blame(reported: (reason: string) => void): void {
    this.#blamed.push(reported)
  }

  /** The transaction is as large as it may be: what is left to do waits for the next. */
  get isSpent(): boolean {
    if (!this.#db.inTransaction) return false
    if (this.isOnTrial) return true
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
    if (this.isCareful) for (const reported of this.#blamed) reported(error.message)
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

  /**
   * Writes into `table`, inside the open transaction, what nothing depends on. Where an object of
   * the owner's keeps it from that, the turn goes on without; where it ends the transaction, only
   * a turn that has failed teaches it, and those after it leave the table alone until the schema
   * changes.
   * @returns why it was not written.
   * @throws what ends the turn.
   */
  writeOptional(table: string, work: () => void): string | undefined {
    const known = this.#unwritable.get(table)
    if (known !== undefined && known.version === this.#schemaVersion.get()) return known.reason
    const sentence = (reason: string): string => `${table} cannot be written: ${reason}`
    const avoid = (reason: string): void => {
      const version = this.#schemaVersion.get() ?? 0
      this.#unwritable.set(table, { version, reason: sentence(reason) })
    }
    try {
      this.nested(work)
    } catch (error) {
      if (!isOwners(error)) throw error
      if (this.isWriting) return sentence(error.message)
      avoid(error.message)
      throw error
    }
    const avoidIfAlone = (reason: string): void => {
      if (this.#blamed.length === 1) avoid(reason)
    }
    if (!this.isOnTrial) this.blame(avoidIfAlone)
    return undefined
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
  const requeued = Object.fromEntries(
    (['run', 'get', 'all'] as const).map((name) => [
      name,
      (...values: unknown[]): unknown => (compiled ??= compile())[name](...values),
    ]),
  )
  return requeued as never
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

// How long the database must be left to other writers. A foreign program that finds it locked looks
// again after sleeps that grow to 100 ms, some fifty times within its `.timeout 5000`, and each
// look hits or misses by chance. So what counts is the part of the time that the lock is held, not
// how long one transaction is. Must never wait itself: the caller does.

/**
 * Nobody else is about. Fifty looks all miss once in two million times (0.75 ^ 50); more would be
 * seen by somebody, less would slow the drain down for nobody.
 */
const shareAlone = 0.75
/** Others write: fifty looks never miss in practice, and few do at all. */
const shareInCompany = 0.5
/** A writer that writes now and then is company all the time. */
const companyMs = 2_000
/**
 * A pause of this length no waiting writer misses, so a longer one helps nobody: not when a disk
 * has taken seconds, nor when the process was stopped in the middle of a transaction.
 */
const pauseUsMax = 200_000

export class WriteThrottle {
  #companyUntilMs = -Infinity
  #pauseUs = 0

  /** How long to leave the lock alone after the last transaction, in microseconds. */
  get pauseUs(): number {
    return this.#pauseUs
  }

  /** Another connection has committed something. */
  onForeignCommit(nowMs: number): void {
    this.#companyUntilMs = nowMs + companyMs
  }

  /** A transaction of ours is over. */
  onCommit(heldUs: number, nowMs: number): void {
    const share = nowMs < this.#companyUntilMs ? shareInCompany : shareAlone
    this.#pauseUs = Math.min(Math.ceil(heldUs * (1 / share - 1)), pauseUsMax)
  }

  /** Nothing was written. */
  onIdle(): void {
    this.#pauseUs = 0
  }

  /** The database cannot be written to at this moment: try again after `pauseUs`. */
  onTrouble(pauseUs: number): void {
    this.#pauseUs = pauseUs
  }
}

// One call of the store, as its parts see it. Must never hold state: a turn ends with the call.

/** An answer, or what makes it: that is called when the transaction is on disk. */
export type Answer = StoreResult | (() => StoreResult)

/** One kind of what the core asks for. */
export type Work<Type extends StoreWork['type']> = Extract<StoreWork, { type: Type }>

/** The time of the call, and where its answers go. */
export type Turn = { readonly nowMs: number; readonly emit: (answer: Answer) => void }

export function resultOf(answer: Answer): StoreResult {
  return typeof answer === 'function' ? answer() : answer
}

// What the store takes from the world besides the file: chance, hashing and a clock for pauses. A
// simulator owns all three. Wall-clock time comes with each call.

export type StoreEnvironment = {
  readonly randomBytes: (length: number) => Uint8Array
  readonly sha256: Sha256
  /** Monotonic, in microseconds; it decides about pauses only, never about what is written. */
  readonly nowUs: () => number
}

/** Of the machine that this runs on. */
export const realEnvironment: StoreEnvironment = {
  randomBytes: (length) => randomFillSync(new Uint8Array(length)),
  sha256: (...parts) =>
    hash('sha256', parts.length === 1 ? first(parts) : Buffer.concat(parts), 'buffer'),
  nowUs: () => performance.now() * 1_000,
}

const first = (parts: readonly Uint8Array[]): Uint8Array => parts[0] ?? new Uint8Array(0)
