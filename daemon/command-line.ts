/**
 * What the commands `check`, `doctor` and `ui` have in common: the database as an argument or, as
 * every other command has it, after `-d`; and what is wrong with a command line, in one sentence.
 */
import { options } from './options.ts'

export type Environment = { readonly [variable: string]: string | undefined }

/** For the `options` of Node's `parseArgs`. */
export const databaseOption = { type: 'string', short: 'd' } as const

/** The lines of the usage about it. */
export const databaseUsage =
  `  database   the file, also as -d, --database PATH\n` +
  `             (default: ${options.database.variable}, else ${options.database.default})`

/** @throws TypeError when none, or more than one, can be meant. */
export function databaseOf(
  named: string | undefined,
  positionals: readonly string[],
  environment: Environment,
): string {
  const [first, extra] = named === undefined ? positionals : [named, ...positionals]
  if (extra !== undefined) throw new TypeError(`${extra}: one argument too many`)
  if (first === '') throw new TypeError('the database must be the path of a file')
  return first ?? (environment[options.database.variable] || options.database.default)
}

/** Of an error of `parseArgs`, or of ours: without Node's advice about odd positional arguments. */
export function problemOf({ message }: TypeError): string {
  return message.replace(/\. To specify a positional argument .*$/s, '')
}
