/**
 * Foreign text, made safe for the eye: what is invisible, or turns the order of what stands beside
 * it, is shown by its number. Must never change what is copied; that an element is text and not
 * markup is preact's work.
 */

// C0 and C1 controls, bidirectional controls, other zero-width and line-breaking characters. The
// joiner U+200D and the variation selectors stay: emoji are made with them.
const invisible = new RegExp(
  [
    String.raw`[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f`,
    String.raw`\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]`,
  ].join(''),
  'g',
)

const mark = (char: string): string =>
  `⟨${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`

/** One line: a name, an address, a token. */
export function shownLine(text: string): string {
  return text.replaceAll(invisible, mark)
}

/** Text of many lines: a message. Line ends and tabs stay what they are. */
export function shownBlock(text: string): string {
  return text.replaceAll(invisible, (char) =>
    char === '\n' || char === '\t' || char === '\r' ? char : mark(char),
  )
}

/** What an error says, without the stack below it. */
export function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

/** A sentence of its own, of one that continued a line of a log: `no answer` → `No answer.` */
export function shownSentence(text: string): string {
  // Where a sentence that asks was put into another one, both have ended.
  const shown = shownLine(text).replace(/([?!…])\.$/, '$1')
  if (shown === '') return ''
  return `${shown.charAt(0).toUpperCase()}${shown.slice(1)}${/[.!?…]$/.test(shown) ? '' : '.'}`
}

/** The beginning of a long line, for a table; whole characters. */
export function shortened(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text
  return `${Array.from(text.slice(0, charsMax * 2))
    .slice(0, charsMax - 1)
    .join('')}…`
}

export type HexLine = { readonly offset: string; readonly hex: string; readonly ascii: string }

const lineBytes = 16

/** Lines as hexdump -C has them, of digits without spaces. */
export function hexLines(digits: string): HexLine[] {
  const bytes = digits.match(/../g) ?? []
  return Array.from({ length: Math.ceil(bytes.length / lineBytes) }, (_, line) => {
    const own = bytes.slice(line * lineBytes, (line + 1) * lineBytes)
    return {
      offset: (line * lineBytes).toString(16).padStart(8, '0'),
      hex: own.join(' '),
      ascii: own.map(asciiOf).join(''),
    }
  })
}

function asciiOf(digits: string): string {
  const byte = Number.parseInt(digits, 16)
  return byte >= 0x20 && byte < 0x7f ? String.fromCodePoint(byte) : '.'
}

/** Deeper than this, the indent would be longer than what it indents. */
const levelsMax = 100

/** JSON with an indent; as it is what is not JSON, or may be nested too deep. */
export function prettyJson(text: string): string {
  if ((text.match(/[{[]/g) ?? []).length > levelsMax && isDeep(text)) return text
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

function isDeep(json: string): boolean {
  let level = 0
  // Brackets within strings count for nothing.
  for (const [bracket] of json.replaceAll(/"(?:[^"\\]|\\.)*"/g, '').matchAll(/[{}[\]]/g)) {
    level += bracket === '{' || bracket === '[' ? 1 : -1
    if (level > levelsMax) return true
  }
  return false
}
