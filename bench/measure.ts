/**
 * What a benchmark finds: a figure, the baseline that was taken next to it, and the goal that the
 * design sets. Must never hold a figure without the repeats that it comes from.
 */
import { spreadOf, type Distribution } from './distribution.ts'

export type Unit =
  | 'rows/s'
  | 'MB/s'
  | 'Mbit/s'
  | 'ms'
  | 's'
  | 'µs'
  | 'MB'
  | '%'
  | '/h'
  | 'KB'
  | 'packets/s'
  | ''

/** `of` says what is held against it: the figure, or its ratio to the baseline. */
export type Goal =
  | {
      readonly type: 'at least' | 'at most'
      readonly of: 'figure' | 'ratio'
      readonly value: number
    }
  | {
      readonly type: 'between'
      readonly of: 'figure' | 'ratio'
      readonly least: number
      readonly most: number
    }

type Baseline = { readonly what: string; readonly unit: Unit; readonly figure: Distribution }

export type Measure = {
  readonly what: string
  readonly unit: Unit
  readonly figure: Distribution
  readonly baseline?: Baseline
  /** The figure of each repeat, divided by the baseline of the same repeat. */
  readonly ratio?: Distribution
  readonly goal?: Goal
  /** What a reader must know to read the figure, as a sentence. */
  readonly note?: string
}

export type Figures = {
  readonly what: string
  readonly unit: Unit
  /** One for each repeat. */
  readonly figures: readonly number[]
  readonly goal?: Goal
  readonly note?: string
}

type BaselineFigures = {
  readonly what: string
  readonly unit?: Unit
  /** One for each repeat of the figure, in the same order; or one for all. */
  readonly figures: readonly number[]
}

/** A measure, with a baseline if there is one. */
export function measured({ figures, ...rest }: Figures, baseline?: BaselineFigures): Measure {
  const measure = { ...rest, figure: spreadOf(figures) }
  if (baseline === undefined) return measure
  const against = (index: number): number =>
    baseline.figures[index] ?? baseline.figures[0] ?? Number.NaN
  const { what, unit = rest.unit } = baseline
  return {
    ...measure,
    baseline: { what, unit, figure: spreadOf(baseline.figures) },
    ratio: spreadOf(figures.map((figure, index) => figure / against(index))),
  }
}

/** What is held against the goal: a median. */
export function heldAgainstGoal({ figure, ratio }: Measure, { of }: Goal): number {
  return (of === 'figure' ? figure : ratio)?.median ?? Number.NaN
}

/** undefined: there is no goal. A figure that is not a number meets none. */
export function meetsGoal(measure: Measure): boolean | undefined {
  const { goal } = measure
  if (goal === undefined) return undefined
  return isWithin(heldAgainstGoal(measure, goal), goal, 1)
}

/**
 * Whether a value meets a goal that is so many times wider: 2 asks for half of what is to be
 * reached, and allows twice of what is not to be passed.
 */
export function isWithin(value: number, goal: Goal, slack: number): boolean {
  // A baseline of nothing makes a ratio without end: nothing was measured then.
  if (!Number.isFinite(value)) return false
  switch (goal.type) {
    case 'at least':
      return value >= goal.value / slack
    case 'at most':
      return value <= goal.value * slack
    case 'between':
      return value >= goal.least / slack && value <= goal.most * slack
    default:
      return goal satisfies never
  }
}
