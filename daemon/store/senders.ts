/**
 * `mqsender`: what this database knows of each inbound stream, loaded while it is used and written
 * once a transaction, together with the log of what was delivered. Must never move a watermark in
 * another transaction than its rows.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { Chain, type Sha256 } from '../protocol/chain.ts'
import type { Connection } from './connection.ts'
import { DatabaseChanged } from './faults.ts'
import type { SenderLog } from './sender-log.ts'

export type SenderId = number

type SenderRow = [
  id: SenderId,
  origin: Buffer,
  key: string,
  watermark: number,
  chain: Buffer | null,
  forgottenAt: number,
  seen: number,
]

export type Sender = {
  readonly id: SenderId
  readonly origin: Buffer
  /** Name of the key, '' without one. */
  readonly key: string
  /** W of PROTOCOL §7.1. */
  watermark: number
  /** At `watermark`. */
  chain: Chain
  /** The newest time of a message whose uid was forgotten, 0 for none. */
  forgottenAt: number
  /** `mqseen` has the uids up to this sequence. */
  seen: number
  /** What the row says on disk: nobody else may have moved it meanwhile. */
  watermarkOnDisk: number
  /** Uids since the last write, zeros where nothing was delivered, and the newest time of them. */
  unlogged: Uint8Array[]
  unloggedNewest: number
}

/**
 * The other streams of an origin that may have brought what this one brings (PROTOCOL §7.4). As
 * long as each key has one stream, rows change only between a key and none.
 */
export function relativesOf(sender: Sender, family: readonly Sender[]): Sender[] {
  const others = family.filter((member) => member !== sender)
  const hasTwoOfOneKey = new Set(family.map(({ key }) => key)).size < family.length
  if (hasTwoOfOneKey || sender.key === '') return others
  return others.filter(({ key }) => key === '')
}

type Update = [number, Uint8Array, number, number, SenderId, number]

export class Senders {
  readonly #sha256: Sha256
  readonly #log: SenderLog
  readonly #find: BetterSqlite3.Statement<[string, Uint8Array], SenderRow>
  readonly #insert: BetterSqlite3.Statement<[Uint8Array, Uint8Array, string]>
  readonly #dropLog: BetterSqlite3.Statement<[SenderId]>
  readonly #dropParts: BetterSqlite3.Statement<[SenderId]>
  readonly #touch: BetterSqlite3.Statement<[string, number, number, SenderId]>
  readonly #update: BetterSqlite3.Statement<Update>
  readonly #ofOrigin: BetterSqlite3.Statement<[Uint8Array], SenderRow>
  readonly #loaded = new Map<SenderId, Sender>()
  readonly #changed = new Set<Sender>()

  constructor(connection: Connection, log: SenderLog, sha256: Sha256) {
    this.#sha256 = sha256
    this.#log = log
    const columns = 'id, origin, key, watermark, chain, forgotten_at, seen'
    this.#find = connection.prepare(`SELECT ${columns} FROM mqsender WHERE key = ? AND stream = ?`)
    this.#ofOrigin = connection.prepare(`SELECT ${columns} FROM mqsender WHERE origin = ?`)
    this.#insert = connection.prepareChange(
      'INSERT INTO mqsender (origin, stream, key) VALUES (?, ?, ?)',
    )
    this.#dropLog = connection.prepareChange('DELETE FROM mqlog WHERE sender = ?')
    this.#dropParts = connection.prepareChange('DELETE FROM mqpart WHERE sender = ?')
    this.#touch = connection.prepareChange(
      'UPDATE mqsender SET host = ?, port = ?, seen_at = ? WHERE id = ?',
    )
    this.#update = connection.prepareChange(
      `UPDATE mqsender SET watermark = ?, chain = ?, forgotten_at = ?, seen = ?
       WHERE id = ? AND watermark = ?`,
    )
  }

  /** The state of a stream, created when it is new, inside the open transaction. */
  findOrCreate(key: string, stream: Uint8Array, origin: Uint8Array): Sender {
    const row = this.#find.get(key, stream)
    if (row !== undefined) return this.#senderOf(row)
    const id = Number(this.#insert.run(origin, stream, key).lastInsertRowid)
    // Somebody has deleted a sender that had this id: what is left of it is not of this one.
    this.#dropLog.run(id)
    this.#dropParts.run(id)
    return this.findOrCreate(key, stream, origin)
  }

  /**
   * All streams of one database. More than one: it was restored, copied, or has been to a copy of
   * us.
   */
  ofOrigin(origin: Uint8Array): Sender[] {
    return this.#ofOrigin.all(origin).map((row) => this.#senderOf(row))
  }

  /** Where the sender can be answered, inside the open transaction. */
  touch(sender: Sender, host: string, port: number, nowMs: number): void {
    this.#touch.run(host, port, nowMs, sender.id)
  }

  /** The sender is written when the transaction ends. */
  onChanged(sender: Sender): void {
    this.#changed.add(sender)
  }

  /** Its session is over. */
  unload(sender: Sender): void {
    if (!this.#changed.has(sender)) this.#loaded.delete(sender.id)
  }

  /**
   * Writes what has changed, inside the open transaction.
   * @throws DatabaseChanged
   */
  write(nowMs: number): void {
    for (const sender of this.#changed) {
      const { id, watermark, chain, forgottenAt, seen, watermarkOnDisk } = sender
      this.#log.append(sender, nowMs)
      const encoded = chain.encode()
      const { changes } = this.#update.run(
        watermark,
        encoded,
        forgottenAt,
        seen,
        id,
        watermarkOnDisk,
      )
      if (changes !== 1) throw new DatabaseChanged('mqsender')
      sender.watermarkOnDisk = watermark
    }
    this.#changed.clear()
  }

  #senderOf([id, origin, key, watermark, chain, forgottenAt, seen]: SenderRow): Sender {
    const loaded = this.#loaded.get(id)
    if (loaded !== undefined) return loaded
    const sender = {
      id,
      origin,
      key,
      watermark,
      chain: (chain && Chain.decode(chain, this.#sha256)) ?? new Chain(this.#sha256),
      forgottenAt,
      seen,
      watermarkOnDisk: watermark,
      unlogged: [],
      unloggedNewest: 0,
    }
    this.#loaded.set(id, sender)
    return sender
  }
}
