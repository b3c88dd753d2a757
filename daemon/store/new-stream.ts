/**
 * Gives a lane a new stream: what it had numbered is unnumbered, and goes again under other
 * numbers. Must never be used but where the peer tells doubles by their uids (PROTOCOL §7.4).
 */
import { Chain, type Sha256 } from '../protocol/chain.ts'
import type { Lane, Lanes } from './lanes.ts'
import type { Runs } from './runs.ts'

/** Inside the open transaction. */
export function beginStream(
  { lanes, runs, sha256 }: { readonly lanes: Lanes; readonly runs: Runs; readonly sha256: Sha256 },
  lane: Lane,
  nowMs: number,
): void {
  runs.renew(lane, nowMs)
  lane.stream = lanes.newStream()
  lane.confirmed = 0
  lane.numbered = 0
  lane.numberedId = 0
  lane.releasedAt = 0
  lane.chain = new Chain(sha256)
  lane.lateFrom = Infinity
  lanes.onChanged(lane)
}
