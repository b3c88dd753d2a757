/**
 * What a daemon has done since it started, for logs and metrics: one plain object, only ever
 * counted up. Must never be read to decide anything.
 */

import type { NodeCounters } from './protocol/node.ts'

export type Counters = {
  /** Refused by the system, by its code. */
  readonly sendsFailed: { [code: string]: number }
  readonly receivesFailed: { [code: string]: number }
  namesAsked: number
  /** Write transactions of the store, and the microseconds that it was at work. */
  commits: number
  storeBusyUs: number
  /** Datagrams and bytes: the core counts them itself, from the beginning on each new file. */
  core: NodeCounters | undefined
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
    core: undefined,
    events: {},
  }
}

/** Counts one of a kind; the kinds are few and not of a stranger's choice. */
export function countKind(counts: { [kind: string]: number }, kind: string): void {
  counts[kind] = (counts[kind] ?? 0) + 1
}
