/**
 * What an initiator makes of an OPENED: rules 0 to 7 (PROTOCOL §7.3) and 9 (PROTOCOL §7.5) as one
 * pure function. Must never decide what is an option's or an operator's: whether the lane holds.
 */
import { assert } from './assert.ts'
import type { OpenedFacts } from './store-port.ts'
import { equalBytes } from './wire.ts'

/** What the initiator knows of its lane. */
export type LaneIdentity = {
  /** The id of its own database. */
  readonly ownDatabase: Uint8Array
  /** Every address of the lane's name is one of this host's own, and the port is our port. */
  readonly addressIsOwn: boolean
  /** R, the database that the lane has been with; undefined before first contact. */
  readonly peer: Uint8Array | undefined
  /** a, the highest confirmed sequence. */
  readonly confirmed: number
  /** n, the highest assigned sequence. */
  readonly numbered: number
  /** The digest of the lane's own chain. Asked at most once, for a sequence from a to n. */
  readonly digestAt: (sequence: number) => Uint8Array
  /**
   * When the oldest row was created that waits in the lane beyond the sequence `watermark`, with a
   * number or without, in milliseconds since 1970; undefined for none. Rows that the operator chose
   * to send though they may double do not count. Asked only when the peer has forgotten some.
   */
  readonly oldestRowMs: (watermark: number) => number | undefined
}

/** Of OPENED (PROTOCOL §5.6), what identity is judged by. */
export type OpenedIdentity = Pick<OpenedFacts, 'database' | 'watermark' | 'digest' | 'logStart'>

/** Why a lane begins a new stream. */
export type RenewEvent =
  | { readonly code: 'PEER_REPLACED' }
  /**
   * The peer has lost the confirmed sequences `from` to `to`. With `from` 1 it was restored to
   * before the stream began, and rows confirmed in earlier streams of the lane may be lost too.
   */
  | { readonly code: 'PEER_ROLLED_BACK'; readonly from: number; readonly to: number }
  | { readonly code: 'SELF_ROLLED_BACK' }
  | { readonly code: 'SELF_FORKED' }

export type Verdict =
  /**
   * R becomes `peer`, rows below `from` are confirmed, and the session goes on with the row of this
   * sequence; but if it is `ambiguous`, only after the operator has chosen (event AMBIGUOUS).
   */
  | {
      readonly type: 'go'
      readonly peer: Uint8Array
      readonly from: number
      readonly ambiguous: boolean
    }
  /** R becomes `peer`, the lane begins a new stream, and OPENs again. */
  | { readonly type: 'renew'; readonly peer: Uint8Array; readonly event: RenewEvent }
  /** The session is closed, the lane stays as it is and waits. */
  | { readonly type: 'refuse'; readonly event: { readonly code: 'SELF_LOOP' } }

/** The first rule that matches wins. */
export function judge(lane: LaneIdentity, opened: OpenedIdentity): Verdict {
  const { confirmed, numbered } = lane
  const { database, watermark } = opened
  assert(confirmed <= numbered, 'What is confirmed had a number.')

  // Rule 0: our own database answers where another is meant: it is a copy, or the name is wrong.
  const isMeant = lane.peer === undefined || equalBytes(lane.peer, database)
  if (equalBytes(database, lane.ownDatabase) && !(lane.addressIsOwn && isMeant)) {
    return { type: 'refuse', event: { code: 'SELF_LOOP' } }
  }
  // Rule 1: first contact. The rest applies to it too: another copy of us may have been there.
  const peer = lane.peer ?? database
  // Rule 2: another database than before.
  if (!equalBytes(database, peer)) return renew(database, { code: 'PEER_REPLACED' })
  // Rule 3: a fresh stream.
  if (watermark === 0 && confirmed === 0) return go(lane, opened)
  // Rule 4: the responder has forgotten what it confirmed.
  if (watermark < confirmed) {
    return renew(database, { code: 'PEER_ROLLED_BACK', from: watermark + 1, to: confirmed })
  }
  // Rule 5: the responder has sequences that this database never gave.
  if (watermark > numbered) return renew(database, { code: 'SELF_ROLLED_BACK' })
  // Rule 6: it gave them to other rows.
  if (!equalBytes(opened.digest, lane.digestAt(watermark))) {
    return renew(database, { code: 'SELF_FORKED' })
  }
  // Rule 7: both know the same rows.
  return go(lane, opened)
}

function go(lane: LaneIdentity, { database, watermark, logStart }: OpenedIdentity): Verdict {
  // Rule 9: a row as old as what the responder has forgotten may be there already.
  const oldestMs = logStart > 0 ? lane.oldestRowMs(watermark) : undefined
  const ambiguous = oldestMs !== undefined && oldestMs <= logStart
  return { type: 'go', peer: database, from: watermark + 1, ambiguous }
}

function renew(peer: Uint8Array, event: RenewEvent): Verdict {
  return { type: 'renew', peer, event }
}
