/**
 * The guard against regressions: `--quick` fails when a measure falls below half of its goal, or
 * takes more than twice of what it may. Must never judge a figure on a first look alone: what falls
 * below is measured once more, and only what falls below again is a regression. Noise passes, a
 * regression stays.
 */
import { type Measure, heldAgainstGoal, isWithin } from './measure.ts'
import { showGoal, showNumber } from './table.ts'

/** How much worse than its goal a measure may be. */
export const slack = 2

export function isRegression(measure: Measure): boolean {
  const { goal } = measure
  return goal !== undefined && !isWithin(heldAgainstGoal(measure, goal), goal, slack)
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
