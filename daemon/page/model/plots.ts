/**
 * The plots of the overview: what each shows, how its numbers are written, and the sentence that
 * says the same to somebody who cannot see it. Must never know how a plot is drawn.
 */
import type { HistorySample } from '../../observe/page-api.ts'
import { durationText } from './age.ts'
import { countText, rateText, shortText } from './quantity.ts'
import { extremesOf, type Value } from './timeline.ts'

export type Line = { readonly value: Value; readonly label: string }

export type Plot = {
  readonly title: string
  readonly lines: readonly [Line, ...Line[]]
  readonly text: (value: number) => string
  /** For the axis, which has little room. */
  readonly axisText: (value: number) => string
  /** How far apart the lines of the grid may be: steps that are round in this unit. */
  readonly steps: readonly number[]
}

const [s, min, h, d] = [1_000, 60_000, 3_600_000, 86_400_000]

/** 1, 2, 5, 10, … : rows come whole. */
const wholeSteps = Array.from({ length: 15 }, (_, power) => power).flatMap((power) =>
  [1, 2, 5].map((digit) => digit * 10 ** power),
)

const timeSteps = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * s),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * min),
  ...[1, 2, 3, 6, 12].map((count) => count * h),
  ...wholeSteps.slice(0, 15).map((count) => count * d),
]

export const plots: readonly Plot[] = [
  {
    title: 'Backlog',
    lines: [{ value: 'waiting', label: 'rows in the outbox' }],
    text: countText,
    axisText: shortText,
    steps: wholeSteps,
  },
  {
    title: 'Oldest age',
    lines: [{ value: 'oldestAgeMs', label: 'oldest row in the outbox' }],
    text: durationText,
    axisText: durationText,
    steps: timeSteps,
  },
  {
    title: 'Throughput',
    lines: [
      { value: 'sentPerS', label: 'sent' },
      { value: 'receivedPerS', label: 'received' },
    ],
    text: rateText,
    axisText: shortText,
    steps: wholeSteps,
  },
]

/** `Backlog, 10 min: rows in the outbox from 0 to 1,200, now 30.` */
export function summaryOf(
  { title, lines, text }: Plot,
  samples: readonly HistorySample[],
  spanLabel: string,
): string {
  const parts = lines.map(({ value, label }) => {
    const extremes = extremesOf(samples, value)
    if (extremes === undefined) return `${label}: none`
    const { min, max, last } = extremes
    const now = last === null ? 'now none' : `now ${text(last)}`
    return `${label} from ${text(min)} to ${text(max)}, ${now}`
  })
  return `${title}, last ${spanLabel}: ${parts.join('; ')}.`
}
