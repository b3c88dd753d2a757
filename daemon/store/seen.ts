/**
 * `mqseen`: the uids of an origin that has more than one stream here, by uid (PROTOCOL §7.4). It is
 * filled from the logs of the streams that do not speak, when another of the origin does: a write
 * to a random page for each uid is dear, and what a stream itself has brought it does not bring
 * again. Must never be asked while it is not complete.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Connection } from './connection.ts'
import { uidBytes } from './run.ts'
import type { Sender, SenderId } from './senders.ts'

type LogPiece = [first: number, count: number, uids: Buffer]

const noUid = Buffer.alloc(uidBytes)

export class Seen {
  readonly #connection: Connection
  readonly #insert: BetterSqlite3.Statement<[Uint8Array, Uint8Array]>
  readonly #delete: BetterSqlite3.Statement<[Uint8Array, Uint8Array]>
  readonly #find: BetterSqlite3.Statement<[Uint8Array, Uint8Array], number>
  readonly #next: BetterSqlite3.Statement<[SenderId, number], LogPiece>

  constructor(connection: Connection) {
    this.#connection = connection
    this.#insert = connection.prepareChange(
      'INSERT OR IGNORE INTO mqseen (origin, uid) VALUES (?, ?)',
    )
    this.#find = connection.prepareValue('SELECT 1 FROM mqseen WHERE origin = ? AND uid = ?')
    this.#delete = connection.prepareChange('DELETE FROM mqseen WHERE origin = ? AND uid = ?')
    this.#next = connection.prepare(
      `SELECT first, count, uids FROM mqlog WHERE sender = ? AND first > ?
       ORDER BY first LIMIT 1`,
    )
  }

  has(origin: Uint8Array, uid: Uint8Array): boolean {
    return this.#find.get(origin, uid) !== undefined
  }

  /** Whether it has everything that came under these streams. */
  isComplete(senders: readonly Sender[]): boolean {
    return senders.every(({ seen, watermark }) => seen === watermark)
  }

  /** Goes on to fill from the log, as far as the open transaction may go. */
  fill(senders: readonly Sender[]): void {
    for (const sender of senders) {
      while (sender.seen < sender.watermark && !this.#connection.isSpent) {
        const piece = this.#next.get(sender.id, sender.seen)
        if (piece === undefined) sender.seen = sender.watermark
        else this.#fillWith(sender, piece)
      }
    }
  }

  /** The log has forgotten these. */
  forget(origin: Uint8Array, uids: Uint8Array): void {
    for (let start = 0; start < uids.length; start += uidBytes) {
      this.#delete.run(origin, uids.subarray(start, start + uidBytes))
    }
  }

  #fillWith(sender: Sender, [first, count, uids]: LogPiece): void {
    for (let start = 0; start < uids.length; start += uidBytes) {
      const uid = uids.subarray(start, start + uidBytes)
      if (!uid.equals(noUid)) this.#insert.run(sender.origin, uid)
    }
    sender.seen = first + count - 1
    this.#connection.spend(count, 0)
  }
}
