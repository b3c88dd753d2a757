/**
 * Text of peers and senders as it may be shown to a person: on one line, without characters that
 * move the cursor. Must never change what is stored.
 */

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

/** What is wrong, and what to do about it: fields, so that no sentence is taken apart. */
export type Problem = {
  readonly what: string
  /** '' when there is nothing to do. */
  readonly remedy: string
}

export const problemText = ({ what, remedy }: Problem): string =>
  remedy === '' ? what : `${what}: ${remedy}`
