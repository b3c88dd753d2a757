import { equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { measured } from './measure.ts'
import { showNotes, showNumber, showTable } from './table.ts'

const drain = measured(
  {
    what: 'drain',
    unit: 'rows/s',
    figures: [50_000, 76_004, 60_000],
    goal: { type: 'at least', of: 'ratio', value: 0.6 },
    note: 'Read this.',
  },
  { what: 'local copy', figures: [100_000, 100_000, 100_000] },
)

test('a row has figure, spread, baseline, ratio, goal and verdict', () => {
  const [head, rule, row] = showTable([drain]).split('\n')
  match(head ?? '', /^\| measure +\| figure +\| baseline +\| ratio +\| goal +\| +\|$/)
  match(rule ?? '', /^\|[-|]+\|$/)
  equal(
    row,
    '| drain   | 60,000 (50,000–76,004) rows/s | local copy 100,000 rows/s ' +
      '| 0.6 (0.5–0.76) | ≥ 0.6 × | met |',
  )
})

test('every line of the table is of one length', () => {
  const short = measured({ what: 'x', unit: '', figures: [1] })
  const lengths = new Set(
    showTable([drain, short])
      .split('\n')
      .map((line) => line.length),
  )
  equal(lengths.size, 1)
})

test('numbers have the digits that count, and what is none is a dash', () => {
  const shown = [123_456.7, 99.96, 12.34, 1.2345, 0.061_23, 0, Number.NaN].map(showNumber)
  equal(shown.join(' '), '123,457 100 12.3 1.23 0.0612 0 –')
})

test('a note is reported once, with the first measure that has it', () => {
  equal(showNotes([drain, { ...drain, what: 'other' }]), '- drain: Read this.')
  equal(showNotes([]), '')
})
