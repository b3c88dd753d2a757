/**
 * Options and arguments that several commands have, and how their texts are read. It loads nothing
 * of the database: `tinymq check` runs every few seconds.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { TinymqError } from '../sdk/schema/errors.ts'
import { defaultDatabase } from '../sdk/schema/database-files.ts'

export type DatabaseFlags = { readonly database: string }
export type JsonFlags = { readonly json?: true }

/** `--database`, from the variable that the daemon reads too. */
export function withDatabase(command: Command): Command {
  const option = new Option('-d, --database <path>', 'SQLite file that the daemon works on')
  return command.addOption(option.env('TINYMQ_DATABASE').default(defaultDatabase))
}

/** The same, also as an argument: `databaseOf` says which it is. */
export function withDatabaseArgument(command: Command): Command {
  return withDatabase(command.argument('[database]', 'the same, without -d'))
}

/** @throws TinymqError TINYMQ_INVALID_ARGUMENT when two can be meant, or none. */
export function databaseOf(argument: string | undefined, command: Command): string {
  const { database } = command.opts<DatabaseFlags>()
  const isNamed = command.getOptionValueSource('database') === 'cli'
  if (argument !== undefined && isNamed) throw invalid(`${argument}: one argument too many`)
  const path = argument ?? (isNamed ? database : database || defaultDatabase)
  if (path === '') throw invalid('the database must be the path of a file')
  return path
}

export function invalid(sentence: string): TinymqError {
  return new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON, one object a line')
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
