/**
 * Applies what the rules of PROTOCOL §7.3 find: begins new streams, informs the operator, frees
 * what the peer has. Must never be wrong silently: whatever a rule notices is an event with the
 * facts in it.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { assert, unreachable } from '../../protocol/assert.ts'
import { equalBytes } from '../../protocol/codec/buffer.ts'
import type { LaneId, OpenedFacts } from '../../protocol/store-messages.ts'
import type { Connection } from '../connection.ts'
import type { EventLog } from '../event-log.ts'
import { HashChain, type Sha256 } from '../hash-chain.ts'
import type { Batches } from './batches.ts'
import type { Confirmer } from './confirmer.ts'
import type { Lane, Lanes } from './lanes.ts'

type IdentityDecision =
  | { readonly type: 'go' }
  | { readonly type: 'restart' }
  | { readonly type: 'pause'; readonly code: string; readonly reason: string }
  /** There is more to do than one transaction may hold: check again in the next. */
  | { readonly type: 'unfinished' }

type IdentityCheckParts = {
  readonly connection: Connection
  readonly lanes: Lanes
  readonly batches: Batches
  readonly confirmer: Confirmer
  readonly events: EventLog
  readonly sha256: Sha256
  readonly databaseId: Uint8Array
}

const noDigest = new Uint8Array(0)

export class IdentityCheck {
  readonly #parts: IdentityCheckParts
  readonly #requested: BetterSqlite3.Statement<[LaneId], string | null>
  readonly #clearRequested: BetterSqlite3.Statement<[LaneId]>

  constructor(parts: IdentityCheckParts) {
    this.#parts = parts
    const { connection } = parts
    this.#requested = connection.prepareValue('SELECT requested FROM mqlane WHERE id = ?')
    this.#clearRequested = connection.prepareChange(
      'UPDATE mqlane SET requested = NULL WHERE id = ?',
    )
  }

  /** @throws DatabaseBusy, DatabaseChanged */
  checkIdentity(
    lane: Lane,
    opened: OpenedFacts,
    addressIsOwn: boolean,
    nowMs: number,
  ): IdentityDecision {
    const decision = this.#decision(lane, opened, addressIsOwn)
    switch (decision.type) {
      case 'reject':
        return this.#refuse(lane, nowMs)
      case 'renew':
        return this.#renew(lane, decision.peer, decision.event, nowMs)
      case 'go':
        return this.#go(lane, decision.peer, opened, nowMs)
      default:
        return unreachable(decision)
    }
  }

  #decision(lane: Lane, opened: OpenedFacts, addressIsOwn: boolean): IdentityVerdict {
    const { batches, databaseId } = this.#parts
    const { peer, confirmed, numbered } = lane
    if (!batches.isComplete(lane)) {
      return { type: 'renew', peer: opened.database, event: { code: 'SELF_FORKED' } }
    }
    const identity = {
      ownDatabase: databaseId,
      addressIsOwn,
      peer,
      confirmed,
      numbered,
      digestAt: (sequence: number): Uint8Array => this.#digestAt(lane, sequence),
      // Rule 9 is applied to each row when it is about to be sent: no row is missed then.
      oldestRowMs: (): undefined => undefined,
    }
    return applyIdentityRules(identity, opened)
  }

  #digestAt(lane: Lane, sequence: number): Uint8Array {
    // A database that was damaged by hand: another digest than any peer's.
    if (lane.chain.sequence !== lane.confirmed) return noDigest
    const chain: HashChain = lane.chain.clone()
    for (const run of this.#parts.batches.open(lane)) {
      const from = Math.max(run.first, lane.confirmed + 1)
      const to = Math.min(run.last, sequence)
      if (from <= to) chain.appendMany(run.uidsOf(from, to))
    }
    return chain.digest()
  }

  #go(lane: Lane, peer: Uint8Array, opened: OpenedFacts, nowMs: number): IdentityDecision {
    const { lanes, connection, confirmer } = this.#parts
    const { lane: id } = lane.address
    const isReleased = this.#requested.get(id) === 'resend'
    if (lane.peer === undefined || isReleased) {
      connection.begin()
      lane.peer = peer
      if (isReleased) {
        lane.resendBefore = opened.logStart
        this.#clearRequested.run(id)
      }
      lanes.onChanged(lane)
    }
    if (confirmer.advance(lane, opened.watermark, nowMs)) return { type: 'go' }
    return { type: 'unfinished' }
  }

  #refuse(lane: Lane, nowMs: number): IdentityDecision {
    const { host, port } = lane.address
    const isMet = lane.peer !== undefined && !equalBytes(lane.peer, this.#parts.databaseId)
    const detail = isMet
      ? 'This very database answers, or a copy of it; so far the rows went to another one.'
      : 'The peer that answers has the identity of this very database, but not the address of ' +
        'this host: the other database is a copy of this one.'
    this.#parts.events.addHourly({ code: 'SELF_LOOP', host, port, detail }, nowMs)
    const reason = `${detail} Give the copy a new database_id in mqmeta, or correct the host`
    return { type: 'pause', code: 'TINYMQ_SELF_LOOP', reason }
  }

  #renew(lane: Lane, peer: Uint8Array, event: RenewEvent, nowMs: number): IdentityDecision {
    const { connection, events } = this.#parts
    connection.begin()
    const { host, port } = lane.address
    const detail = this.#detail(lane, event)
    events.add({ code: event.code, host, port, detail }, nowMs)
    lane.peer = peer
    beginStream(this.#parts, lane, nowMs)
    return { type: 'restart' }
  }

  #detail(lane: Lane, event: RenewEvent): string {
    const again = 'The rows that wait are sent under a new stream.'
    switch (event.code) {
      case 'PEER_REPLACED':
        return `The database at the peer is another one than before. ${again}`
      case 'PEER_ROLLED_BACK':
        return `${this.#lostAtPeer(lane, event)} ${again}`
      case 'SELF_ROLLED_BACK':
        return (
          'This database was restored from a backup: the peer has rows that it does not know. ' +
          `${again} What the peer has already, it takes only once.`
        )
      case 'SELF_FORKED':
        return (
          'This database was restored from a backup and went on, or a copy of it is in use: the ' +
          `peer has other rows under the same numbers. ${again} What the peer has already, it ` +
          'takes only once.'
        )
      default:
        return unreachable(event)
    }
  }

  #lostAtPeer(lane: Lane, { from, to }: { readonly from: number; readonly to: number }): string {
    const { ids, unknown } = this.#parts.batches.deliveredAs(lane, from, to)
    const known = ids.length === 0 ? 'none of their ids is known' : `mqout.id ${showIds(ids)}`
    const rest = unknown === 0 ? '' : `; of ${unknown} more the id is not known any more`
    const earlier = from === 1 ? ' Messages of earlier streams may be lost too.' : ''
    return (
      `The peer was restored from a backup and has lost the messages ${from} to ${to} of this ` +
      `lane, which had left the outbox: ${known}${rest}.${earlier}`
    )
  }
}

