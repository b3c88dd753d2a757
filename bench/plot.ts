/**
 * Measures with goals as a picture: a bar for each, all scaled so that their goals lie on one line.
 * Written by hand as SVG: text in the fonts of the system, colours for a light and a dark page, and
 * nothing that a page would have to load.
 */
import { type Goal, heldAgainstGoal, type Measure, meetsGoal } from './measure.ts'
import { showGoal, showNumber } from './table.ts'

const labelRight = 440
const barWidth = 320
const valueLeft = labelRight + barWidth + 24
const width = valueLeft + 190
/** So many letters of the label fit; what is longer is set narrower. */
const labelLetters = 60
const rowHeight = 26
const barHeight = 12
const top = 64
/** Where on the bar's room the goal lies; what is longer than the room is cut off. */
const goalAt = 0.6

const style = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .quiet { fill: #59636e }
  .met { fill: #0969da } .missed { fill: #bc4c00 }
  .room { fill: #818b981f }
  .goal, .spread { stroke: #1f2328; stroke-width: 1.5 }
  .goal { stroke-dasharray: 3 3 }
  .band { fill: #1f232826 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .quiet { fill: #9198a1 }
    .met { fill: #4493f8 } .missed { fill: #db6d28 }
    .room { fill: #65728233 }
    .goal, .spread { stroke: #f0f6fc }
    .band { fill: #f0f6fc33 }
  }`

/** @returns a document; measures without a goal are left out. */
export function plot(measures: readonly Measure[]): string {
  const rows = measures.flatMap((measure) =>
    measure.goal === undefined ? [] : [{ measure, goal: measure.goal }],
  )
  const height = top + rows.length * rowHeight + 12
  const bars = rows.map(({ measure, goal }, index) => bar(measure, goal, top + index * rowHeight))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>Measures of tinymq next to their goals</title><style>${style}</style>`,
    ...legend(),
    ...bars,
    '</svg>\n',
  ].join('\n')
}

function legend(): string[] {
  return [
    text(12, 20, 'Each bar is a median, the thin line the least and the most of the repeats.'),
    text(
      12,
      42,
      'Goals lie on the dashed line: ≥ asks for a bar that passes it, ≤ for one that does not.',
      'quiet',
    ),
    rect(valueLeft, 10, barHeight, barHeight, 'met'),
    text(valueLeft + 18, 20, 'met'),
    rect(valueLeft + 60, 10, barHeight, barHeight, 'missed'),
    text(valueLeft + 78, 20, 'missed'),
  ]
}

function bar(measure: Measure, goal: Goal, y: number): string {
  const middle = y + rowHeight / 2
  const isMet = meetsGoal(measure) === true
  const { least, most } = (goal.of === 'figure' ? measure.figure : measure.ratio) ?? measure.figure
  const value = heldAgainstGoal(measure, goal)
  const barTop = middle - barHeight / 2
  const end = place(value, goal)
  const shown = `${showNumber(value)}${goal.of === 'ratio' ? ' ×' : ` ${measure.unit}`}`.trimEnd()
  return [
    label(middle + 4, measure.what),
    rect(labelRight, barTop, barWidth, barHeight, 'room'),
    rect(labelRight, barTop, end - labelRight, barHeight, isMet ? 'met' : 'missed'),
    line(place(least, goal), middle, place(most, goal), middle, 'spread'),
    ...goalMarks(goal, middle),
    text(valueLeft, middle + 4, `${shown}${value > longest(goal) ? ' ▸' : ''}`),
    text(width - 12, middle + 4, showGoal(measure), 'quiet', 'end'),
  ].join('')
}

/** What the goal line stands for: the bound that is to be reached or not to be passed. */
function boundOf(goal: Goal): number {
  return goal.type === 'between' ? goal.most : goal.value
}

function longest(goal: Goal): number {
  return boundOf(goal) / goalAt
}

function place(value: number, goal: Goal): number {
  const share = Number.isFinite(value) ? Math.max(0, Math.min(1, value / longest(goal))) : 0
  return labelRight + share * barWidth
}

function goalMarks(goal: Goal, middle: number): string[] {
  const at = place(boundOf(goal), goal)
  const mark = line(at, middle - rowHeight / 2, at, middle + rowHeight / 2, 'goal')
  if (goal.type !== 'between') return [mark]
  const from = place(goal.least, goal)
  return [rect(from, middle - 9, at - from, 18, 'band'), mark]
}

function rect(x: number, y: number, w: number, h: number, kind: string): string {
  const [a, b, c] = [x, y, w].map(digits)
  return `<rect x="${a}" y="${b}" width="${c}" height="${h}" class="${kind}"/>`
}

function line(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map(digits)
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" class="${kind}"/>`
}

function text(x: number, y: number, words: string, kind = '', anchor = 'start'): string {
  return `<text x="${x}" y="${y}" class="${kind}" text-anchor="${anchor}">${escape(words)}</text>`
}

function label(y: number, words: string): string {
  const squeeze = `textLength="${labelRight - 22}" lengthAdjust="spacingAndGlyphs"`
  const at = `x="${labelRight - 10}" y="${y}" text-anchor="end"`
  return `<text ${at}${words.length > labelLetters ? ` ${squeeze}` : ''}>${escape(words)}</text>`
}

/** The same figures give the same file, digit for digit. */
function digits(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
