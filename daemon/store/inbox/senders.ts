/**
 * `mqsender`: what this database knows of each inbound stream, loaded while it is used and written
 * once a transaction, together with the log of what was delivered. Must never move a watermark in
 * another transaction than its rows.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { equalBytes } from '../../protocol/codec/buffer.ts'
import { HashChain, type Sha256 } from '../hash-chain.ts'
import type { Connection } from '../connection.ts'
import { DatabaseChanged } from '../error-classification.ts'
import type { UidLog } from './uid-log.ts'

export type SenderId = number

type SenderRow = [
  id: SenderId,
  databaseId: Buffer,
  stream: Buffer,
  key: string,
  watermark: number,
  chain: Buffer | null,
  historyExpiredAt: number,
  indexed: number,
]

/** Streams of one database id under one key. Each restore of a database begins one more. */
export const streamsMax = 64
/** A stream that has brought so many messages keeps its place as long as it has a session. */
export const establishedMin = 100
export const tooManyStreams = `${streamsMax} streams of this sender's database are open under a key`

export type Sender = {
  /** Of its row; 0 while nothing but an OPEN has come: whoever sends only these fills no table. */
  id: SenderId
  readonly databaseId: Buffer
  readonly stream: Buffer
  /** Name of the key, '' without one. */
  readonly key: string
  /** W of PROTOCOL §7.1. */
  watermark: number
  /** At `watermark`. */
  chain: HashChain
  /** The newest time of a message whose uid was forgotten, 0 for none. */
  historyExpiredAt: number
  /** `mquidindex` has the uids up to this sequence. */
  indexed: number
  /** What the row says on disk: nobody else may have moved it meanwhile. */
  watermarkOnDisk: number
  /** Uids since the last write, zeros where nothing was delivered, and the newest time of them. */
  unlogged: Uint8Array[]
  unloggedNewest: number
}

/**
 * The other streams of a database id that may have brought what this one brings (PROTOCOL §7.4). A
 * key is a border: rows change between one key and none when a node gets keys or loses them, and
 * what the holder of another key says has no effect here.
 */
export function relativesOf(sender: Sender, family: readonly Sender[]): Sender[] {
  const { key } = sender
  return family.filter(
    (other) => other !== sender && (key === '' || other.key === '' || other.key === key),
  )
}

/** PROTOCOL §7.5: those that the log is kept and forgotten with. */
export function kinOf(sender: Sender, family: readonly Sender[]): Sender[] {
  return family.filter(({ key }) => key === sender.key)
}

export function nameOf(key: string, stream: Uint8Array): string {
  return `${key} ${Buffer.from(stream).toString('hex')}`
}

type Update = [number, Uint8Array, number, number, SenderId, number]

export class Senders {
  readonly #sha256: Sha256
  readonly #log: UidLog
  readonly #find: BetterSqlite3.Statement<[string, Uint8Array], SenderRow>
  readonly #insert: BetterSqlite3.Statement<[Uint8Array, Uint8Array, string]>
  readonly #dropLog: BetterSqlite3.Statement<[SenderId]>
  readonly #dropParts: BetterSqlite3.Statement<[SenderId]>
  readonly #touch: BetterSqlite3.Statement<[string, number, number, SenderId]>
  readonly #update: BetterSqlite3.Statement<Update>
  readonly #drop: BetterSqlite3.Statement<[SenderId]>
  readonly #byMessages: BetterSqlite3.Statement<[Uint8Array, string], SenderId>
  readonly #ofDatabaseId: BetterSqlite3.Statement<[Uint8Array], SenderRow>
  readonly #loaded = new Map<SenderId, Sender>()
  /** Those without a row, by `nameOf`. */
  readonly #unwritten = new Map<string, Sender>()
  readonly #changed = new Set<Sender>()

