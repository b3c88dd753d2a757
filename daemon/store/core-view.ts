/**
 * What the core believes: which sessions live, and which lanes have rows. It changes with what the
 * core asks, and with what it is answered, so never before the transaction of that answer is on
 * disk. Must never be changed by the work of a turn: the turn may fail.
 */
import { closeCode } from '../protocol/codec/frame.ts'
import type { LaneAddress, LaneId, SessionId, StoreResult } from '../protocol/store-messages.ts'
import type { StoreTask } from './store.ts'

export class CoreView {
  readonly #sessions = new Map<SessionId, 'outbound' | 'inbound'>()
  readonly #lanes = new Map<LaneId, LaneAddress>()

  /** Lanes that were named, and not said to be empty since. */
  get lanes(): Iterable<LaneAddress> {
    return this.#lanes.values()
  }

  /** The core has asked for these. */
  onTasks(tasks: readonly StoreTask[]): void {
    for (const task of tasks) {
      if (task.type === 'open-lane') this.#sessions.set(task.session, 'outbound')
      else if (task.type === 'accept') this.#sessions.set(task.session, 'inbound')
      else if (task.type === 'release-session') this.#sessions.delete(task.session)
    }
  }

  /** The core gets these answers, and their transaction is on disk. */
  onAnswered(results: readonly StoreResult[]): void {
    for (const result of results) {
      switch (result.type) {
        case 'session-invalidated':
        case 'rejected':
        case 'superseded':
          this.#sessions.delete(result.session)
          break
        case 'lanes':
          for (const address of result.lanes) this.#lanes.set(address.lane, address)
          break
        case 'drained':
          this.#lanes.delete(result.lane)
          break
        case 'lane-opened':
        case 'identity-checked':
        case 'rows':
        case 'retry-requested':
        case 'accepted':
        case 'received':
      }
    }
  }

  /** Answers that end every session, whatever a failed turn had made of it. */
  loseAll(retryAfterMs: number, reason: string, code?: string): StoreResult[] {
    const results = Array.from(this.#sessions, ([session, side]): StoreResult => {
      if (side === 'outbound') {
        const lost = { type: 'session-invalidated', session, retryAfterMs, reason } as const
        return code === undefined ? lost : { ...lost, code }
      }
      const rest = { code: closeCode.store, sequence: 0, retryAfterMs, reason }
      return { type: 'rejected', session, ...rest }
    })
    this.#sessions.clear()
    return results
  }
}
