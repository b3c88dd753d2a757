/**
 * What the commands share: the context that they run in, and the database that they work on. Must
 * never know a command.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type BetterSqlite3 from 'better-sqlite3'
import type { Tinymq } from '../sdk/client.ts'
import { open, refuseMissing } from '../sdk/open.ts'
import { migrate } from '../sdk/schema/migrate.ts'
import { openDatabase } from '../sdk/schema/open-database.ts'
import type { DatabaseFlags } from './command-line.ts'
import type { Terminal } from './output.ts'

export type Context = {
  readonly terminal: Terminal
  /** The number to end with, when it is not 0: the last one counts. */
  readonly end: (code: number) => void
}

/** A connection on which the tables are up to date, and the SDK on it. */
export class CliSession implements Disposable {
  readonly path: string
  readonly db: BetterSqlite3.Database
  readonly mq: Tinymq

  /**
   * A command makes no database and no tables: a mistyped path would be an empty one that nobody
   * works on, or a file of somebody else with our tables in it.
   * @throws TinymqError TINYMQ_NO_DATABASE, TINYMQ_NO_SCHEMA and what `open` throws.
   */
  constructor({ database }: DatabaseFlags) {
    refuseMissing(database)
    this.path = database
    this.db = openDatabase(database)
    try {
      migrate(this.db)
      this.mq = open({ db: this.db })
    } catch (error) {
      this.db.close()
      throw error
    }
  }

  rows<Row>(sql: string, ...values: unknown[]): Row[] {
    return this.db.prepare<unknown[], Row>(sql).all(...values)
  }

  [Symbol.dispose](): void {
    this.mq.close()
    this.db.close()
  }
}

// Waits until somebody has changed the database: a person looks on, so a twentieth of a second is
// prompt enough, and one PRAGMA that touches no page costs nothing that could be measured.

const pauseMs = 50

/** Yields after each change by another connection, until the signal ends it. */
export async function* everyChange(opened: CliSession, signal: AbortSignal): AsyncGenerator<void> {
  const version = (): number =>
    opened.rows<{ data_version: number }>('PRAGMA data_version').at(0)?.data_version ?? 0
  // What came before the first look may not have been seen.
  let seen = -1
  while (await waited(pauseMs, signal)) {
    const now = version()
    if (now === seen) continue
    seen = now
    yield
  }
}

/** @returns whether the time has passed, and nobody has ended it. */
export async function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await pause(ms, undefined, { signal })
    return true
  } catch {
    return false
  }
}
