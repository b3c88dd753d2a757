/**
 * `mquidindex`: the uids of a database id that has more than one stream here, by uid (PROTOCOL
 * §7.4). It is filled from the logs of the streams that do not speak, when another of the database
 * id does: a write to a random page for each uid is dear, and what a stream itself has brought it
 * does not bring again. Must never be asked while it is not complete.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Sha256 } from '../hash-chain.ts'
import type { Connection } from '../connection.ts'
import { uidBytes } from '../outbox/batches.ts'
import type { Sender, SenderId } from './senders.ts'

type LogPiece = [first: number, count: number, uids: Buffer]

/**
 * A database id that has brought a million messages and comes with another stream takes a minute or
 * two to fill: nobody else may wait for that.
 */
const uidsPerTurn = 200

const encoder = new TextEncoder()
const noUid = Buffer.alloc(uidBytes)

export class UidIndex {
  readonly #connection: Connection
  readonly #sha256: Sha256
  readonly #insert: BetterSqlite3.Statement<[Uint8Array, Uint8Array]>
  readonly #delete: BetterSqlite3.Statement<[Uint8Array, Uint8Array]>
  readonly #find: BetterSqlite3.Statement<[Uint8Array, Uint8Array], number>
  readonly #next: BetterSqlite3.Statement<{ sender: SenderId; sequence: number }, LogPiece>
  #left = uidsPerTurn

  constructor(connection: Connection, sha256: Sha256) {
    this.#connection = connection
    this.#sha256 = sha256
    this.#insert = connection.prepareChange(
      'INSERT OR IGNORE INTO mquidindex (database_id, uid) VALUES (?, ?)',
    )
    this.#find = connection.prepareValue(
      'SELECT 1 FROM mquidindex WHERE database_id = ? AND uid = ?',
    )
    this.#delete = connection.prepareChange(
      'DELETE FROM mquidindex WHERE database_id = ? AND uid = ?',
    )
    this.#next = connection.prepare(
      `SELECT first, count, uids FROM mquidlog WHERE sender = @sender AND first >= coalesce(
         (SELECT iif(first + count > @sequence, first, NULL) FROM mquidlog
          WHERE sender = @sender AND first <= @sequence ORDER BY first DESC LIMIT 1), @sequence)
       ORDER BY first LIMIT 1`,
    )
  }

  /** Whether one of those brought it whose `scopesOf` these are. */
  has(scopes: readonly Uint8Array[], uid: Uint8Array): boolean {
    return scopes.some((scope) => this.#find.get(scope, uid) !== undefined)
  }

  /** Where `has` looks for what these have brought. */
  scopesOf(relatives: readonly Sender[]): Uint8Array[] {
    const byKey = new Map(relatives.map((relative) => [relative.key, relative]))
    return Array.from(byKey.values(), (relative) => this.#scopeOf(relative))
  }

  /** Whether it has everything that came under these streams. */
  isComplete(senders: readonly Sender[]): boolean {
    return senders.every(({ indexed, watermark }) => indexed === watermark)
  }

  /** A turn begins, in which others may ask for something. */
  onTurn(): void {
    this.#left = uidsPerTurn
  }

  /** Nobody does in this turn. */
  onRest(): void {
    this.#left = Infinity
  }

  /** Goes on to fill from the log, as far as the turn and the open transaction may go. */
  fill(senders: readonly Sender[]): void {
    for (const sender of senders) {
      while (sender.indexed < sender.watermark && this.#left > 0 && !this.#connection.isSpent) {
        const piece = this.#next.get({ sender: sender.id, sequence: sender.indexed + 1 })
        if (piece === undefined) sender.indexed = sender.watermark
        else this.#fillWith(sender, piece)
      }
    }
  }

  /** The log has forgotten these. */
  forget(sender: Sender, uids: Uint8Array): void {
    const scope = this.#scopeOf(sender)
    for (let start = 0; start < uids.length; start += uidBytes) {
      this.#delete.run(scope, uids.subarray(start, start + uidBytes))
    }
  }

  /** Of a database id, under a key what only holders of this key can fill. */
  #scopeOf({ databaseId, key }: Sender): Uint8Array {
    if (key === '') return databaseId
    return this.#sha256(databaseId, encoder.encode(key)).subarray(0, uidBytes)
  }

  #fillWith(sender: Sender, [first, count, uids]: LogPiece): void {
    const scope = this.#scopeOf(sender)
    // Of a long piece some is there already, or comes in later turns.
    const from = Math.max(0, sender.indexed + 1 - first)
    const to = Math.min(count, from + this.#left)
    for (let at = from; at < Math.min(to, uids.length / uidBytes); at++) {
      const uid = uids.subarray(at * uidBytes, (at + 1) * uidBytes)
      if (!uid.equals(noUid)) this.#insert.run(scope, uid)
    }
    sender.indexed = first + to - 1
    this.#left -= to - from
    this.#connection.spend(to - from, 0)
  }
}
