/**
 * `mquidlog`: the uids of what was delivered, for rule 8 of PROTOCOL §7.4, and its retention. Must
 * never forget a uid without keeping how new its message was: that is what rule 9 (§7.5) asks for.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Connection } from '../connection.ts'
import { uidBytes } from '../outbox/batches.ts'
import { kinOf, type Sender, type SenderId, type Senders } from './senders.ts'
import type { UidIndex } from './uid-index.ts'

/** The newest uids of a database id under one key, which are kept however old they are. */
const uidsKept = 1_000_000
/** What is older than this goes, as far as there are more. */
const keptMs = 90 * 24 * 3_600_000
/** However young they are: 10 million uids are 160 MB. */
const uidsMax = 10_000_000
/**
 * Pruning begins when there are so many more, because the sessions of a database id's other streams
 * are closed for it.
 */
const uidsSpare = 65_536

type LogRow = [first: number, count: number, at: number, newest: number]
type NewRow = [SenderId, number, number, number, number, Uint8Array]

export class UidLog {
  readonly #connection: Connection
  readonly #uidIndex: UidIndex
  readonly #insert: BetterSqlite3.Statement<NewRow>
  readonly #first: BetterSqlite3.Statement<[SenderId], LogRow>
  readonly #uids: BetterSqlite3.Statement<[SenderId, number], Buffer>
  readonly #delete: BetterSqlite3.Statement<[SenderId, number]>

  constructor(connection: Connection, uidIndex: UidIndex) {
    this.#connection = connection
    this.#uidIndex = uidIndex
    this.#insert = connection.prepareChange(
      'INSERT INTO mquidlog (sender, first, count, at, newest, uids) VALUES (?, ?, ?, ?, ?, ?)',
    )
    this.#first = connection.prepare(
      'SELECT first, count, at, newest FROM mquidlog WHERE sender = ? ORDER BY first LIMIT 1',
    )
    this.#uids = connection.prepareValue('SELECT uids FROM mquidlog WHERE sender = ? AND first = ?')
    this.#delete = connection.prepareChange('DELETE FROM mquidlog WHERE sender = ? AND first = ?')
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

  /**
   * Whether the log of a database id under one key is longer than it may be: then `prune` begins.
   */
  isLong(family: readonly Sender[], nowMs: number): boolean {
    return this.#excess(family, nowMs, uidsKept + uidsSpare) !== undefined
  }

  /** Whether the next that `prune` forgets are in no index: to forget them takes no time. */
  isCheapToPrune(family: readonly Sender[], nowMs: number): boolean {
    return this.#excess(family, nowMs, uidsKept)?.indexed === 0
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
    if (sender.indexed >= first) {
      this.#uidIndex.forget(sender, this.#uids.get(sender.id, first) ?? new Uint8Array(0))
    }
    this.#delete.run(sender.id, first)
    sender.historyExpiredAt = Math.max(sender.historyExpiredAt, newest)
    this.#connection.spend(sender.indexed > 0 ? count : 1, 0)
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

// When the log of a database id under one key is gone through: it is looked at now and then, and
// what is too much is forgotten in steps. Must never forget without saying whose it was.

/** The log of a database id is looked after once in so many transactions with messages. */
const storesPerPruning = 64

/** The uids of `oldest` are forgotten: sessions of its other `kin` must end (PROTOCOL §7.5). */
type OnForgotten = (oldest: Sender, kin: readonly Sender[]) => void

export class LogCare {
  readonly #connection: Connection
  readonly #senders: Senders
  readonly #log: UidLog
  /** Origins, each by one of its senders, whose log is too long. */
  readonly #long = new Set<Sender>()
  #storesLeft = storesPerPruning

  constructor(connection: Connection, senders: Senders, log: UidLog) {
    this.#connection = connection
    this.#senders = senders
    this.#log = log
  }

  get hasWork(): boolean {
    return this.#long.size > 0
  }

  onOpened(sender: Sender, nowMs: number): void {
    if (this.#log.isLong(this.#kinOf(sender), nowMs)) this.#long.add(sender)
  }

  onStored(sender: Sender, nowMs: number): void {
    this.#storesLeft--
    if (this.#storesLeft > 0) return
    this.#storesLeft = storesPerPruning
    this.onOpened(sender, nowMs)
  }

  /** What takes no time: a log must not grow beyond its bound while the store has no rest. */
  goOnBriefly(nowMs: number, onForgotten: OnForgotten): void {
    for (const sender of this.#long) {
      if (!this.#connection.isSpent && this.#log.isCheapToPrune(this.#kinOf(sender), nowMs)) {
        this.#prune(sender, nowMs, onForgotten)
      }
    }
  }

  goOn(nowMs: number, onForgotten: OnForgotten): void {
    for (const sender of this.#long) {
      while (this.#long.has(sender) && !this.#connection.isSpent) {
        this.#prune(sender, nowMs, onForgotten)
      }
    }
  }

  #prune(sender: Sender, nowMs: number, onForgotten: OnForgotten): void {
    const kin = this.#kinOf(sender)
    this.#connection.begin()
    const oldest = this.#log.prune(kin, nowMs)
    if (oldest === undefined) return void this.#long.delete(sender)
    this.#senders.onChanged(oldest)
    onForgotten(oldest, kin)
  }

  #kinOf(sender: Sender): Sender[] {
    return kinOf(sender, this.#senders.ofDatabaseId(sender.databaseId))
  }
}
