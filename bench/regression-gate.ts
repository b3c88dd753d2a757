/**
 * The guard against regressions: `--quick` fails when a measure falls below half of its goal, or
 * takes more than twice of what it may. Must never check a figure on a first look alone: what falls
 * below is measured once more, and only what falls below again is a regression. Noise passes, a
 * regression stays.
 */
import { type Goal, type Measure, heldAgainstGoal, isWithin } from './measure.ts'
import { showGoal, showNumber } from './table.ts'

/** How much worse than its goal a measure may be. */
export const slack = 2

export function isRegression(measure: Measure): boolean {
  const { goal } = measure
  if (goal === undefined) return false
  return !isWithin(heldAgainstGoal(measure, goal), onThisMachine(measure, goal), slack)
}

/**
 * A time that is not to be passed was set where the baseline takes next to nothing. Where the disk
 * or the other programs of a machine are slow, what the baseline took comes on top of it.
 */
function onThisMachine({ unit, baseline }: Measure, goal: Goal): Goal {
  const isTime = unit === 'ms' || unit === 's' || unit === 'µs'
  if (goal.type !== 'at most' || goal.of !== 'figure' || !isTime) return goal
  return baseline?.unit === unit ? { ...goal, value: goal.value + baseline.figure.median } : goal
}

/** The better of two looks at the same measure: the one that is no regression, if there is one. */
export function better(first: Measure, second: Measure | undefined): Measure {
  return second !== undefined && isRegression(first) ? second : first
}

/** One sentence for each regression. */
export function regressionsOf(measures: readonly Measure[]): string[] {
  return measures.filter(isRegression).map((measure) => {
    const { goal, what } = measure
    if (goal === undefined) return what
    const value = showNumber(heldAgainstGoal(measure, goal))
    return (
      `${what}: ${value} is more than ${slack} times off its goal of ${showGoal(measure)}. ` +
      'Run `npm run bench -- --profile DIR` on this commit and on the one before it.'
    )
  })
}
