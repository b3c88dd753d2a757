/** What the classes of commit times tell. Must never claim more than the classes know. */
import { commitBoundsUs } from '../store/tally.ts'

/**
 * The time that a part of the commits did not exceed, taken to be spread evenly within its class.
 * @param counts how many are in each class, as in `Done.commitTimes`.
 * @returns microseconds; null when there were none; of the open class its lower bound.
 */
export function percentileUs(counts: readonly number[], part: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total === 0) return null
  let rank = part * total
  for (const [index, count] of counts.entries()) {
    const [from, to] = [commitBoundsUs[index - 1] ?? 0, commitBoundsUs[index]]
    if (to === undefined) return from
    if (count > 0 && rank <= count) return Math.round(from + ((to - from) * rank) / count)
    rank -= count
  }
  return commitBoundsUs.at(-1) ?? null
}
