/**
 * What the stories found: one line of JSON each while they run, and one table of all when they have
 * ended. Must never hold a figure that was not measured in that run.
 */

import { appendFileSync, readFileSync } from 'node:fs'

/** What one story found. */
export type Finding = {
  readonly story: string
  /** The conditions of the machines' links as the kernel reported them, in a few words. */
  readonly link: string
  readonly messages: number
  readonly seconds: number
  /** Packets that the daemons sent in it, and those of them that they found lost. */
  readonly packets: number
  readonly retransmissions: number
  /** Datagrams that the kernel's netem dropped meanwhile. */
  readonly dropped: number
  /** The release of the kernel. */
  readonly kernel: string
  /** Why the story failed; undefined when all was as it must be. */
  readonly problem?: string
}

/** Adds a line to the report. */
export function appendFinding(file: string, finding: Finding): void {
  appendFileSync(file, `${JSON.stringify(finding)}\n`)
}

/** The findings in a report, in the order in which they were made. */
export function readFindings(file: string): Finding[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Finding)
}

const number = (value: number): string => value.toLocaleString('en')

const columns: readonly {
  readonly title: string
  readonly isNumber: boolean
  readonly cell: (finding: Finding) => string
}[] = [
  { title: 'story', isNumber: false, cell: ({ story }) => story },
  { title: 'link', isNumber: false, cell: ({ link }) => link },
  { title: 'messages', isNumber: true, cell: ({ messages }) => number(messages) },
  { title: 'seconds', isNumber: true, cell: ({ seconds }) => seconds.toFixed(1) },
  { title: 'packets', isNumber: true, cell: ({ packets }) => number(packets) },
  { title: 'sent again', isNumber: true, cell: ({ retransmissions }) => number(retransmissions) },
  { title: 'netem dropped', isNumber: true, cell: ({ dropped }) => number(dropped) },
  { title: 'kernel', isNumber: false, cell: ({ kernel }) => kernel },
  { title: 'result', isNumber: false, cell: ({ problem }) => problem?.split('\n')[0] ?? 'ok' },
]

/** The findings as a table for a terminal, which is Markdown too. */
export function renderFindings(findings: readonly Finding[]): string {
  const rows = [columns.map(({ title }) => title), ...findings.map(cellsOf)]
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  const [head = '', ...body] = rows.map((row) => line(row, widths))
  const dashes = columns.map(({ isNumber }, at) => {
    const width = widths[at] ?? 0
    return isNumber ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)
  })
  return [head, `| ${dashes.join(' | ')} |`, ...body].join('\n')
}

const cellsOf = (finding: Finding): string[] => columns.map(({ cell }) => cell(finding))

function line(cells: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((cell, at) => {
    const width = widths[at] ?? 0
    return columns[at]?.isNumber === true ? cell.padStart(width) : cell.padEnd(width)
  })
  return `| ${padded.join(' | ')} |`
}
