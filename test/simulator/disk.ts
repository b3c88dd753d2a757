/**
 * The disk of one machine: a real SQLite database with the daemon's store, the connection of its
 * applications, and one that only the checkers read by. A process can die, the power can fail, the
 * file can be saved, restored, removed and filled. Must never lose what SQLite has synced, nor keep
 * for sure what it has not.
 */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import BetterSqlite3 from 'better-sqlite3'
import { assert } from '../../daemon/protocol/assert.ts'
import type { StoreResult } from '../../daemon/protocol/store-messages.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { StoreEnvironment } from '../../daemon/store/connection.ts'
import type { KeyPolicyChoice } from '../../daemon/store/key-policy.ts'
import { openStore, type Store, type StoreTask } from '../../daemon/store/store.ts'
import { StatementFaults, type FaultAt } from './store/statement-faults.ts'
import { cutPower, type Tail } from './power-cut.ts'
import { SyncLedger, type Sync, type SyncLevel } from './sync-ledger.ts'
import { WalIndex } from './wal-index.ts'

type DiskOptions = {
  /** Of this disk alone; it is made. */
  readonly directory: string
  /** A database with all tables: to make them takes longer than most runs. */
  readonly template: string
  readonly random: SeededRandom
  readonly environment: StoreEnvironment
  /** How applications write. */
  readonly clientSync: 'normal' | 'full'
  /** Pages of the log after which it is copied into the database. */
  readonly checkpointPages: number
  readonly keyPolicy: KeyPolicyChoice
}

const levels: readonly SyncLevel[] = ['off', 'normal', 'full', 'full']

/** What is open on one version of the file. */
type Open = {
  readonly path: string
  readonly user: BetterSqlite3.Database
  readonly reader: BetterSqlite3.Database
  /** Of the reader, by their text. */
  readonly statements: Map<string, BetterSqlite3.Statement>
  readonly index: WalIndex
  readonly syncs: SyncLedger
}

export class Disk {
  readonly #options: DiskOptions
  #open: Open
  #store: { readonly store: Store; readonly db: BetterSqlite3.Database } | undefined
  #versions = 0
  #backups = 0
  #isFull = false
  /** The weakest that `synchronous` of the store was since its last run. */
  #weakest: SyncLevel = 'full'
  readonly #guests = new Set<BetterSqlite3.Database>()
  readonly #statementFaults = new StatementFaults()
  /** Which statements of the store's turns fail; undefined: none. */
  turnFaults: FaultAt | undefined

  constructor(options: DiskOptions) {
    this.#options = options
    mkdirSync(options.directory)
    this.#open = this.#openFile((path) => this.#makeEmpty(path))
  }

  get path(): string {
    return this.#open.path
  }

  /** What other programs than the daemon use. Tell `onClientWrote` afterwards. */
  get user(): BetterSqlite3.Database {
    return this.#open.user
  }

  get syncs(): SyncLedger {
    return this.#open.syncs
  }

