/** Rows as a table for people. Must never change what a value says, beyond making it one line. */
import type { Terminal } from './terminal.ts'
import { cut, oneLine } from '../daemon/platform/text.ts'

export type Cell = string | number | null

export type Column<Row> = {
  readonly title: string
  readonly cell: (row: Row) => Cell
  /** Numbers stand to the right. */
  readonly isNumber?: true
}

/**
 * Lines without line ends, the titles first. `columns` 0: as wide as it takes; else the last column
 * is cut to fit.
 */
export function tableLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
): string[] {
  const cells = rows.map((row) => columns.map(({ cell }) => textOf(cell(row))))
  const all = [columns.map(({ title }) => title), ...cells]
  const widths = columns.map((_, at) => Math.max(...all.map((line) => lengthOf(line[at]))))
  return all.map((line) => {
    const padded = line.map((text, at) => pad(text, widths[at] ?? 0, columns[at]?.isNumber))
    const joined = padded.join('  ').trimEnd()
    return width > 0 ? cut(joined, width) : joined
  })
}

function textOf(value: Cell): string {
  return value === null ? '' : oneLine(String(value))
}

const lengthOf = (text = ''): number => Array.from(text).length

function pad(text: string, width: number, isNumber?: true): string {
  const space = ' '.repeat(Math.max(0, width - lengthOf(text)))
  return isNumber === true ? space + text : text + space
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1536` → `1.5 KiB`. */
export function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), byteUnits.length - 1)
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${byteUnits[power]}`
}

/** `93784` → `1d 2h`: two units at most. */
export function durationText(seconds: number): string {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)}s`
  const whole = Math.round(seconds)
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3_600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first, first + 2)
    .filter(([count], at) => at === 0 || count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ')
}

/** `1234567` → `1,234,567`. */
export function countText(count: number): string {
  return count.toLocaleString('en-US')
}

// How far long work has come, on one line of stderr that is written over. Must never say anything
// where no person looks.

const pauseMs = 100
const barColumns = 24

export class Progress implements Disposable {
  readonly #terminal: Terminal
  readonly #label: string
  #shownAtMs = -Infinity
  #isShown = false

  constructor(terminal: Terminal, label: string) {
    this.#terminal = terminal
    this.#label = label
  }

  /** `total` undefined: nobody knows how much there is. */
  show(done: number, total: number | undefined, unit: string, nowMs = performance.now()): void {
    if (!this.#terminal.sayIsTerminal || nowMs - this.#shownAtMs < pauseMs) return
    this.#shownAtMs = nowMs
    this.#isShown = true
    const bar = total === undefined || total === 0 ? '' : `${barOf(done / total)} `
    const of = total === undefined ? '' : ` of ${total.toLocaleString('en-US')}`
    const count = `${done.toLocaleString('en-US')}${of} ${unit}`
    this.#terminal.say(`\r\u001b[K${this.#label} ${bar}${count}`)
  }

  /** The line is taken away again. */
  [Symbol.dispose](): void {
    if (this.#isShown) this.#terminal.say('\r\u001b[K')
  }
}

function barOf(part: number): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * barColumns)
  return `[${'#'.repeat(full)}${'-'.repeat(barColumns - full)}]`
}

// Lines of a stream of bytes. A line ends at LF and nowhere else: not at a CR, and not at what
// Unicode calls a line separator. Must never look at bytes as text.

export type Line = {
  /** Without what ends it. */
  readonly bytes: Buffer
  /** Counts from 1. */
  readonly number: number
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * The lines, the last one also without an end of its own.
 * @param dropsCr CR LF ends a line too.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  dropsCr: boolean,
): AsyncGenerator<Line> {
  let begun: Buffer[] = []
  let number = 0
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let from = 0
    for (let at = bytes.indexOf(lineFeed); at !== -1; at = bytes.indexOf(lineFeed, from)) {
      const line = Buffer.concat([...begun, bytes.subarray(from, at)])
      begun = []
      from = at + 1
      const isDos = dropsCr && line.at(-1) === carriageReturn
      yield { bytes: isDos ? line.subarray(0, -1) : line, number: ++number }
    }
    if (from < bytes.length) begun.push(bytes.subarray(from))
  }
  if (begun.length > 0) yield { bytes: Buffer.concat(begun), number: ++number }
}

/** The same, so many at a time, or fewer when they are long. */
export async function* batchesOf(
  lines: AsyncIterable<Line>,
  linesMax: number,
  bytesMax: number,
): AsyncGenerator<Line[]> {
  let [batch, bytes]: [Line[], number] = [[], 0]
  for await (const line of lines) {
    batch.push(line)
    bytes += line.bytes.length
    if (batch.length < linesMax && bytes < bytesMax) continue
    yield batch
    ;[batch, bytes] = [[], 0]
  }
  if (batch.length > 0) yield batch
}
