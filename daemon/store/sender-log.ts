/**
 * `mqlog`: the uids of what was delivered, for rule 8 of PROTOCOL §7.4, and its retention. Must
 * never forget a uid without keeping how new its message was: that is what rule 9 (§7.5) asks for.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Connection } from './connection.ts'
import { uidBytes } from './run.ts'
import type { Seen } from './seen.ts'
import type { Sender, SenderId } from './senders.ts'

/** The newest uids of an origin under one key, which are kept however old they are. */
const uidsKept = 1_000_000
/** What is older than this goes, as far as there are more. */
const keptMs = 90 * 24 * 3_600_000
/** However young they are: 10 million uids are 160 MB. */
const uidsMax = 10_000_000
/**
 * Pruning begins when there are so many more, because the sessions of an origin's other streams are
 * closed for it.
 */
const uidsSpare = 65_536

type LogRow = [first: number, count: number, at: number, newest: number]
type NewRow = [SenderId, number, number, number, number, Uint8Array]

export class SenderLog {
  readonly #connection: Connection
  readonly #seen: Seen
  readonly #insert: BetterSqlite3.Statement<NewRow>
  readonly #first: BetterSqlite3.Statement<[SenderId], LogRow>
  readonly #uids: BetterSqlite3.Statement<[SenderId, number], Buffer>
  readonly #delete: BetterSqlite3.Statement<[SenderId, number]>

  constructor(connection: Connection, seen: Seen) {
    this.#connection = connection
    this.#seen = seen
    this.#insert = connection.prepareChange(
      'INSERT INTO mqlog (sender, first, count, at, newest, uids) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#first = connection.prepare(
      'SELECT first, count, at, newest FROM mqlog WHERE sender = ? ORDER BY first LIMIT 1',
    )
    this.#uids = connection.prepareValue('SELECT uids FROM mqlog WHERE sender = ? AND first = ?')
    this.#delete = connection.prepareChange('DELETE FROM mqlog WHERE sender = ? AND first = ?')
  }

  /** Writes what the sender has delivered since the last time, inside the open transaction. */
  append(sender: Sender, nowMs: number): void {
    const uids = Buffer.concat(sender.unlogged)
    if (uids.length === 0) return
    const count = uids.length / uidBytes
    const first = sender.watermark - count + 1
    this.#insert.run(sender.id, first, count, nowMs, sender.unloggedNewest, uids)
    sender.unlogged = []
    sender.unloggedNewest = 0
  }

  /** Whether the log of an origin under one key is longer than it may be: then `prune` begins. */
  isLong(family: readonly Sender[], nowMs: number): boolean {
    return this.#excess(family, nowMs, uidsKept + uidsSpare) !== undefined
  }

  /**
   * Forgets the oldest uids of these, inside the open transaction, one row of the log.
   * @returns whose uids they were; undefined when there are no more to forget.
   */
  prune(family: readonly Sender[], nowMs: number): Sender | undefined {
    const sender = this.#excess(family, nowMs, uidsKept)
    if (sender === undefined) return undefined
    const row = this.#first.get(sender.id)
    if (row === undefined) return undefined
    const [first, count, , newest] = row
    if (sender.seen >= first) {
      this.#seen.forget(sender, this.#uids.get(sender.id, first) ?? new Uint8Array(0))
    }
    this.#delete.run(sender.id, first)
    sender.forgottenAt = Math.max(sender.forgottenAt, newest)
    this.#connection.spend(sender.seen > 0 ? count : 1, 0)
    return sender
  }

  /** The stream with the oldest uid, if the log is longer than `limit` and that uid may go. */
  #excess(family: readonly Sender[], nowMs: number, limit: number): Sender | undefined {
    let total = 0
    let oldest: { readonly sender: Sender; readonly at: number } | undefined
    for (const sender of family) {
      const row = this.#first.get(sender.id)
      if (row === undefined) continue
      const [first, , at] = row
      total += sender.watermarkOnDisk - first + 1
      if (oldest === undefined || at < oldest.at) oldest = { sender, at }
    }
    if (oldest === undefined || total <= limit) return undefined
    return total > uidsMax || oldest.at < nowMs - keptMs ? oldest.sender : undefined
  }
}