  constructor(connection: Connection, log: UidLog, sha256: Sha256) {
    this.#sha256 = sha256
    this.#log = log
    const columns = 'id, database_id, stream, key, watermark, chain, history_expired_at, indexed'
    this.#find = connection.prepare(`SELECT ${columns} FROM mqsender WHERE key = ? AND stream = ?`)
    this.#ofDatabaseId = connection.prepare(`SELECT ${columns} FROM mqsender WHERE database_id = ?`)
    this.#insert = connection.prepareChange(
      'INSERT INTO mqsender (database_id, stream, key) VALUES (?, ?, ?)',
    )
    this.#dropLog = connection.prepareChange('DELETE FROM mquidlog WHERE sender = ?')
    this.#dropParts = connection.prepareChange('DELETE FROM mqfragment WHERE sender = ?')
    this.#touch = connection.prepareChange(
      'UPDATE mqsender SET host = ?, port = ?, seen_at = ? WHERE id = ?',
    )
    this.#drop = connection.prepareChange('DELETE FROM mqsender WHERE id = ?')
    this.#byMessages = connection.prepareValue(
      'SELECT id FROM mqsender WHERE database_id = ? AND key = ? ORDER BY watermark, seen_at, id',
    )
    this.#update = connection.prepareChange(
      `UPDATE mqsender SET watermark = ?, chain = ?, history_expired_at = ?, indexed = ?
       WHERE id = ? AND watermark = ?`,
    )
  }

  /** The state of a stream. A new one has no row until `writeNew`. */
  find(key: string, stream: Uint8Array, databaseId: Uint8Array): Sender {
    const name = nameOf(key, stream)
    const row = this.#find.get(key, stream)
    if (row !== undefined) return this.#senderOf(row)
    const known = this.#unwritten.get(name)
    if (known !== undefined) return known
    const sender = this.#newSender(Buffer.from(databaseId), Buffer.from(stream), key)
    this.#unwritten.set(name, sender)
    return sender
  }

  /** Its first message has come: it gets a row, inside the open transaction. */
  writeNew(sender: Sender, host: string, port: number, nowMs: number): void {
    const { databaseId, stream, key } = sender
    sender.id = Number(this.#insert.run(databaseId, stream, key).lastInsertRowid)
    // Somebody has deleted a sender that had this id: what is left of it is not of this one.
    this.#dropLog.run(sender.id)
    this.#dropParts.run(sender.id)
    this.touch(sender, host, port, nowMs)
    this.#unwritten.delete(nameOf(key, stream))
    this.#loaded.set(sender.id, sender)
  }

  /**
   * Makes room for a new stream of `sender`'s database id and key, inside the open transaction: the
   * one that has brought the fewest messages goes, of several the one that was not seen for
   * longest. The id is a claim, so whoever makes it again and again must not push out the stream
   * that has brought much. `mquidindex` keeps what the stream has brought, so that none of it comes
   * twice. If its sender goes on with it all the same, he takes this database for one that was
   * restored, and sends under a new stream what he still has.
   * @param givesWay ends the session of the stream; false: it stays, and there is no room.
   * @returns whether there is room now.
   */
  makeRoom(sender: Sender, givesWay: (other: Sender) => boolean): boolean {
    const { databaseId, key } = sender
    const kin = kinOf(sender, this.ofDatabaseId(databaseId))
    if (kin.length < streamsMax) return true
    const mayGo = new Map(kin.filter((one) => this.#mayGo(one)).map((one) => [one.id, one]))
    const id = this.#byMessages.all(databaseId, key).find((one) => mayGo.has(one))
    const other = id === undefined ? undefined : mayGo.get(id)
    if (id === undefined || other === undefined || !givesWay(other)) return false
    for (const statement of [this.#drop, this.#dropLog, this.#dropParts]) statement.run(id)
    this.#loaded.delete(id)
    return true
  }

  #mayGo(sender: Sender): boolean {
    return sender.indexed === sender.watermark && !this.#changed.has(sender)
  }

  /**
   * All streams of one database. More than one: it was restored, copied, or has been to a copy of
   * us.
   */
  ofDatabaseId(databaseId: Uint8Array): Sender[] {
    return this.#ofDatabaseId.all(databaseId).map((row) => this.#senderOf(row))
  }

  /** Where the sender can be answered, inside the open transaction. */
  touch(sender: Sender, host: string, port: number, nowMs: number): void {
    if (sender.id !== 0) this.#touch.run(host, port, nowMs, sender.id)
  }

  /** The sender is written when the transaction ends. */
  onChanged(sender: Sender): void {
    this.#changed.add(sender)
  }

  /** Its session is over. */
  unload(sender: Sender): void {
    if (sender.id === 0) this.#unwritten.delete(nameOf(sender.key, sender.stream))
    else if (!this.#changed.has(sender)) this.#loaded.delete(sender.id)
  }

  /**
   * Writes what has changed, inside the open transaction.
   * @throws DatabaseChanged
   */
  write(nowMs: number): void {
    for (const sender of this.#changed) {
      const { id, watermark, chain, historyExpiredAt, indexed, watermarkOnDisk } = sender
      this.#log.append(sender, nowMs)
      const encoded = chain.encode()
      const { changes } = this.#update.run(
        watermark,
        encoded,
        historyExpiredAt,
        indexed,
        id,
        watermarkOnDisk,
      )
      if (changes !== 1) throw new DatabaseChanged('mqsender')
      sender.watermarkOnDisk = watermark
    }
    this.#changed.clear()
  }

  #senderOf([id, databaseId, stream, key, ...row]: SenderRow): Sender {
    const loaded = this.#loaded.get(id)
    if (loaded !== undefined) return loaded
    const [watermark, chain, historyExpiredAt, indexed] = row
    const sender = this.#newSender(databaseId, stream, key)
    sender.id = id
    sender.watermark = watermark
    sender.chain = (chain && HashChain.decode(chain, this.#sha256)) ?? sender.chain
    sender.historyExpiredAt = historyExpiredAt
    sender.indexed = indexed
    sender.watermarkOnDisk = watermark
    this.#loaded.set(id, sender)
    return sender
  }

  #newSender(databaseId: Buffer, stream: Buffer, key: string): Sender {
    return {
      id: 0,
      databaseId,
      stream,
      key,
      watermark: 0,
      chain: new HashChain(this.#sha256),
      historyExpiredAt: 0,
      indexed: 0,
      watermarkOnDisk: 0,
      unlogged: [],
      unloggedNewest: 0,
    }
  }
}

// Rows that made a trigger of the inbox's owner roll back the whole transaction
// (RAISE(ROLLBACK)), or made its COMMIT fail (a foreign key that is checked there). Only a turn
// that has failed teaches that, so this outlives failed turns, on purpose: the rows of the
// batch come one by one, until it is known which it is, or all have passed. Must never hold
// more than that.

type Suspect = {
  /** The transaction is gone, and with it its number. */
  readonly sender: Sender
  /** One of the sequences up to here; this very one if `isCertain`. */
  readonly last: number
  readonly isCertain: boolean
  readonly reason: string
}

export class Suspects {
  readonly #bySender = new Map<string, Suspect>()

  isAny(sender: Sender): boolean {
    return this.#of(sender) !== undefined
  }

  /** One of the `count` rows up to sequence `last` is to blame: the transaction is gone. */
  add(sender: Sender, last: number, count: number, reason: string): void {
    this.#bySender.set(nameOf(sender.key, sender.stream), {
      sender,
      last,
      isCertain: count === 1,
      reason,
    })
  }

  /** Why the next row must be rejected, if it is known to be the one. */
  reasonAgainstNext(sender: Sender): string | undefined {
    const suspect = this.#of(sender)
    const isNext = suspect?.isCertain === true && suspect.last === sender.watermark + 1
    return isNext ? suspect.reason : undefined
  }

  /** Everything up to `sequence` is settled, and on disk. */
  onPassed({ key, stream }: Sender, sequence: number): void {
    const name = nameOf(key, stream)
    const last = this.#bySender.get(name)?.last
    if (last !== undefined && last <= sequence) this.#bySender.delete(name)
  }

  #of(sender: Sender): Suspect | undefined {
    if (this.#bySender.size === 0) return undefined
    const suspect = this.#bySender.get(nameOf(sender.key, sender.stream))
    if (suspect === undefined) return undefined
    return equalBytes(suspect.sender.databaseId, sender.databaseId) ? suspect : undefined
  }
}
