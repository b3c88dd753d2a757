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

export class StatementFaults {
  /** Which statements fail; undefined: none. */
  at: FaultAt | undefined
  /** Statements since it was set to 0. */
  count = 0
  /** Faults so far. */
  injected = 0

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
    const fault = this.at?.(sql, this.count++)
    if (fault === undefined) return
    this.injected++
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
