/**
 * Ids as people read them: `1-4, 7, 9-12`.
 */

/** A list that nobody reads to its end is cut here. */
const rangesMax = 2_000

export function showIds(ids: readonly number[]): string {
  const ranges = rangesOf(ids.toSorted((one, other) => one - other))
  const shown = ranges
    .slice(0, rangesMax)
    .map(([from, to]) => (from === to ? from : `${from}-${to}`))
  const rest = ranges.slice(rangesMax).reduce((sum, [from, to]) => sum + to - from + 1, 0)
  return shown.join(', ') + (rest === 0 ? '' : ` and ${rest} more`)
}

function rangesOf(ids: readonly number[]): [number, number][] {
  const ranges: [number, number][] = []
  for (const id of ids) {
    const range = ranges.at(-1)
    if (range !== undefined && id <= range[1] + 1) range[1] = id
    else ranges.push([id, id])
  }
  return ranges
}
