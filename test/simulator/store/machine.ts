/**
 * A database with its store, and the people and programs that use the same file. Its process can
 * die at any moment, its file can be copied, restored or removed. Must never be used outside tests.
 */
import { copyFileSync, rmSync } from 'node:fs'
import BetterSqlite3 from 'better-sqlite3'
import type { SessionId, StoreResult } from '../../../daemon/protocol/store-messages.ts'
import type { StoreEnvironment } from '../../../daemon/store/connection.ts'
import type { KeyPolicyChoice } from '../../../daemon/store/key-policy.ts'
import { openStore, type Store, type StoreTask } from '../../../daemon/store/store.ts'
import { StatementFaults } from './statement-faults.ts'

export type MachineOptions = {
  readonly path: string
  readonly environment: StoreEnvironment
}

export class Machine {
  readonly path: string
  /** What goes wrong at the statements of the store. */
  readonly faults = new StatementFaults()
  readonly #environment: StoreEnvironment
  #store: Store
  #user: BetterSqlite3.Database
  readonly #heard = new Map<SessionId, StoreResult[]>()
  /** Results that belong to no session. */
  readonly news: StoreResult[] = []
  nowMs = 1_800_000_000_000
  /** Tasks wait for `flush`, which gives them all to one turn. */
  isHolding = false
  /** Before and after each turn. */
  beforeTurn: (() => void) | undefined
  afterTurn: (() => void) | undefined
  readonly #held: StoreTask[] = []
  #keyPolicy: KeyPolicyChoice = { type: 'keyless' }

  constructor({ path, environment }: MachineOptions) {
    this.path = path
    this.#environment = environment
    this.#store = this.#open()
    this.#user = connect(path)
  }

  get databaseId(): Uint8Array {
    return this.#store.databaseId
  }

  /** What other programs do to the file. */
  get user(): BetterSqlite3.Database {
    return this.#user
  }

  get store(): Store {
    return this.#store
  }

  /** Works through everything; what is reported to a session waits for `take`. */
  run(...tasks: StoreTask[]): void {
    this.#held.push(...tasks)
    if (!this.isHolding) this.flush()
  }

  /** Works through what is held. */
  flush(): void {
    let results = this.#turn(this.#held.splice(0))
    for (let rounds = 0; ; rounds++) {
      for (const result of results) this.#hear(result)
      if (!this.#store.hasWork) return
      if (rounds === 1_000) throw new Error('The store never comes to an end.')
      results = this.#turn([])
    }
  }

  /** The next of what was said to a session. */
  take(session: SessionId): StoreResult | undefined {
    return this.#heard.get(session)?.shift()
  }

  /** The process dies, perhaps after a commit whose results nobody hears of, and starts again. */
  crash(...unheard: StoreTask[]): void {
    if (unheard.length > 0) this.#turn(unheard)
    this.#store.close()
    this.#held.length = 0
    this.#heard.clear()
    this.news.length = 0
    this.#store = this.#open()
  }

  /** The daemon is started again with, or without, a key ring. */
  restartWith(keyPolicy: KeyPolicyChoice): void {
    this.#keyPolicy = keyPolicy
    this.crash()
  }

  backup(path: string): void {
    rmSync(path, { force: true })
    this.#user.prepare('VACUUM INTO ?').run(path)
  }

  /** An older copy takes the place of the file, while nothing runs. */
  restore(backup: string): void {
    this.close()
    this.#held.length = 0
    rmSync(`${this.path}-wal`, { force: true })
    rmSync(`${this.path}-shm`, { force: true })
    copyFileSync(backup, this.path)
    this.#heard.clear()
    this.news.length = 0
    this.#store = this.#open()
    this.#user = connect(this.path)
  }

  close(): void {
    this.#store.close()
    this.#user.close()
  }

  all(sql: string, ...values: unknown[]): Record<string, unknown>[] {
    return this.#user.prepare<unknown[], Record<string, unknown>>(sql).all(...values)
  }

  #turn(tasks: readonly StoreTask[]): StoreResult[] {
    this.beforeTurn?.()
    this.faults.onTurn()
    const results = this.#store.run(tasks, this.nowMs)
    this.afterTurn?.()
    return results
  }

  #open(): Store {
    // A process that cannot start is started again: here it starts at once.
    this.faults.at = undefined
    return openStore(this.path, {
      environment: this.#environment,
      isDurable: false,
      busyTimeoutMs: 0,
      keyPolicy: this.#keyPolicy,
      onConnected: (db) => this.faults.watch(db),
    })
  }

  #hear(result: StoreResult): void {
    if (!('session' in result)) {
      this.news.push(result)
      return
    }
    const heard = this.#heard.get(result.session) ?? []
    heard.push(result)
    this.#heard.set(result.session, heard)
  }
}

function connect(path: string): BetterSqlite3.Database {
  const db = new BetterSqlite3(path)
  // No test cuts the power: nothing need wait for the disk.
  db.pragma('synchronous = OFF')
  return db
}
