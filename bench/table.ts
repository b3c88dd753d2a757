/** Measures as a table in Markdown, as README and docs/benchmarks.md show it. */
import { type Measure, meetsGoal, type Unit } from './measure.ts'
import type { Distribution } from './distribution.ts'

const columns = ['measure', 'figure', 'baseline', 'ratio', 'goal', ''] as const

export function showTable(measures: readonly Measure[]): string {
  const lines = [columns, ...measures.map(cellsOf)]
  const widths = columns.map((_, index) =>
    Math.max(3, ...lines.map((cells) => cells[index]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  const [head = [], ...rest] = lines
  return [line(head), rule, ...rest.map(line)].join('\n')
}

/** The sentences that belong to measures, each once. */
export function showNotes(measures: readonly Measure[]): string {
  const notes = measures.flatMap(({ what, note }) => (note === undefined ? [] : [{ what, note }]))
  const byNote = Map.groupBy(notes, ({ note }) => note)
  return Array.from(byNote, ([note, of]) => `- ${of[0]?.what}: ${note}`).join('\n')
}

function cellsOf(measure: Measure): readonly string[] {
  const { what, figure, unit, baseline, ratio } = measure
  return [
    what,
    showSpread(figure, unit),
    baseline === undefined ? '' : `${baseline.what} ${showSpread(baseline.figure, baseline.unit)}`,
    ratio === undefined ? '' : showSpread(ratio, ''),
    showGoal(measure),
    showVerdict(measure),
  ]
}

/** "76,004 (71,210–80,002) rows/s"; without the brackets when there was one repeat. */
function showSpread({ median, least, most }: Distribution, unit: Unit): string {
  const words = [showNumber(median)]
  if (least !== most) words.push(`(${showNumber(least)}–${showNumber(most)})`)
  if (unit !== '') words.push(unit)
  return words.join(' ')
}

/** Three digits that count, and no more. */
export function showNumber(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size >= 100) return Math.round(value).toLocaleString('en-GB')
  return String(Number(value.toPrecision(3)))
}

/** "≥ 0.6 ×" is a ratio, "≤ 8 ms" a figure. */
export function showGoal({ goal, unit }: Measure): string {
  if (goal === undefined) return ''
  const behind = goal.of === 'ratio' ? '×' : unit
  const bounds =
    goal.type === 'between'
      ? `${goal.least}–${goal.most}`
      : `${goal.type === 'at least' ? '≥' : '≤'} ${goal.value}`
  return `${bounds} ${behind}`.trimEnd()
}

function showVerdict(measure: Measure): string {
  const isMet = meetsGoal(measure)
  if (isMet === undefined) return ''
  return isMet ? 'met' : 'missed'
}
