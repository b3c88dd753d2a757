/**
 * What a command may touch of the process that runs it. A command prints data to `out` and messages
 * to `say`; it must never reach for the process itself, so that a test can stand in for it.
 */
import { isError } from '../errors.ts'

export type Terminal = {
  /**
   * To stdout: data, for people and programs. Resolves when all of it was handed over, so that what
   * it shows may be deleted.
   * @throws OutputError, as a rejection
   */
  readonly out: (text: string | Uint8Array) => void | Promise<void>
  /** To stderr: what is said about the data. */
  readonly say: (text: string) => void
  /** Whether a person looks at stdout, at stderr. */
  readonly outIsTerminal: boolean
  readonly sayIsTerminal: boolean
  /** Columns and rows of the screen; 0 when there is none. */
  readonly columns: number
  readonly rows: number
  /** Stdin, and whether a person would have to type it. */
  readonly input: AsyncIterable<Uint8Array>
  readonly inputIsTerminal: boolean
  readonly environment: { readonly [variable: string]: string | undefined }
  /** Aborted when the user ends the command (Ctrl-C) or nobody reads what it prints. */
  readonly signal: AbortSignal
}

/** What was to be printed was not, or not all of it. */
export class OutputError extends Error {
  /** Nobody reads it any more, the user has ended the command, or it cannot be written. */
  readonly reason: 'reader gone' | 'interrupted' | 'failed'

  constructor(reason: OutputError['reason'], cause?: unknown) {
    const why = isError(cause) ? cause.message : reason
    super(`stdout cannot be written: ${why}`, { cause })
    this.reason = reason
  }
}

/**
 * Text as one harmless line: what would move the cursor, ring or break the line is shown as it
 * would be written in JSON.
 */
export function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, escaped)
}

/** JSON in one line that is harmless too: in a string, an escaped character is the same. */
export const jsonLine = (value: unknown): string => oneLine(JSON.stringify(value))

const short: { readonly [character: string]: string } = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escaped(character: string): string {
  const code = character.charCodeAt(0).toString(16).padStart(4, '0')
  return short[character] ?? `\\u${code}`
}

/** At most `columns` characters; what is cut off ends in `…`. */
export function cut(text: string, columns: number): string {
  if (text.length <= columns) return text
  const characters = Array.from(text)
  return characters.length <= columns ? text : `${characters.slice(0, columns - 1).join('')}…`
}
