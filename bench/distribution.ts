/**
 * Figures that were taken several times. Must never average: one disturbed repeat would move the
 * mean, and does not move the median.
 */
export type Distribution = {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** @param values at least one. */
export function spreadOf(values: readonly number[]): Distribution {
  if (values.length === 0) throw new Error('A spread needs a value.')
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) }
}

/** Of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  const half = sorted.length / 2
  const [upper = Number.NaN, lower = upper] = [
    sorted[Math.floor(half)],
    sorted[Math.ceil(half) - 1],
  ]
  return (upper + lower) / 2
}

/**
 * The value that `share` (0 … 1) of the values are at most (nearest rank): with a hundred of them,
 * that of 0.99 is the second largest.
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

/** Jain's index of fairness: 1 when all are equal, 1 / n when one has everything. */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0)
  const squares = shares.reduce((total, share) => total + share ** 2, 0)
  return sum ** 2 / (shares.length * squares)
}
