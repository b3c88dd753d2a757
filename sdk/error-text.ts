/** What was thrown, as text. Must never throw, whatever it is given. */

import { isError } from './errors.ts'

const errorCharactersMax = 4_000

/** What was thrown, as the text that is kept in `mqlease` and `mqdead`. */
export function errorText(error: unknown): string {
  const text = isError(error)
    ? (error.stack ?? `${error.name}: ${error.message}`)
    : `not an Error was thrown: ${shown(error)}`
  return text.toWellFormed().replaceAll('\0', '\u{fffd}').slice(0, errorCharactersMax)
}

function shown(value: unknown): string {
  try {
    return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  } catch {
    return Object.prototype.toString.call(value)
  }
}
