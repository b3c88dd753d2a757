/** One measurement as a line of the table: what, how much, against what, and what is wanted. */
export type Row = {
  readonly measure: string
  readonly figure: string
  readonly yardstick: string
  readonly ratio: string
  readonly goal: string
}

const heads: Row = {
  measure: 'measure',
  figure: 'figure',
  yardstick: 'yardstick',
  ratio: 'ratio',
  goal: 'goal',
}

/** A table in Markdown. */
export function showTable(rows: readonly Row[]): string {
  const columns = ['measure', 'figure', 'yardstick', 'ratio', 'goal'] as const
  const widths = columns.map((column) =>
    Math.max(...[heads, ...rows].map((row) => row[column].length)),
  )
  const line = (row: Row): string =>
    `| ${columns.map((column, index) => row[column].padEnd(widths[index] ?? 0)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(heads), rule, ...rows.map(line)].join('\n')
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** `share` 0 … 1 of the sorted values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

export function perSecond(rate: number): string {
  return `${Math.round(rate).toLocaleString('en-GB')} rows/s`
}
