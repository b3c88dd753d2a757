/**
 * Lets statements of a store fail as SQLite lets them: each statement asks first. Must never be
 * used outside tests.
 */
import BetterSqlite3 from 'better-sqlite3'

export type StatementFault = {
  /** Of SQLite, like SQLITE_FULL. */
  readonly code: string
  /** SQLite rolls the transaction back by itself: it may, with most codes. */
  readonly rollsBack: boolean
}

/** Before a statement: `index` counts those of this connection since `count` was set to 0. */
export type FaultAt = (sql: string, index: number) => StatementFault | undefined

/** A turn of so many statements goes round in circles. */
const statementsPerTurnMax = 100_000

export class StatementFaults {
  /** Which statements fail; undefined: none. */
  at: FaultAt | undefined
  /** Statements since it was set to 0. */
  count = 0
  /** Faults so far. */
  injected = 0
  /** The last of them was a lock that others hold: the turn waits, and has not failed. */
  wasBusy = false
  #ofTurn = 0

  /** A turn begins. */
  onTurn(): void {
    this.#ofTurn = 0
  }

  /** To be called before anything is prepared on the connection. */
  watch(db: BetterSqlite3.Database): void {
    const prepare = db.prepare.bind(db)
    const ask = (sql: string): void => this.#ask(db, sql)
    db.prepare = ((sql: string) => watched(prepare(sql), () => ask(sql))) as typeof db.prepare
  }

  /** The first of the statements that `isMeant` fails, once. */
  once(isMeant: (sql: string) => boolean, fault: StatementFault): void {
    this.at = (sql) => {
      if (!isMeant(sql)) return undefined
      this.at = undefined
      return fault
    }
  }

  #ask(db: BetterSqlite3.Database, sql: string): void {
    if (++this.#ofTurn > statementsPerTurnMax) throw new Error(`a turn never ends: ${sql}`)
    const fault = this.at?.(sql, this.count++)
    if (fault === undefined) return
    this.injected++
    this.wasBusy = fault.code === 'SQLITE_BUSY'
    if (fault.rollsBack && db.inTransaction) db.exec('ROLLBACK')
    throw new BetterSqlite3.SqliteError(`a fault of the test at: ${sql}`, fault.code)
  }
}

function watched(statement: BetterSqlite3.Statement, ask: () => void): BetterSqlite3.Statement {
  for (const name of ['run', 'get', 'all'] as const) {
    const call = statement[name].bind(statement)
    statement[name] = ((...values: unknown[]) => {
      ask()
      return call(...values)
    }) as never
  }
  return statement
}
