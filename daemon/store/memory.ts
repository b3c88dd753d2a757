/**
 * Everything that the store knows besides the file: lanes, batches, sessions, what was seen and
 * named. It is built from the file, by this one function, when the process starts and after each
 * failed turn: what a rolled-back transaction had changed in memory is thrown away with all of it.
 * Must never hold what has to outlive a failed turn: that is the store's (`Outside`).
 */
import { TinymqError } from '../../sdk/errors.ts'
import type { LaneId } from '../protocol/store-port.ts'
import { Confirming } from './confirming.ts'
import type { Connection } from './connection.ts'
import type { CoreView } from './core-view.ts'
import type { StoreEnvironment } from './environment.ts'
import { Events } from './events.ts'
import { Inbox } from './inbox.ts'
import { InboxRows } from './inbox-rows.ts'
import { Judging } from './judging.ts'
import { Keying, type KeyingChoice } from './keying.ts'
import { Lanes } from './lanes.ts'
import { Numbering } from './numbering.ts'
import { OutboxPlaces } from './outbox-places.ts'
import { OutboxRows } from './outbox-rows.ts'
import { Outbox } from './outbox.ts'
import { LateRows, ParkedRows } from './parked.ts'
import { Parts } from './parts.ts'
import { Rekeying, type IndexRebuild } from './rekeying.ts'
import { RowDeletion, type Suspended } from './row-deletion.ts'
import { Runs } from './runs.ts'
import { Scanner } from './scanner.ts'
import { Seen } from './seen.ts'
import { SenderLog } from './sender-log.ts'
import { Senders } from './senders.ts'
import { Storing } from './storing.ts'
import type { Suspects } from './suspects.ts'

/** What the parts take from the store, which keeps it when a turn has failed. */
export type Outside = {
  /** Its statements stay compiled. */
  readonly connection: Connection
  readonly environment: StoreEnvironment
  readonly keyingChoice: KeyingChoice
  readonly core: CoreView
  readonly suspects: Suspects
  readonly suspended: Map<LaneId, Suspended>
  readonly rebuild: IndexRebuild
  /** An object of the owner's keeps the daemon from writing what nothing depends on. */
  readonly onUnwritten: (reason: string) => void
}

export type Memory = {
  /** The identity of this database, 16 bytes. */
  readonly origin: Uint8Array
  readonly lanes: Lanes
  readonly runs: Runs
  readonly events: Events
  readonly rekeying: Rekeying
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
  const origin = readOrigin(connection)
  const lanes = new Lanes(connection, environment)
  const runs = new Runs(connection)
  const keying = new Keying(outside.keyingChoice)
  const rows = new OutboxRows(connection, keying)
  const parked = new ParkedRows(connection)
  const late = new LateRows(connection, keying)
  const events = new Events(connection, outside.onUnwritten)
  const deletion = new RowDeletion(connection, keying, events, outside.suspended)
  const confirming = new Confirming(connection, lanes, runs, keying, deletion)
  const numbering = new Numbering(connection, lanes, runs, rows, parked, late)
  const shared = { connection, lanes, runs, confirming, events, randomBytes, sha256, origin }
  const judging = new Judging(shared)
  const seen = new Seen(connection, sha256)
  const log = new SenderLog(connection, seen)
  const senders = new Senders(connection, log, sha256)
  const inboxRows = new InboxRows(connection)
  const storing = new Storing(connection, keying, senders, log, seen, inboxRows, suspects)
  const parts = new Parts(connection)
  const outbox = new Outbox({ ...shared, rows, numbering, judging })
  const isSentTo = (peer: Uint8Array, key: string): boolean => lanes.isWith(peer, key)
  const inbox = new Inbox({ ...shared, isSentTo, senders, log, seen, parts, storing })
  const places = new OutboxPlaces(connection, keying)
  const hasSession = (lane: LaneId): boolean => outbox.hasSession(lane)
  const settle = (lane: LaneId): void => outbox.settle(lane)
  const scanned = { connection, lanes, places, rows, parked, late, known: core.lanes }
  const mayHaveKept = (): boolean => deletion.mayHaveKept
  const scanner = new Scanner({ ...scanned, hasSession, settle, mayHaveKept })
  const rekeying = new Rekeying({ ...shared, keying, rebuild: outside.rebuild })
  const unread = new Set<LaneId>()
  return {
    origin,
    lanes,
    runs,
    events,
    rekeying,
    scanner,
    senders,
    outbox,
    inbox,
    deletion,
    unread,
  }
}

/** As the file says now. */
export function readOrigin(connection: Connection): Uint8Array {
  const read = connection.prepareValue<[], unknown>("SELECT value FROM mqmeta WHERE key = 'origin'")
  const origin = read.get()
  if (origin instanceof Uint8Array && origin.length === 16) return Uint8Array.from(origin)
  const sentence =
    'the origin in mqmeta, which names this database to its peers, is no BLOB of 16 bytes: write ' +
    'back that of a backup; with a new one, randomblob(16), peers take it for another database'
  throw new TinymqError('TINYMQ_CORRUPT', sentence)
}