  get store(): Store {
    assert(this.#store !== undefined, 'The store is open.')
    return this.#store.store
  }

  /** Another program is in the middle of a transaction that writes. */
  get isLocked(): boolean {
    try {
      this.user.exec('BEGIN IMMEDIATE; ROLLBACK')
      return false
    } catch {
      return true
    }
  }

  get isFull(): boolean {
    return this.#isFull
  }

  /** Another program opens the file; it ends with the machine's power at the latest. */
  openGuest(): BetterSqlite3.Database {
    const guest = new BetterSqlite3(this.path, { timeout: 0 })
    guest.pragma(`synchronous = ${this.#options.clientSync}`)
    this.#guests.add(guest)
    return guest
  }

  closeGuest(guest: BetterSqlite3.Database): void {
    if (!this.#guests.delete(guest)) return
    guest.close()
  }

  /** For checkers: one row for each, by the names of the columns. */
  read<Row>(sql: string, ...values: unknown[]): Row[] {
    const { reader, statements } = this.#open
    let statement = statements.get(sql)
    if (statement === undefined) statements.set(sql, (statement = reader.prepare(sql)))
    return statement.all(...values) as Row[]
  }

  /** The daemon starts. */
  openStore(): void {
    assert(this.#store === undefined, 'The store is closed.')
    let db: BetterSqlite3.Database | undefined
    const store = openStore(this.path, {
      environment: this.#options.environment,
      // Nobody who holds the lock would ever let it go while this thread waits for it.
      busyTimeoutMs: 0,
      keyPolicy: this.#options.keyPolicy,
      onConnected: (connected) => {
        db = connected
        this.#statementFaults.watch(connected)
        this.#watchLevel(connected)
        db.pragma(`wal_autocheckpoint = ${this.#options.checkpointPages}`)
      },
    })
    assert(db !== undefined, 'The store has reported its connection.')
    this.#store = { store, db }
    if (this.#isFull) this.#limit(db)
    this.onClientWrote()
  }

  /** The daemon's process is gone; what it had committed is with the system, and stays. */
  closeStore(): void {
    this.#store?.store.close()
    this.#store = undefined
  }

  /** One turn of the store: only here do statements fail by `turnFaults`. */
  runStore(tasks: readonly StoreTask[], nowMs: number): StoreResult[] {
    const faults = this.#statementFaults
    faults.onTurn()
    faults.at = this.turnFaults
    try {
      return this.store.run(tasks, nowMs)
    } finally {
      faults.at = undefined
    }
  }

  /**
   * The store has run: what it has synced, which is durable only once `onSynced` has said so.
   */
  onStoreRan(): Sync {
    assert(this.#store !== undefined, 'The store is open.')
    const mark = this.#open.index.mark()
    const level = this.syncs.isNews(mark) ? this.#weakest : 'off'
    this.#weakest = levelOf(this.#store.db)
    const { salt } = this.syncs.written
    const sync = this.syncs.onOperation(mark, level)
    if (mark.salt !== salt) this.#keepFile()
    return sync
  }

  onSynced(sync: Sync): void {
    this.syncs.onSynced(sync)
    this.#keepFile()
  }

  /** An application has written, and got its answer at once. */
  onClientWrote(): void {
    this.onSynced(this.syncs.onOperation(this.#open.index.mark(), this.#options.clientSync))
  }

  /** Every process is gone, and what was not synced may be. @returns what became of that. */
  cutPower(): Tail {
    const { path, syncs } = this.#open
    const { random } = this.#options
    let tail: Tail = 'lost'
    this.#replace((target) => {
      tail = cutPower({ current: path, durable: `${path}.durable`, target }, syncs, random)
    })
    return tail
  }

  /** A copy as `VACUUM INTO` makes it, without the rows for these hosts. @returns its path. */
  backup(without: readonly string[] = []): string {
    const path = join(this.#options.directory, `backup-${++this.#backups}`)
    this.user.prepare('VACUUM INTO ?').run(path)
    if (without.length === 0) return path
    const db = new BetterSqlite3(path)
    const erase = db.prepare('DELETE FROM mqout WHERE host = ?')
    for (const host of without) erase.run(host)
    db.close()
    return path
  }

  /** An older or another database takes the place of the file, while no daemon runs. */
  restore(backup: string): void {
    this.#replace((path) => copyFileSync(backup, path))
  }

  /** The file is removed, and made again by whoever comes first. */
  remove(): void {
    this.#replace((path) => this.#makeEmpty(path))
  }

  /** From now on no page can be added to the file, or all that are wanted. */
  setFull(isFull: boolean): void {
    this.#isFull = isFull
    for (const db of [this.user, this.#store?.db]) if (db !== undefined) this.#limit(db)
  }

  /** @throws when SQLite finds the file damaged. */
  check(): void {
    const found = this.#open.reader.pragma('quick_check', { simple: true })
    assert(found === 'ok', `The database of ${this.path} is damaged: ${String(found)}`)
  }

  close(): void {
    this.closeStore()
    this.#closeFile()
  }

  /** Whoever lowers `synchronous` for one commit only is found out too. */
  #watchLevel(db: BetterSqlite3.Database): void {
    const pragma = db.pragma.bind(db)
    this.#weakest = levelOf(db)
    db.pragma = (source, options) => {
      const result: unknown = pragma(source, options)
      const level = /^synchronous *=/i.test(source) ? levelOf(db, pragma) : 'full'
      if (levels.indexOf(level) < levels.indexOf(this.#weakest)) this.#weakest = level
      return result
    }
  }

  /** A copy of the file as it is on the durable medium. */
  #keepFile(): void {
    if (this.syncs.takeFile()) copyFileSync(this.path, `${this.path}.durable`)
  }

  #limit(db: BetterSqlite3.Database): void {
    const most = this.#isFull ? Number(db.pragma('page_count', { simple: true })) : 2 ** 31 - 2
    db.pragma(`max_page_count = ${most}`)
  }

  #replace(make: (path: string) => void): void {
    assert(this.#store === undefined, 'No daemon runs on a file that is replaced.')
    const before = this.path
    const next = this.#nextPath()
    make(next)
    this.#closeFile()
    for (const end of ['', '-wal', '-shm', '.durable']) rmSync(`${before}${end}`, { force: true })
    this.#open = this.#openFile(() => {}, next)
    this.check()
  }

  #nextPath(): string {
    return join(this.#options.directory, `version-${++this.#versions}`)
  }

  #makeEmpty(path: string): void {
    copyFileSync(this.#options.template, path)
    const db = new BetterSqlite3(path)
    db.pragma('synchronous = OFF')
    const databaseId = Buffer.from(this.#options.environment.randomBytes(16))
    db.prepare("UPDATE mqmeta SET value = ? WHERE key = 'database_id'").run(databaseId)
    db.close()
  }

  #openFile(make: (path: string) => void, path = this.#nextPath()): Open {
    make(path)
    const { clientSync, checkpointPages } = this.#options
    const user = new BetterSqlite3(path, { timeout: 0 })
    // `VACUUM INTO` makes a file without.
    user.pragma('journal_mode = WAL')
    user.pragma(`synchronous = ${clientSync}`)
    user.pragma(`wal_autocheckpoint = ${checkpointPages}`)
    // What a recovery brought back is in the file from the start: what is there now is durable.
    user.pragma('wal_checkpoint(TRUNCATE)')
    const reader = new BetterSqlite3(path, { timeout: 0 })
    reader.pragma('query_only = ON')
    reader.prepare('SELECT 1 FROM mqmeta').get()
    copyFileSync(path, `${path}.durable`)
    const index = new WalIndex(path)
    const syncs = new SyncLedger(index.mark())
    return { path, user, reader, statements: new Map(), index, syncs }
  }

  #closeFile(): void {
    const { user, reader, index } = this.#open
    for (const guest of this.#guests) this.closeGuest(guest)
    reader.close()
    user.close()
    index.close()
  }
}

/** As the connection itself says, each time: nothing is taken for granted. */
function levelOf(db: BetterSqlite3.Database, pragma = db.pragma.bind(db)): SyncLevel {
  const level = levels[Number(pragma('synchronous', { simple: true }))]
  assert(level !== undefined, 'SQLite knows four levels.')
  return level
}
