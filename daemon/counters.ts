/**
 * What a daemon has done since it started, for logs and metrics: one plain object, only ever
 * counted up. Must never be read to decide anything.
 */

export type Counters = {
  /** Refused by the system, by its code. */
  readonly sendsFailed: { [code: string]: number }
  readonly receivesFailed: { [code: string]: number }
  namesAsked: number
  /** Write transactions of the store, and the microseconds spent in its runs. */
  commits: number
  storeBusyUs: number
  /** Events of the core, by type. */
  readonly events: { [type: string]: number }
}

export function createCounters(): Counters {
  return {
    sendsFailed: {},
    receivesFailed: {},
    namesAsked: 0,
    commits: 0,
    storeBusyUs: 0,
    events: {},
  }
}

/** Counts one of a kind; the kinds are few and not of a stranger's choice. */
export function countKind(counts: { [kind: string]: number }, kind: string): void {
  counts[kind] = (counts[kind] ?? 0) + 1
}
