/** Rows as a table for people. Must never change what a value says, beyond making it one line. */
import { cut, oneLine } from './terminal.ts'

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
