/**
 * Foreign text, made safe for the eye: what is invisible, or turns the order of what stands beside
 * it, is shown by its number. Must never change what is copied; that an element is text and not
 * markup is preact's work.
 */
import type { Count, TimelineStep } from '../../api-types.ts'

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

type HexLine = { readonly offset: string; readonly hex: string; readonly ascii: string }

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

// Numbers as an operator reads them: counts, rates, sizes, shares. Must never round away that a
// number is an estimate, nor show zero for what is not known.

/** For what is not known, or has no meaning there. */
export const nothing = '–'

/** `1234567` → `1,234,567`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** `≥ 10,000` for a count that stopped there. */
export function estimateText({ value, isExact }: Count): string {
  return isExact ? countText(value) : `≥ ${countText(value)}`
}

/** `1234.5` → `1,235/s`; one digit more where it matters. */
export function rateText(perS: number): string {
  if (perS > 0 && perS < 0.05) return '< 0.1/s'
  return `${decimalText(perS, perS < 10 ? 1 : 0)}/s`
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1536` → `1.5 KiB`. */
export function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), byteUnits.length - 1)
  const value = bytes / 1024 ** power
  return `${decimalText(value, power === 0 || value >= 100 ? 0 : 1)} ${byteUnits[power]}`
}

/** `0.034` → `3.4 %`. */
export function shareText(share: number): string {
  const percent = share * 100
  if (percent > 0 && percent < 0.1) return '< 0.1 %'
  return `${decimalText(percent, percent < 10 ? 1 : 0)} %`
}

/** Microseconds: `1234` → `1.2 ms`. */
export function microsText(us: number): string {
  return us < 1_000 ? `${countText(us)} µs` : millisText(us / 1_000)
}

/** Milliseconds: `12.3` → `12 ms`. */
export function millisText(ms: number): string {
  if (ms >= 10_000) return `${decimalText(ms / 1_000, 0)} s`
  return `${decimalText(ms, ms < 10 ? 1 : 0)} ms`
}

/** `1 row`, `2 rows`; the word is given for one. */
export function plural(count: number, word: string): string {
  return `${countText(count)} ${word}${count === 1 ? '' : 's'}`
}

/** `1 row`, `≥ 10,000 rows`. */
export function estimatePlural(count: Count, word: string): string {
  return `${estimateText(count)} ${word}${count.value === 1 && count.isExact ? '' : 's'}`
}

/** `12300` → `12.3k`, for the axis of a plot. */
export function shortText(value: number): string {
  const units = ['', 'k', 'M', 'G']
  const power = Math.min(Math.floor(Math.log10(Math.max(1, Math.abs(value))) / 3), 3)
  const scaled = value / 1_000 ** power
  return `${Number(scaled.toPrecision(3)).toLocaleString('en-US')}${units[power]}`
}

function decimalText(value: number, digits: number): string {
  // What is whole anyway is shown so: `0/s`, not `0.0/s`.
  const fraction = Number.isInteger(value) ? 0 : digits
  return value.toLocaleString('en-US', {
    minimumFractionDigits: fraction,
    maximumFractionDigits: fraction,
  })
}

// Times and durations in human words. "Now" is an argument, and it is the daemon's: the browser's
// clock may be wrong. Must never show an age without a way to its exact value.

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** `93784000` → `1 d 2 h`: two units at most, whole seconds; `< 1 s` below one. */
export function durationText(ms: number): string {
  if (ms < 1_000) return ms <= 0 ? '0 s' : '< 1 s'
  const first = units.findIndex(([, unitMs]) => ms >= unitMs)
  const parts = units.slice(first, first + 2).map(([name, unitMs], at) => {
    const [, largerMs = Infinity] = units[first + at - 1] ?? []
    return [Math.floor((at === 0 ? ms : ms % largerMs) / unitMs), name] as const
  })
  return parts
    .filter(([count], at) => at === 0 || count > 0)
    .map(([count, name]) => `${count.toLocaleString('en-US')} ${name}`)
    .join(' ')
}

/** `4 min ago`; `in 12 s` for what is to come. */
export function distanceText(at: number, nowMs: number): string {
  const ms = nowMs - at
  if (Math.abs(ms) < 1_000) return 'now'
  return ms > 0 ? `${durationText(ms)} ago` : `in ${durationText(-ms)}`
}

/** `1,234,567 ms` as the exact value behind an age. */
export function exactDurationText(ms: number): string {
  return `${Math.round(ms).toLocaleString('en-US')} ms`
}

/** ISO 8601 in UTC with milliseconds; a time that no calendar has as the number that it is. */
export function exactTimeText(at: number): string {
  return isDate(at) ? new Date(at).toISOString() : String(at)
}

/** Local time of day with seconds, and the date when that is not today's (of `nowMs`). */
export function clockText(at: number, nowMs: number): string {
  if (!isDate(at)) return String(at)
  const [date, now] = [new Date(at), new Date(nowMs)]
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(':')
  const isToday = date.toDateString() === now.toDateString()
  return isToday ? time : `${dayText(date)} ${time}`
}

function dayText(date: Date): string {
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join('-')
}

const twoDigits = (part: number): string => String(part).padStart(2, '0')

/** What Date can hold: ±8.64e15 ms. Columns hold whatever somebody has inserted. */
const isDate = (at: number): boolean => Number.isFinite(at) && Math.abs(at) <= 8.64e15

// Names for rows in a list. Must never give two of them the same.

/** The names as they are, but each that came before with a number behind it. */
export function distinct(names: readonly string[]): string[] {
  const counts = new Map<string, number>()
  return names.map((name) => {
    const count = counts.get(name) ?? 0
    counts.set(name, count + 1)
    return count === 0 ? name : `${name} #${count}`
  })
}

// The steps of a message's life, with the time that each took. Must never reorder them.

/** `tookMs` is the time since the last step whose time is known; null for the first one. */
type ReportedStep = TimelineStep & { readonly tookMs: number | null }

export function reported(story: readonly TimelineStep[]): ReportedStep[] {
  let lastAt: number | null = null
  return story.map((step) => {
    const tookMs = step.at === null || lastAt === null ? null : step.at - lastAt
    lastAt = step.at ?? lastAt
    return { ...step, tookMs }
  })
}
