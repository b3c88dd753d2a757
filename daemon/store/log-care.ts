/**
 * When the log of an origin under one key is gone through: it is looked at now and then, and what
 * is too much is forgotten in steps. Must never forget without saying whose it was.
 */
import type { Connection } from './connection.ts'
import type { SenderLog } from './sender-log.ts'
import { kinOf, type Sender, type Senders } from './senders.ts'

/** The log of an origin is looked after once in so many transactions with messages. */
const storesPerPruning = 64

/** The uids of `oldest` are forgotten: sessions of its other `kin` must end (PROTOCOL §7.5). */
type OnForgotten = (oldest: Sender, kin: readonly Sender[]) => void

export class LogCare {
  readonly #connection: Connection
  readonly #senders: Senders
  readonly #log: SenderLog
  /** Origins, each by one of its senders, whose log is too long. */
  readonly #long = new Set<Sender>()
  #storesLeft = storesPerPruning

  constructor(connection: Connection, senders: Senders, log: SenderLog) {
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
    return kinOf(sender, this.#senders.ofOrigin(sender.origin))
  }
}
