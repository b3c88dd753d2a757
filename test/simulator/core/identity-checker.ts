/**
 * What must be true in every life of the identity model, checked by what no party to it can see.
 * Must never act on the parties but note what is watched, and must never be used outside tests.
 */
import { unreachable } from '../../../daemon/protocol/assert.ts'
import type { RenewEvent, IdentityVerdict } from '../../../daemon/store/outbox/identity-check.ts'
import type { Entry, Id, Lane, ReceiverDatabase, Row } from './identity-parties.ts'

/** What can be the cause of an event. */
type Cause =
  | 'sender copied'
  | 'receiver copied'
  | 'receiver changed'
  | 'uids forgotten'
  | 'row rejected'

export class Checker {
  readonly violations: string[] = []
  /** How often what has happened; events by their code. */
  readonly counts = new Map<string, number>()
  readonly #causes = new Set<Cause>()
  readonly #deleted = new Set<number>()

  happened(cause: Cause): void {
    this.#causes.add(cause)
  }

  count(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times)
  }

  /** Before the lane acts upon the verdict. */
  onDecision(lane: Lane, receiver: ReceiverDatabase, decision: IdentityVerdict): void {
    switch (decision.type) {
      case 'go':
        this.#expectNamed(this.#missing(lane, receiver), 'no event names it')
        return
      case 'renew':
        this.count(decision.event.code)
        this.#onEvent(lane, receiver, decision.event)
        return
      case 'reject':
        this.violations.push('no peer here has the sender’s own database')
        return
      default:
        unreachable(decision)
    }
  }

  #onEvent(lane: Lane, receiver: ReceiverDatabase, event: RenewEvent): void {
    switch (event.code) {
      case 'PEER_REPLACED':
        this.#expectCause(event.code, 'receiver changed')
        return
      case 'PEER_ROLLED_BACK': {
        this.#expectCause(event.code, 'receiver copied')
        const unnamed = this.#missing(lane, receiver).filter((sequence) => sequence < event.from)
        this.#expectNamed(this.#exceptOvertaken(lane, receiver, unnamed), event.code)
        return
      }
      case 'SELF_ROLLED_BACK':
      case 'SELF_FORKED': {
        // PROTOCOL §6.3: a rejected sequence changes its uid, and a restored receiver may know
        // both.
        this.#expectCause(event.code, 'sender copied', 'row rejected')
        const unnamed = this.#missing(lane, receiver)
        this.#expectNamed(this.#exceptOvertaken(lane, receiver, unnamed), event.code)
        return
      }
      default:
        unreachable(event)
    }
  }

  /**
   * PROTOCOL §7.6: when the receiver was restored and a copy of the sender went on with the stream
   * first, what it overtook cannot be known.
   */
  #exceptOvertaken(lane: Lane, receiver: ReceiverDatabase, sequences: readonly number[]): number[] {
    const other = receiver.streams.get(lane.stream)?.history ?? []
    const fork = lane.history.findIndex((uid, index) => uid !== other[index])
    const rest = sequences.filter((sequence) => fork < 0 || sequence <= fork)
    this.count('overtaken', sequences.length - rest.length)
    return rest
  }

  onDeleted(row: Row): void {
    this.#deleted.add(row.uid.n)
  }

  onAmbiguous(): void {
    this.count('AMBIGUOUS')
    this.#expectCause('AMBIGUOUS', 'uids forgotten')
  }

  /** Rows have been freed because of a confirm. `first` is the sequence of the first one. */
  onFreed(lane: Lane, receiver: ReceiverDatabase, freed: readonly Entry[], first: number): void {
    for (const [index, { uid, row }] of freed.entries()) {
      if (row === undefined) continue
      const isStored = receiver.stored.has(uid.n)
      if (isStored) lane.watched.set(uid.n, first + index)
      this.#expect(this.#isSettled(uid.n, receiver), 'a row was freed that is not stored')
    }
  }

  /** Before the receiver inserts the row. */
  onInsert(lane: Lane, receiver: ReceiverDatabase, row: Row): void {
    if (!receiver.stored.has(row.uid.n)) return
    if (row.createdMs <= lane.releasedMs) this.count('duplicated by the operator’s choice')
    else this.#expect(false, 'a row is stored twice')
  }

  /** Before the receiver moves on over the row. */
  onMessage(lane: Lane, receiver: ReceiverDatabase, row: Row, databaseId: Id): void {
    const inbound = receiver.inbound(lane.stream, databaseId)
    const isInOrder = row.isDisplaced || row.id > inbound.lastRow
    this.#expect(isInOrder, 'a stream is not in the order of the ids')
    inbound.lastRow = Math.max(inbound.lastRow, row.id)
  }

  /** After all rows had peace to be delivered to `receiver`. */
  onEnd(lane: Lane, receiver: ReceiverDatabase): void {
    this.#expect(lane.isEmpty, 'a row is stuck')
    this.#expectNamed(this.#missing(lane, receiver), 'no event names it at the end')
  }

  /** The sequences of confirmed rows that the receiver does not have. */
  #missing(lane: Lane, receiver: ReceiverDatabase): number[] {
    return Array.from(lane.watched).flatMap(([uid, sequence]) =>
      this.#isSettled(uid, receiver) ? [] : [sequence],
    )
  }

  /** PROTOCOL §7.6: stored, or skipped because some copy of the sender has deleted it. */
  #isSettled(uid: number, { stored, skipped }: ReceiverDatabase): boolean {
    return stored.has(uid) || (skipped.has(uid) && this.#deleted.has(uid))
  }

  #expectNamed(unnamed: readonly number[], but: string): void {
    this.#expect(unnamed.length === 0, `a confirmed row is missing, but: ${but}`)
  }

  #expect(isTrue: boolean, otherwise: string): void {
    if (!isTrue) this.violations.push(otherwise)
  }

  #expectCause(code: string, ...causes: readonly Cause[]): void {
    const isCaused = causes.some((cause) => this.#causes.has(cause))
    this.#expect(isCaused, `${code} is a false alarm`)
  }
}
