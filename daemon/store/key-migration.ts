/**
 * What has to be done once when tokens mean something else than before: when a daemon is started
 * with a key ring for the first time, without one for the first time, or with another list of
 * tokens that need no key. Rows then belong to other lanes; those that had a number lose it, and
 * go again by the lane that they belong to now. The peer may have them already: it knows them by
 * their uids, whatever lane brings them. Must never leave a row with a number in a lane that is not
 * its own any more.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Sha256 } from './hash-chain.ts'
import type { LaneId } from '../protocol/store-messages.ts'
import type { Connection } from './connection.ts'
import type { EventLog } from './event-log.ts'
import { whyNoRoom } from './error-classification.ts'
import type { KeyPolicy } from './key-policy.ts'
import type { Lanes } from './outbox/lanes.ts'
import { beginStream } from './outbox/identity-check.ts'
import type { Batches } from './outbox/batches.ts'
import { indexColumnsOf, indexColumnsSql } from './outbox/destinations.ts'

type KeyMigrationParts = {
  readonly connection: Connection
  readonly keyPolicy: KeyPolicy
  readonly lanes: Lanes
  readonly batches: Batches
  readonly events: EventLog
  readonly sha256: Sha256
  readonly rebuild: IndexRebuild
}

/** When the index is tried again, if it could not be built: it outlives failed turns. */
export type IndexRebuild = { nextTryMs: number | undefined }

/** Temporary files had no room. */
const retryMs = 60_000

export class KeyMigration {
  readonly #parts: KeyMigrationParts
  readonly #wanted: string
  readonly #read: BetterSqlite3.Statement<[], string>
  readonly #indexed: BetterSqlite3.Statement<[], number>
  readonly #outside: IndexRebuild
  #isDone = false

  constructor(parts: KeyMigrationParts) {
    this.#parts = parts
    const { choice } = parts.keyPolicy
    this.#outside = parts.rebuild
    this.#wanted =
      choice.type === 'keys'
        ? JSON.stringify({ keyless: choice.keylessTokens.toSorted() })
        : JSON.stringify({})
    this.#read = parts.connection.prepareValue("SELECT value FROM mqmeta WHERE key = 'key_policy'")
    this.#indexed = parts.connection.prepareValue(indexColumnsSql)
  }

  /**
   * Does it, inside the turn's transaction, if it has to be done. `onCommitted` must follow.
   * @returns why the index could not be built, just now: what was does as well, more slowly.
   * @throws DatabaseBusy
   */
  apply(nowMs: number): string | undefined {
    if (this.#isDone) return undefined
    const problem = this.#tryRebuild(nowMs)
    this.#renew(nowMs)
    return problem
  }

  #renew(nowMs: number): void {
    const before = this.#read.get() ?? '{}'
    if (before === this.#wanted) return
    this.#parts.connection.begin()
    this.#change(
      `INSERT INTO mqmeta (key, value) VALUES ('key_policy', ?)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
      this.#wanted,
    )
    this.#renewStreams(nowMs)
    // A row may have come into a lane that has passed it.
    this.#change('UPDATE mqlane SET numbered_id = 0')
    this.#change('UPDATE mqparked SET retry_at = 0')
    this.#markUnused()
  }

  onCommitted(): void {
    this.#isDone = this.#outside.nextTryMs === undefined
  }

  /** In a transaction of its own, so that nothing else fails with it. */
  #tryRebuild(nowMs: number): string | undefined {
    const { nextTryMs } = this.#outside
    if (nextTryMs !== undefined && Math.abs(nextTryMs - nowMs) <= retryMs && nowMs < nextTryMs) {
      return undefined
    }
    this.#outside.nextTryMs = undefined
    if (this.#indexed.get() === this.#columns) return undefined
    const { connection } = this.#parts
    try {
      this.#rebuildIndex()
      connection.commit()
      return undefined
    } catch (error) {
      const reason = whyNoRoom(error)
      if (reason === undefined) throw error
      connection.rollback()
      this.#outside.nextTryMs = nowMs + retryMs
      return reason
    }
  }

  get #columns(): number {
    return indexColumnsOf(this.#parts.keyPolicy)
  }

  /**
   * One index, not two: each would cost a tenth of the speed. It takes a second for a million rows
   * that wait.
   */
  #rebuildIndex(): void {
    this.#parts.connection.begin()
    this.#change('DROP INDEX IF EXISTS mqout_lane')
    const columns = ['host', 'port', 'token'].slice(0, this.#columns).join(', ')
    this.#change(`CREATE INDEX mqout_lane ON mqout (${columns})`)
  }

  #renewStreams(nowMs: number): void {
    const { connection, lanes, batches, events } = this.#parts
    const open = connection
      .prepareValue<[], LaneId>(
        `SELECT id FROM mqlane WHERE numbered > confirmed
           OR id IN (SELECT lane FROM mqbatch WHERE done_at IS NULL) ORDER BY id`,
      )
      .all()
    for (const id of open) {
      const lane = lanes.load(id)
      if (lane !== undefined) beginStream(this.#parts, lane, nowMs)
    }
    for (const lane of lanes.changed) batches.write(lane)
    lanes.write()
    lanes.reset()
    batches.reset()
    if (open.length === 0) return
    const detail =
      'This daemon was started with another use of keys than before: rows of ' +
      `${open.length} lanes were on their way, and are sent again under new streams. What a peer ` +
      'has already, it takes only once.'
    events.add({ code: 'KEYS_CHANGED', detail }, nowMs)
  }

  /** So that people are not shown a lane that no row goes by. */
  #markUnused(): void {
    const { connection, keyPolicy } = this.#parts
    const keys = connection.prepareValue<[], string>('SELECT DISTINCT key FROM mqlane').all()
    for (const key of keys) {
      const state = keyPolicy.isUsed(key) ? 'idle' : 'unused'
      this.#change(
        `UPDATE mqlane SET state = ?, error_code = NULL, error = NULL, retry_at = NULL
         WHERE key = ?`,
        state,
        key,
      )
    }
  }

  #change(sql: string, ...values: readonly string[]): void {
    this.#parts.connection.prepareChange<string[]>(sql).run(...values)
  }
}