// What an initiator makes of an OPENED: rules 0 to 7 (PROTOCOL §7.3) and 9 (PROTOCOL §7.5) as one
// pure function. Must never decide what is an option's or an operator's: whether the lane holds.

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
   * to send though they may be duplicated do not count. Asked only when the peer has forgotten
   * some.
   */
  readonly oldestRowMs: (watermark: number) => number | undefined
}

/** Of OPENED (PROTOCOL §5.6), what identity is checked by. */
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

export type IdentityVerdict =
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
  | { readonly type: 'reject'; readonly event: { readonly code: 'SELF_LOOP' } }

/** The first rule that matches wins. */
export function applyIdentityRules(lane: LaneIdentity, opened: OpenedIdentity): IdentityVerdict {
  const { confirmed, numbered } = lane
  const { database, watermark } = opened
  assert(confirmed <= numbered, 'What is confirmed had a number.')

  // Rule 0: our own database answers where another is meant: it is a copy, or the name is wrong.
  const isMeant = lane.peer === undefined || equalBytes(lane.peer, database)
  if (equalBytes(database, lane.ownDatabase) && !(lane.addressIsOwn && isMeant)) {
    return { type: 'reject', event: { code: 'SELF_LOOP' } }
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

function go(
  lane: LaneIdentity,
  { database, watermark, logStart }: OpenedIdentity,
): IdentityVerdict {
  // Rule 9: a row as old as what the responder has forgotten may be there already.
  const oldestMs = logStart > 0 ? lane.oldestRowMs(watermark) : undefined
  const ambiguous = oldestMs !== undefined && oldestMs <= logStart
  return { type: 'go', peer: database, from: watermark + 1, ambiguous }
}

function renew(peer: Uint8Array, event: RenewEvent): IdentityVerdict {
  return { type: 'renew', peer, event }
}

// Gives a lane a new stream: what it had numbered is unnumbered, and goes again under other
// numbers. Must never be used but where the peer recognises duplicates by their uids (PROTOCOL
// §7.4).

/** Inside the open transaction. */
export function beginStream(
  {
    lanes,
    batches,
    sha256,
  }: { readonly lanes: Lanes; readonly batches: Batches; readonly sha256: Sha256 },
  lane: Lane,
  nowMs: number,
): void {
  batches.renew(lane, nowMs)
  lane.stream = lanes.newStream()
  lane.confirmed = 0
  lane.numbered = 0
  lane.numberedId = 0
  lane.resendBefore = 0
  lane.chain = new HashChain(sha256)
  lane.lateFrom = Infinity
  lanes.onChanged(lane)
}

// Ids as people read them: `1-4, 7, 9-12`.

/** A list that nobody reads to its end is cut here. */
const rangesMax = 2_000

function showIds(ids: readonly number[]): string {
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
