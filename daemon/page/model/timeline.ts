/**
 * What the plots are drawn from: the daemon's history, with every second that was heard since.
 * Must never draw a line over a time in which nothing was known.
 */
import type { HistorySample, Overview } from '../../observe/page-api.ts'

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
export type Extremes = { readonly min: number; readonly max: number; readonly last: number | null }

export function extremesOf(samples: readonly HistorySample[], value: Value): Extremes | undefined {
  const known = samples.map((sample) => sample[value]).filter((number) => number !== null)
  if (known.length === 0) return undefined
  const [min, max] = [
    known.reduce((a, b) => Math.min(a, b)),
    known.reduce((a, b) => Math.max(a, b)),
  ]
  return { min, max, last: samples.at(-1)?.[value] ?? null }
}
