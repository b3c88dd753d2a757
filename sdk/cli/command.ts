/**
 * What the commands share: the context that they run in, the database that they work on and the
 * options that all of them take. Must never know a command.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { openDatabase } from '../database.ts'
import { defaultDatabase } from '../default-database.ts'
import { open, refuseMissing } from '../open.ts'
import { migrate } from '../schema-migrate.ts'
import type { Tinymq } from '../tinymq.ts'
import type { Terminal } from './terminal.ts'

export type Context = {
  readonly terminal: Terminal
  /** The number to end with, when it is not 0: the last one counts. */
  readonly end: (code: number) => void
}

export type DatabaseFlags = { readonly database: string }
export type JsonFlags = { readonly json?: true }

/** `--database`, from the variable that the daemon reads too. */
export function withDatabase(command: Command): Command {
  const option = new Option('-d, --database <path>', 'SQLite file that the daemon works on')
  return command.addOption(option.env('TINYMQ_DATABASE').default(defaultDatabase))
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON, one object a line')
}

/** A connection on which the tables are up to date, and the SDK on it. */
export class Opened implements Disposable {
  readonly path: string
  readonly db: BetterSqlite3.Database
  readonly mq: Tinymq

  /**
   * A command makes no database and no tables: a mistyped path would be an empty one that nobody
   * works on, or a file of somebody else with our tables in it.
   * @throws TinymqError TINYMQ_NO_DATABASE, TINYMQ_NO_TABLES and what `open` throws.
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

/** Parses a whole number of at least `min` for commander. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `from ${min} to ${max}`
    throw new InvalidArgumentError(`It must be a whole number, ${range}.`)
  }
}

/** The same for a list of ids, of which commander gives one after the other. */
export function idList(text: string, before: readonly number[] | undefined): number[] {
  return [...(before ?? []), wholeNumber(1)(text)]
}

/** A timer of Node.js cannot wait for longer, and would end at once. */
const secondsMax = 2_147_483

/** Seconds, with a fraction. */
export function seconds(text: string): number {
  const value = /^\d{1,7}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
  if (value >= 0 && value <= secondsMax) return value
  const sentence = `It must be a number of seconds, like 5 or 0.5, and at most ${secondsMax}.`
  throw new InvalidArgumentError(sentence)
}
