/**
 * What the store has done, for metrics and the page: counted inside a transaction, and reported
 * once it is on disk. Must never be read to decide anything.
 */

/** Upper bounds of the classes of commit times, microseconds; the last class has none. */
export const commitBoundsUs: readonly number[] = [
  100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
]

export type Totals = {
  /** Rows that left mqout because the peer has them on disk. */
  delivered: number
  /** Rows that came into mqin. */
  received: number
  /** Write transactions, how long their COMMITs took in all, and how many took how long. */
  commits: number
  commitUs: number
  readonly commitTimes: number[]
}

export function emptyTotals(): Totals {
  const commitTimes = Array<number>(commitBoundsUs.length + 1).fill(0)
  return { delivered: 0, received: 0, commits: 0, commitUs: 0, commitTimes }
}

/** Adds `more` to `sum`. */
export function addTotals(sum: Totals, more: Totals): void {
  sum.delivered += more.delivered
  sum.received += more.received
  sum.commits += more.commits
  sum.commitUs += more.commitUs
  for (const [index, count] of more.commitTimes.entries()) {
    sum.commitTimes[index] = (sum.commitTimes[index] ?? 0) + count
  }
}

export class StoreMetrics {
  #totals = emptyTotals()
  #delivered = 0
  #received = 0

  /** A transaction begins: what another one had counted that was rolled back never happened. */
  onBegin(): void {
    this.#delivered = 0
    this.#received = 0
  }

  onDelivered(rows: number): void {
    this.#delivered += rows
  }

  onReceived(rows: number): void {
    this.#received += rows
  }

  /** @param commitUs how long the COMMIT took, microseconds. */
  onCommit(commitUs: number): void {
    const index = commitBoundsUs.findIndex((bound) => commitUs <= bound)
    const destination = index === -1 ? commitBoundsUs.length : index
    const { commitTimes } = this.#totals
    commitTimes[destination] = (commitTimes[destination] ?? 0) + 1
    this.#totals.commits++
    this.#totals.commitUs += commitUs
    this.#totals.delivered += this.#delivered
    this.#totals.received += this.#received
    this.onBegin()
  }

  /** What was done since the last call. */
  take(): Totals {
    const totals = this.#totals
    this.#totals = emptyTotals()
    return totals
  }
}
