/**
 * Brings the figures of a run to where people read them: the table of docs/benchmarks.md and the
 * picture of the README. Must never change a word outside the place that is marked for it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Measure } from './measure.ts'
import { plot } from './plot.ts'
import { showSurroundings, type HostEnvironment } from './machine-info.ts'
import { showNotes, showTable } from './table.ts'

const root = join(import.meta.dirname, '..')
const table = join(root, 'docs', 'benchmarks.md')
const picture = join(root, 'docs', 'images', 'bench.svg')

const begin = '<!-- figures of the last full run: npm run bench -- --write -->'
const end = '<!-- end of the figures -->'

/** What a run prints. */
export function showRun(where: HostEnvironment, measures: readonly Measure[]): string {
  const parts = [showSurroundings(where), showTable(measures), showNotes(measures)]
  return parts.filter((part) => part !== '').join('\n\n')
}

/** @throws when the text has no place that is marked, or has it twice. */
export function withFigures(text: string, figures: string): string {
  const [before, rest, ...more] = text.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`docs/benchmarks.md needs one "${begin}" with "${end}" behind it.`)
  }
  return `${before}${begin}\n\n${figures}\n\n${end}${after}`
}

export function writePlot(path: string, measures: readonly Measure[]): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, plot(measures))
}

export function writePages(where: HostEnvironment, measures: readonly Measure[]): void {
  const text = readFileSync(table, 'utf8')
  writeFileSync(table, withFigures(text, showRun(where, measures)))
  writePlot(picture, measures)
}
