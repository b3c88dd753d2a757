/**
 * `mqpart`: what has come of a large body, so that it need not stay in memory, and need not come
 * again (PROTOCOL §6.3). Must never offer the parts of a body without a digest to a new session:
 * nothing would tell that the rest is another body's.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { needsDigest } from '../protocol/record.ts'
import type { Connection } from './connection.ts'
import type { SenderId } from './senders.ts'

export const partBytesMax = 1_048_576
const maybeDigestBytes = 66_000

export type KeptParts = {
  /** Of the whole body. */
  readonly length: number
  /** The first bytes of it are kept. */
  readonly bytes: number
  readonly count: number
}

type NewPart = [SenderId, number, number, Uint8Array]

export class Parts {
  readonly #connection: Connection
  readonly #kept: BetterSqlite3.Statement<[SenderId], [number, number, number]>
  readonly #insert: BetterSqlite3.Statement<NewPart>
  readonly #bytes: BetterSqlite3.Statement<[SenderId], Buffer>
  readonly #delete: BetterSqlite3.Statement<[SenderId]>

  constructor(connection: Connection) {
    this.#connection = connection
    this.#kept = connection.prepare(
      `SELECT max(length), sum(length(bytes)), count(*) FROM mqpart WHERE sender = ?
       HAVING count(*) > 0`,
    )
    this.#insert = connection.prepareChange(
      'INSERT INTO mqpart (sender, part, length, bytes) VALUES (?, ?, ?, ?)',
    )
    this.#bytes = connection.prepareValue('SELECT bytes FROM mqpart WHERE sender = ? ORDER BY part')
    this.#delete = connection.prepareChange('DELETE FROM mqpart WHERE sender = ?')
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
    sender: SenderId,
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
    return { length, bytes: (kept?.bytes ?? 0) + bytes.length, count }
  }

  /** The whole body: what is kept, and the rest. */
  whole(sender: SenderId, rest: Uint8Array): Uint8Array {
    return Buffer.concat([...this.#bytes.all(sender), rest])
  }

  drop(sender: SenderId): void {
    this.#delete.run(sender)
  }
}
