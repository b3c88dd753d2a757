/**
 * Everything that the store knows besides the file: lanes, batches, sessions, what was seen and
 * named. It is built from the file, by this one function, when the process starts and after each
 * failed turn: what a rolled-back transaction had changed in memory is thrown away with all of it.
 * Must never hold what has to outlive a failed turn: that is the store's (`Outside`).
 */
import { closeCode } from '../protocol/codec/frame.ts'
import type { LaneAddress, LaneId, SessionId, StoreResult } from '../protocol/store-messages.ts'
import type { StoreTask } from './store.ts'
import { TinymqError } from '../../sdk/schema/errors.ts'
import { Confirmer } from './outbox/confirmer.ts'
import type { Connection, StoreEnvironment } from './connection.ts'
import { EventLog } from './event-log.ts'
import { Inbox } from './inbox/inbox.ts'
import { RowWriter } from './inbox/row-writer.ts'
import { IdentityCheck } from './outbox/identity-check.ts'
import { KeyPolicy, type KeyPolicyChoice } from './key-policy.ts'
import { Lanes } from './outbox/lanes.ts'
import { Sequencer } from './outbox/sequencer.ts'
import { OutboxDestinations } from './outbox/destinations.ts'
import { RowReader } from './outbox/row-reader.ts'
import { Outbox } from './outbox/outbox.ts'
import { ParkedRows, RequeuedRows } from './outbox/parked-rows.ts'
import { PartialBodies } from './inbox/partial-bodies.ts'
import { type IndexRebuild, KeyMigration } from './key-migration.ts'
import { RowDeletion, type Suspended } from './outbox/row-deletion.ts'
import { Batches } from './outbox/batches.ts'
import { Scanner } from './outbox/scanner.ts'
import { UidIndex } from './inbox/uid-index.ts'
import { UidLog } from './inbox/uid-log.ts'
import { Senders, type Suspects } from './inbox/senders.ts'
import { MessageWriter } from './inbox/message-writer.ts'

/** What the parts take from the store, which keeps it when a turn has failed. */
export type Outside = {
  /** Its statements stay compiled. */
  readonly connection: Connection
  readonly environment: StoreEnvironment
  readonly keyPolicyChoice: KeyPolicyChoice
  readonly core: CoreView
  readonly suspects: Suspects
  readonly suspended: Map<LaneId, Suspended>
  readonly rebuild: IndexRebuild
  /** An object of the owner's keeps the daemon from writing what nothing depends on. */
  readonly onUnwritten: (reason: string) => void
}

export type Memory = {
  /** The identity of this database, 16 bytes. */
  readonly databaseId: Uint8Array
  readonly lanes: Lanes
  readonly batches: Batches
  readonly events: EventLog
  readonly keyMigration: KeyMigration
  readonly scanner: Scanner
  readonly senders: Senders
  readonly outbox: Outbox
  readonly inbox: Inbox
  readonly deletion: RowDeletion
  /** Lanes whose read could not be answered in the last transaction. */
  readonly unread: Set<LaneId>
}

/** As when the process starts. It reads, and writes nothing. */
export function memoryOf(outside: Outside): Memory {
  const { connection, environment, core, suspects } = outside
  const { randomBytes, sha256 } = environment
  const databaseId = readDatabaseId(connection)
  const lanes = new Lanes(connection, environment)
  const batches = new Batches(connection)
  const keyPolicy = new KeyPolicy(outside.keyPolicyChoice)
  const rows = new RowReader(connection, keyPolicy)
  const parked = new ParkedRows(connection)
  const requeued = new RequeuedRows(connection, keyPolicy)
  const events = new EventLog(connection, outside.onUnwritten)
  const deletion = new RowDeletion(connection, keyPolicy, events, outside.suspended)
  const confirmer = new Confirmer(connection, lanes, batches, keyPolicy, deletion)
  const sequencer = new Sequencer(connection, lanes, batches, rows, parked, requeued)
  const shared = { connection, lanes, batches, confirmer, events, randomBytes, sha256, databaseId }
  const identityCheck = new IdentityCheck(shared)
  const uidIndex = new UidIndex(connection, sha256)
  const log = new UidLog(connection, uidIndex)
  const senders = new Senders(connection, log, sha256)
  const inboxRows = new RowWriter(connection)
  const messageWriter = new MessageWriter(
    connection,
    keyPolicy,
    senders,
    log,
    uidIndex,
    inboxRows,
    suspects,
  )
  const parts = new PartialBodies(connection)
  const outbox = new Outbox({ ...shared, rows, sequencer, identityCheck })
  const isSentTo = (peer: Uint8Array, key: string): boolean => lanes.isWith(peer, key)
  const inbox = new Inbox({ ...shared, isSentTo, senders, log, uidIndex, parts, messageWriter })
  const destinations = new OutboxDestinations(connection, keyPolicy)
  const hasSession = (lane: LaneId): boolean => outbox.hasSession(lane)
  const settle = (lane: LaneId): void => outbox.settle(lane)
  const scanned = { connection, lanes, destinations, rows, parked, requeued, known: core.lanes }
  const mayHaveKept = (): boolean => deletion.mayHaveKept
  const scanner = new Scanner({
    ...scanned,
    hasSession,
    settle,
    mayHaveKept,
    nowUs: environment.nowUs,
  })
  const keyMigration = new KeyMigration({ ...shared, keyPolicy, rebuild: outside.rebuild })
  const unread = new Set<LaneId>()
  return {
    databaseId,
    lanes,
    batches,
    events,
    keyMigration,
    scanner,
    senders,
    outbox,
    inbox,
    deletion,
    unread,
  }
}

/** As the file says now. */
export function readDatabaseId(connection: Connection): Uint8Array {
  const read = connection.prepareValue<[], unknown>(
    "SELECT value FROM mqmeta WHERE key = 'database_id'",
  )
  const databaseId = read.get()
  if (databaseId instanceof Uint8Array && databaseId.length === 16)
    return Uint8Array.from(databaseId)
  const sentence =
    'the database_id in mqmeta, which names this database to its peers, is no BLOB of 16 bytes: ' +
    'write ' +
    'back that of a backup; with a new one, randomblob(16), peers take it for another database'
  throw new TinymqError('TINYMQ_CORRUPT', sentence)
}

// What the core believes: which sessions live, and which lanes have rows. It changes with what
// the core asks, and with what it is answered, so never before the transaction of that answer
// is on disk. Must never be changed by the work of a turn: the turn may fail.

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
