/**
 * An honest little store in memory, for scenarios of the core: what it answers follows from rows,
 * sequences and watermarks, as in the real one. One call of `run` is one transaction.
 */
import { unreachable } from '../../../daemon/protocol/assert.ts'
import type { Environment } from '../../../daemon/protocol/crypto/provider.ts'
import type { StoreResult, StoreWork } from '../../../daemon/protocol/store-messages.ts'
import { RowInbox } from './row-inbox.ts'
import { RowOutbox } from './row-outbox.ts'

/** What a virtual host needs of a store; the real one is given in the same shape. */
export type HostStore = {
  readonly hasWork: boolean
  /** Looks for what has changed, does the work, and answers. */
  run(work: readonly StoreWork[], nowMs: number): StoreResult[]
  /** The process has ended, and another begins. */
  onRestart(): void
}

export class RowStore implements HostStore {
  readonly hasWork = false
  readonly outbox: RowOutbox
  readonly inbox: RowInbox

  constructor(environment: Environment) {
    const database = environment.randomBytes(16)
    this.outbox = new RowOutbox(environment, database)
    this.inbox = new RowInbox(environment, database)
  }

  /** Sessions of both directions that have not been forgotten. */
  get sessionCount(): number {
    return this.outbox.sessionCount + this.inbox.sessionCount
  }

  run(work: readonly StoreWork[], nowMs: number): StoreResult[] {
    const results: StoreResult[] = []
    const emit = (result: StoreResult): void => void results.push(result)
    for (const one of work) this.#do(one, nowMs, emit)
    this.outbox.scan(nowMs, emit)
    return results
  }

  onRestart(): void {
    this.outbox.onRestart()
    this.inbox.onRestart()
  }

  #do(work: StoreWork, nowMs: number, emit: (result: StoreResult) => void): void {
    switch (work.type) {
      case 'open-lane':
        return this.outbox.openLane(work, emit)
      case 'check-identity':
        return this.outbox.checkIdentity(work, emit)
      case 'read':
        return this.outbox.read(work, nowMs, emit)
      case 'confirmed':
        return this.outbox.confirmed(work)
      case 'row-rejected':
        return this.outbox.refused(work, nowMs)
      case 'lane-status':
        return this.outbox.setStatus(work)
      case 'lane-traffic':
        return this.outbox.addTraffic(work)
      case 'accept':
        return this.inbox.accept(work, emit)
      case 'receive':
        return this.inbox.receive(work, emit)
      case 'release-session':
        this.outbox.forget(work.session)
        return this.inbox.forget(work.session)
      default:
        return unreachable(work)
    }
  }
}
