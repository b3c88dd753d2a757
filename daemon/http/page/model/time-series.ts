/**
 * What the plots are drawn from: the daemon's history, with every second that was heard since.
 * Must never draw a line over a time in which nothing was known.
 */
import type { HistorySample, Overview } from '../../api-types.ts'
import type { Box } from './route.ts'
import {
  countText,
  durationText,
  estimatePlural,
  estimateText,
  rateText,
  shortText,
} from './text.ts'

/** How much a plot shows. The daemon keeps 1 s for ten minutes and 1 min for a day. */
export type Span = { readonly label: string; readonly minutes: number }

export const spans: readonly [Span, ...Span[]] = [
  { label: '10 min', minutes: 10 },
  { label: '1 h', minutes: 60 },
  { label: '6 h', minutes: 360 },
  { label: '24 h', minutes: 1_440 },
]

/** The span whose samples come every second, so that the overviews go on with it. */
export const isLive = ({ minutes }: Span): boolean => minutes <= 10

export function sampleOf({ at, rates, outbox }: Overview): HistorySample {
  return {
    at,
    sentPerS: rates.sentPerS,
    receivedPerS: rates.receivedPerS,
    waiting: outbox.waiting.value,
    oldestAgeMs: outbox.oldestAgeMs,
  }
}

/** The samples with a newer one, without those that have left the span. */
export function withSample(
  samples: readonly HistorySample[],
  sample: HistorySample,
  { minutes }: Span,
): readonly HistorySample[] {
  const last = samples.at(-1)
  if (last !== undefined && sample.at <= last.at) return samples
  const fromMs = sample.at - minutes * 60_000
  return [...samples.filter(({ at }) => at >= fromMs), sample]
}

export type Value = 'sentPerS' | 'receivedPerS' | 'waiting' | 'oldestAgeMs'

/** Columns as the plot takes them: times in seconds, and null where a line must break. */
export type Columns = readonly [at: number[], ...values: (number | null)[][]]

/** `stepMs` is how far apart samples are; after more than two steps without one, lines break. */
export function columnsOf(
  samples: readonly HistorySample[],
  stepMs: number,
  values: readonly Value[],
): Columns {
  const at: number[] = []
  const columns: (number | null)[][] = values.map(() => [])
  let lastAt = samples[0]?.at ?? 0
  for (const sample of samples) {
    if (sample.at - lastAt > 2.5 * stepMs) {
      at.push((lastAt + stepMs) / 1_000)
      for (const column of columns) column.push(null)
    }
    at.push(sample.at / 1_000)
    values.forEach((value, index) => columns[index]?.push(sample[value]))
    lastAt = sample.at
  }
  return [at, ...columns]
}

/** At most `countMax` samples, evenly picked, the newest first: for a table in place of a plot. */
export function picked(samples: readonly HistorySample[], countMax: number): HistorySample[] {
  const step = Math.max(1, Math.ceil(samples.length / countMax))
  return samples.toReversed().filter((_, index) => index % step === 0)
}

/** The smallest, largest and newest value; undefined when there is none. */
type Extremes = { readonly min: number; readonly max: number; readonly last: number | null }

export function extremesOf(samples: readonly HistorySample[], value: Value): Extremes | undefined {
  const known = samples.map((sample) => sample[value]).filter((number) => number !== null)
  if (known.length === 0) return undefined
  const [min, max] = [
    known.reduce((a, b) => Math.min(a, b)),
    known.reduce((a, b) => Math.max(a, b)),
  ]
  return { min, max, last: samples.at(-1)?.[value] ?? null }
}

// The plots of the overview: what each shows, how its numbers are written, and the sentence that
// says the same to somebody who cannot see it. Must never know how a plot is drawn.

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

// How much there is in a box, as a sentence.

export function totalText(box: Box, overview: Overview | null): string {
  if (overview === null) return ''
  if (box === 'outbox') {
    const { waiting, inFlight, parked } = overview.outbox
    const parts = [`${estimateText(inFlight)} in flight`, `${estimateText(parked)} parked`]
    return `${estimatePlural(waiting, 'row')}, ${parts.join(', ')}.`
  }
  const { rows, dead } = overview.inbox
  return `${estimatePlural(rows, 'row')}, ${estimatePlural(dead, 'dead letter')}.`
}
