/**
 * `mqfragment`: what has come of a large body, so that it need not stay in memory, and need not
 * come again (PROTOCOL §6.3). Must never offer the parts of a body without a digest to a new
 * session: nothing would tell that the rest is another body's.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { needsDigest } from '../record.ts'
import type { Connection } from '../connection.ts'
import type { Sender, SenderId } from './senders.ts'

export const partBytesMax = 1_048_576
const maybeDigestBytes = 66_000
/** Four of the largest bodies under each key. */
export const partBytesMaxOfKey = 1_073_741_824
/** A sender that is away for longer sends the body from its beginning. */
const staleMs = 24 * 3_600_000
const lookPauseMs = 3_600_000

export type KeptParts = {
  /** Of the whole body. */
  readonly length: number
  /** The first bytes of it are kept. */
  readonly bytes: number
  readonly count: number
}

type NewPart = [SenderId, number, number, Uint8Array]

export class PartialBodies {
  readonly #connection: Connection
  readonly #bytesMaxOfKey: number
  readonly #kept: BetterSqlite3.Statement<[SenderId], [number, number, number]>
  readonly #insert: BetterSqlite3.Statement<NewPart>
  readonly #bytes: BetterSqlite3.Statement<[SenderId], Buffer>
  readonly #delete: BetterSqlite3.Statement<[SenderId]>
  readonly #sum: BetterSqlite3.Statement<[string], number>
  readonly #sendersUnder: BetterSqlite3.Statement<[string], SenderId>
  readonly #stale: BetterSqlite3.Statement<[number], SenderId>
  /** What is kept under a key, as far as it was asked for. */
  readonly #byKey = new Map<string, number>()
  #lookedAtMs = -Infinity

  /** `bytesMaxOfKey`: less than there may be, for tests. */
  constructor(connection: Connection, bytesMaxOfKey = partBytesMaxOfKey) {
    this.#connection = connection
    this.#bytesMaxOfKey = bytesMaxOfKey
    this.#kept = connection.prepare(
      `SELECT max(length), sum(length(bytes)), count(*) FROM mqfragment WHERE sender = ?
       HAVING count(*) > 0`,
    )
    this.#insert = connection.prepareChange(
      'INSERT INTO mqfragment (sender, part, length, bytes) VALUES (?, ?, ?, ?)',
    )
    this.#bytes = connection.prepareValue(
      'SELECT bytes FROM mqfragment WHERE sender = ? ORDER BY part',
    )
    this.#delete = connection.prepareChange('DELETE FROM mqfragment WHERE sender = ?')
    const ofKey = 'FROM mqfragment AS p JOIN mqsender AS s ON s.id = p.sender WHERE s.key = ?'
    this.#sum = connection.prepareValue(`SELECT coalesce(sum(length(p.bytes)), 0) ${ofKey}`)
    this.#sendersUnder = connection.prepareValue(
      `SELECT p.sender ${ofKey} GROUP BY p.sender ORDER BY max(s.seen_at)`,
    )
    this.#stale = connection.prepareValue(
      `SELECT p.sender FROM mqfragment AS p LEFT JOIN mqsender AS s ON s.id = p.sender
       GROUP BY p.sender HAVING coalesce(max(s.seen_at), 0) < ?`,
    )
  }

  /** What is kept of the sender's next body. */
  kept(sender: SenderId): KeptParts | undefined {
    const row = this.#kept.get(sender)
    if (row === undefined) return undefined
    const [length, bytes, count] = row
    return { length, bytes, count }
  }

  /** Whether a new session may go on behind these parts. Data beyond 1 MiB has a digest. */
  mayResume({ length }: KeptParts): boolean {
    return needsDigest(length - maybeDigestBytes)
  }

  /** Keeps the next bytes of a body, inside the open transaction. */
  append(
    { id: sender, key }: Pick<Sender, 'id' | 'key'>,
    kept: KeptParts | undefined,
    length: number,
    bytes: Uint8Array,
  ): KeptParts {
    let count = kept?.count ?? 0
    for (let start = 0; start < bytes.length; start += partBytesMax) {
      this.#insert.run(sender, count, length, bytes.subarray(start, start + partBytesMax))
      count++
    }
    this.#connection.spend(count - (kept?.count ?? 0), bytes.length)
    this.#byKey.set(key, this.#bytesUnder(key) + bytes.length)
    return { length, bytes: (kept?.bytes ?? 0) + bytes.length, count }
  }

  /** The whole body: what is kept, and the rest. */
  whole(sender: SenderId, rest: Uint8Array): Uint8Array {
    return Buffer.concat([...this.#bytes.all(sender), rest])
  }

  drop(sender: SenderId): void {
    const { changes } = this.#delete.run(sender)
    if (changes > 0) this.#byKey.clear()
  }

  /**
   * Whether so many bytes may be kept under the key, inside the open transaction: what streams
   * without a session have there goes first.
   */
  makeRoom(key: string, bytes: number, isPresent: (sender: SenderId) => boolean): boolean {
    if (this.#bytesUnder(key) + bytes <= this.#bytesMaxOfKey) return true
    for (const sender of this.#sendersUnder.all(key)) {
      if (isPresent(sender)) continue
      this.drop(sender)
      if (this.#bytesUnder(key) + bytes <= this.#bytesMaxOfKey) return true
    }
    return false
  }

  /** Nobody has gone on with these for a day: inside the open transaction, once an hour. */
  dropStale(isPresent: (sender: SenderId) => boolean, nowMs: number): void {
    if (Math.abs(nowMs - this.#lookedAtMs) < lookPauseMs) return
    this.#lookedAtMs = nowMs
    for (const sender of this.#stale.all(nowMs - staleMs)) if (!isPresent(sender)) this.drop(sender)
  }

  #bytesUnder(key: string): number {
    const known = this.#byKey.get(key) ?? this.#sum.get(key) ?? 0
    this.#byKey.set(key, known)
    return known
  }
}
