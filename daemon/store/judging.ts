/**
 * Applies what the rules of PROTOCOL §7.3 find: begins new streams, tells the operator, frees what
 * the peer has. Must never be wrong silently: whatever a rule notices is an event with the facts in
 * it.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { unreachable } from '../protocol/assert.ts'
import { judge, type RenewEvent, type Verdict } from '../protocol/identity.ts'
import type { LaneId, OpenedFacts } from '../protocol/store-port.ts'
import { equalBytes } from '../protocol/wire.ts'
import type { Chain, Sha256 } from '../protocol/chain.ts'
import type { Confirming } from './confirming.ts'
import type { Connection } from './connection.ts'
import type { Events } from './events.ts'
import { showIds } from './id-ranges.ts'
import type { Lane, Lanes } from './lanes.ts'
import { beginStream } from './new-stream.ts'
import type { Runs } from './runs.ts'

export type Judgement =
  | { readonly type: 'go' }
  | { readonly type: 'restart' }
  | { readonly type: 'hold'; readonly code: string; readonly reason: string }
  /** There is more to do than one transaction may hold: judge again in the next. */
  | { readonly type: 'unfinished' }

type JudgingParts = {
  readonly connection: Connection
  readonly lanes: Lanes
  readonly runs: Runs
  readonly confirming: Confirming
  readonly events: Events
  readonly sha256: Sha256
  readonly origin: Uint8Array
}

const noDigest = new Uint8Array(0)

export class Judging {
  readonly #parts: JudgingParts
  readonly #wish: BetterSqlite3.Statement<[LaneId], string | null>
  readonly #clearWish: BetterSqlite3.Statement<[LaneId]>
  readonly #nextIncarnation: BetterSqlite3.Statement<[]>
  #hasNewIncarnation = false

  constructor(parts: JudgingParts) {
    this.#parts = parts
    const { connection } = parts
    this.#wish = connection.prepareValue('SELECT wish FROM mqlane WHERE id = ?')
    this.#clearWish = connection.prepareChange('UPDATE mqlane SET wish = NULL WHERE id = ?')
    this.#nextIncarnation = connection.prepareChange(
      "UPDATE mqmeta SET value = value + 1 WHERE key = 'incarnation'",
    )
  }

  /** @throws DatabaseBusy, DatabaseChanged */
  judge(lane: Lane, opened: OpenedFacts, addressIsOwn: boolean, nowMs: number): Judgement {
    const verdict = this.#verdict(lane, opened, addressIsOwn)
    switch (verdict.type) {
      case 'refuse':
        return this.#refuse(lane, nowMs)
      case 'renew':
        return this.#renew(lane, verdict.peer, verdict.event, nowMs)
      case 'go':
        return this.#go(lane, verdict.peer, opened, nowMs)
      default:
        return unreachable(verdict)
    }
  }

  #verdict(lane: Lane, opened: OpenedFacts, addressIsOwn: boolean): Verdict {
    const { runs, origin } = this.#parts
    const { peer, confirmed, numbered } = lane
    if (!runs.isComplete(lane)) {
      return { type: 'renew', peer: opened.database, event: { code: 'SELF_FORKED' } }
    }
    const identity = {
      ownDatabase: origin,
      addressIsOwn,
      peer,
      confirmed,
      numbered,
      digestAt: (sequence: number): Uint8Array => this.#digestAt(lane, sequence),
      // Rule 9 is applied to each row when it is about to be sent: no row is missed then.
      oldestRowMs: (): undefined => undefined,
    }
    return judge(identity, opened)
  }

  #digestAt(lane: Lane, sequence: number): Uint8Array {
    // A database that was damaged by hand: another digest than any peer's.
    if (lane.chain.sequence !== lane.confirmed) return noDigest
    const chain: Chain = lane.chain.clone()
    for (const run of this.#parts.runs.open(lane)) {
      const from = Math.max(run.first, lane.confirmed + 1)
      const to = Math.min(run.last, sequence)
      if (from <= to) chain.appendMany(run.uidsOf(from, to))
    }
    return chain.digest()
  }

  #go(lane: Lane, peer: Uint8Array, opened: OpenedFacts, nowMs: number): Judgement {
    const { lanes, connection, confirming } = this.#parts
    const { lane: id } = lane.address
    const isReleased = this.#wish.get(id) === 'resend'
    if (lane.peer === undefined || isReleased) {
      connection.begin()
      lane.peer = peer
      if (isReleased) {
        lane.releasedAt = opened.logStart
        this.#clearWish.run(id)
      }
      lanes.onChanged(lane)
    }
    if (confirming.advance(lane, opened.watermark, nowMs)) return { type: 'go' }
    return { type: 'unfinished' }
  }

  #refuse(lane: Lane, nowMs: number): Judgement {
    const { host, port } = lane.address
    const isMet = lane.peer !== undefined && !equalBytes(lane.peer, this.#parts.origin)
    const detail = isMet
      ? 'This very database answers, or a copy of it; so far the rows went to another one.'
      : 'The peer that answers has the identity of this very database, but not the address of ' +
        'this host: the other database is a copy of this one.'
    this.#parts.events.addHourly({ code: 'SELF_LOOP', host, port, detail }, nowMs)
    const reason = `${detail} Give the copy a new origin in mqmeta, or correct the host`
    return { type: 'hold', code: 'TINYMQ_SELF_LOOP', reason }
  }

  #renew(lane: Lane, peer: Uint8Array, event: RenewEvent, nowMs: number): Judgement {
    const { connection, events } = this.#parts
    connection.begin()
    const { host, port } = lane.address
    const detail = this.#detail(lane, event)
    events.add({ code: event.code, host, port, detail }, nowMs)
    if (event.code.startsWith('SELF_')) this.#beginIncarnation()
    lane.peer = peer
    beginStream(this.#parts, lane, nowMs)
    return { type: 'restart' }
  }

  /** Once for all lanes that notice the same restore. */
  #beginIncarnation(): void {
    if (this.#hasNewIncarnation) return
    this.#hasNewIncarnation = true
    this.#nextIncarnation.run()
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
    const { ids, unknown } = this.#parts.runs.deliveredAs(lane, from, to)
    const known = ids.length === 0 ? 'none of their ids is known' : `mqout.id ${showIds(ids)}`
    const rest = unknown === 0 ? '' : `; of ${unknown} more the id is not known any more`
    const earlier = from === 1 ? ' Messages of earlier streams may be lost too.' : ''
    return (
      `The peer was restored from a backup and has lost the messages ${from} to ${to} of this ` +
      `lane, which had left the outbox: ${known}${rest}.${earlier}`
    )
  }
}
