/**
 * What a daemon has done since it started, for logs and metrics: one plain object, only ever
 * counted up. Must never be read to decide anything.
 */

import type { NodeCounters } from '../protocol/io.ts'
import type { StoreWork } from '../protocol/store-messages.ts'
import type { StoreUsage } from '../store/thread/runner.ts'
import { addTotals, emptyTotals, type Totals } from '../store/metrics.ts'

export type Counters = {
  /** Rejected by the system, by its code. */
  readonly sendsFailed: { [code: string]: number }
  readonly receivesFailed: { [code: string]: number }
  namesAsked: number
  /** What the store has on disk, and the microseconds that it was at work. */
  readonly done: Totals
  storeBusyUs: number
  /** Packets of lanes that ask for an ack, and those that did not arrive. */
  packets: number
  lost: number
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
    done: emptyTotals(),
    storeBusyUs: 0,
    packets: 0,
    lost: 0,
    core: undefined,
    events: {},
  }
}

export function countUsage(counters: Counters, effort: StoreUsage): void {
  addTotals(counters.done, effort)
  counters.storeBusyUs += effort.busyUs
}

/** Lanes say once a second what they have sent. */
export function countWork(counters: Counters, work: StoreWork): void {
  if (work.type !== 'lane-traffic') return
  counters.packets += work.traffic.packets
  counters.lost += work.traffic.lost
}

/** Counts one of a kind; the kinds are few and not of an unauthenticated peer's choice. */
export function countKind(counts: { [kind: string]: number }, kind: string): void {
  counts[kind] = (counts[kind] ?? 0) + 1
}
