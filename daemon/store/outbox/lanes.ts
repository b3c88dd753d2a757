/**
 * `mqlane`: the identity of each lane, loaded while it is used and written once a transaction. Must
 * never decide about an identity: `identity-check.ts` does.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { assert } from '../../protocol/assert.ts'
import { HashChain } from '../hash-chain.ts'
import type { LaneAddress, LaneId } from '../../protocol/store-messages.ts'
import type { Connection, StoreEnvironment } from '../connection.ts'
import { DatabaseChanged } from '../error-classification.ts'
import type { LaneDestination } from './destinations.ts'

const streamBytes = 16
/** Rows of one read are guessed from this before the first read has reported. */
const rowBytesAtFirst = 256

type LaneRow = [
  id: LaneId,
  host: string,
  port: number,
  key: string,
  stream: Buffer | null,
  peer: Buffer | null,
  confirmed: number,
  numbered: number,
  chain: Buffer | null,
  numberedId: number,
  resendBefore: number,
]
type LaneUpdate = [
  stream: Uint8Array,
  peer: Uint8Array | null,
  confirmed: number,
  numbered: number,
  chain: Uint8Array,
  numberedId: number,
  resendBefore: number,
  id: LaneId,
  streamBefore: Uint8Array | null,
  confirmedBefore: number,
  numberedBefore: number,
]

/** What the row says on disk: nobody else may have changed it meanwhile. */
type OnDisk = {
  readonly stream: Uint8Array | null
  readonly confirmed: number
  readonly numbered: number
}

export type Lane = {
  readonly address: LaneAddress
  stream: Uint8Array
  peer: Uint8Array | undefined
  /** a of PROTOCOL §7.1. */
  confirmed: number
  /** n of PROTOCOL §7.1. */
  numbered: number
  /** Up to this `mqout.id` every row is numbered, parked or in mqrequeue. */
  numberedId: number
  /**
   * Rows created up to this time are sent though they may be duplicated: the operator has said so.
   */
  resendBefore: number
  /** At `confirmed`. */
  chain: HashChain
  /** No late row of this lane has a lower id; Infinity: there is none. */
  lateFrom: number
  /** What a row of the last read took on the average. */
  rowBytes: number
  isChanged: boolean
}

/** One text for each place: hosts have no spaces. */
export function laneName({ host, port, key }: LaneDestination): string {
  return `${port} ${host} ${key}`
}

export class Lanes {
  readonly #connection: Connection
  readonly #environment: StoreEnvironment
  readonly #insert: BetterSqlite3.Statement<[string, number, string, Uint8Array]>
  readonly #dropRuns: BetterSqlite3.Statement<[LaneId]>
  readonly #detachBatches: BetterSqlite3.Statement<[LaneId]>
  readonly #select: BetterSqlite3.Statement<[LaneId], LaneRow>
  readonly #update: BetterSqlite3.Statement<LaneUpdate>
  readonly #pass: BetterSqlite3.Statement<[number, LaneId]>
  readonly #find: BetterSqlite3.Statement<[string, number, string], LaneId>
  readonly #toPeer: BetterSqlite3.Statement<[Uint8Array, string], LaneId>
  readonly #loaded = new Map<LaneId, Lane>()
  readonly #onDisk = new Map<LaneId, OnDisk>()
  readonly #ids = new Map<string, LaneAddress>()
  readonly #changed = new Set<Lane>()

  constructor(connection: Connection, environment: StoreEnvironment) {
    this.#connection = connection
    this.#environment = environment
    this.#insert = connection.prepareChange(
      'INSERT INTO mqlane (host, port, key, stream) VALUES (?, ?, ?, ?)',
    )
    this.#dropRuns = connection.prepareChange(
      'DELETE FROM mqbatch WHERE lane = ? AND done_at IS NULL',
    )
    this.#detachBatches = connection.prepareChange('UPDATE mqbatch SET lane = NULL WHERE lane = ?')
    this.#select = connection.prepare(
      `SELECT id, host, port, key, stream, peer, confirmed, numbered, chain, numbered_id,
         resend_before
       FROM mqlane WHERE id = ?`,
    )
    this.#update = connection.prepareChange(
      `UPDATE mqlane SET stream = ?, peer = ?, confirmed = ?, numbered = ?, chain = ?,
         numbered_id = ?, resend_before = ?
       WHERE id = ? AND stream IS ? AND confirmed = ? AND numbered = ?`,
    )
    this.#pass = connection.prepareChange('UPDATE mqlane SET numbered_id = ? WHERE id = ?')
    this.#find = connection.prepareValue(
      'SELECT id FROM mqlane WHERE host = ? AND port = ? AND key = ?',
    )
    this.#toPeer = connection.prepareValue('SELECT id FROM mqlane WHERE peer = ? AND key = ?')
  }

  /** Whether a lane under this key is with this database. */
  isWith(peer: Uint8Array, key: string): boolean {
    return this.#toPeer.get(peer, key) !== undefined
  }

  /** Undefined when there is none yet. */
  find({ host, port, key }: LaneDestination): LaneAddress | undefined {
    const name = laneName({ host, port, key })
    const known = this.#ids.get(name)
    if (known !== undefined) return known
    const lane = this.#find.get(host, port, key)
    if (lane === undefined) return undefined
    const address = { lane, host, port, key }
    this.#ids.set(name, address)
    return address
  }

  findOrCreate(destination: LaneDestination): LaneAddress {
    const known = this.find(destination)
    if (known !== undefined) return known
    this.#connection.begin()
    this.#insert.run(destination.host, destination.port, destination.key, this.newStream())
    const created = this.find(destination)
    assert(created !== undefined, 'A lane that was inserted is there.')
    // Somebody has deleted a lane that had this id: its runs are not of this one.
    this.#dropRuns.run(created.lane)
    this.#detachBatches.run(created.lane)
    return created
  }

  /** Lanes that `write` will write. */
  get changed(): Iterable<Lane> {
    return this.#changed
  }

  /** Those of them of which rows were confirmed in this transaction. */
  get confirmed(): LaneId[] {
    return Array.from(this.#changed)
      .filter(({ address, confirmed }) => this.#onDisk.get(address.lane)?.confirmed !== confirmed)
      .map(({ address }) => address.lane)
  }

  newStream(): Uint8Array {
    return this.#environment.randomBytes(streamBytes)
  }

  /** Undefined when the lane is no longer in the database. */
  load(id: LaneId): Lane | undefined {
    const loaded = this.#loaded.get(id)
    if (loaded !== undefined) return loaded
    const row = this.#select.get(id)
    if (row === undefined) {
      this.#ids.clear()
      return undefined
    }
    const lane = this.#laneOf(row)
    this.#loaded.set(id, lane)
    const [, , , , stream, , confirmed, numbered] = row
    this.#onDisk.set(id, { stream, confirmed, numbered })
    return lane
  }

  /** Its last session is over: nothing needs it in memory. */
  unload(id: LaneId): void {
    const lane = this.#loaded.get(id)
    if (lane === undefined || lane.isChanged) return
    this.#loaded.delete(id)
    this.#onDisk.delete(id)
  }

  /** A row of this lane may have been overlooked by the numbering. */
  onLate(id: LaneId, row: number): void {
    const lane = this.#loaded.get(id)
    if (lane !== undefined) lane.lateFrom = Math.min(lane.lateFrom, row)
  }

  /**
   * Every row up to this id is numbered, inside the open transaction. It is written at once: a
   * trigger of somebody's may put a row into mqout before the transaction ends, and the triggers of
   * mqout must see whether the numbering has passed it.
   */
  pass(lane: Lane, numberedId: number): void {
    lane.numberedId = numberedId
    this.#pass.run(numberedId, lane.address.lane)
    this.onChanged(lane)
  }

  /** The lane is written when the transaction ends. */
  onChanged(lane: Lane): void {
    lane.isChanged = true
    this.#changed.add(lane)
  }

  /**
   * Writes what has changed, inside the open transaction.
   * @throws DatabaseChanged
   */
  write(): void {
    for (const lane of this.#changed) {
      const { stream, peer, confirmed, numbered, chain, numberedId, resendBefore, address } = lane
      const before = this.#onDisk.get(address.lane)
      assert(before !== undefined, 'A lane is loaded before it changes.')
      const { changes } = this.#update.run(
        stream,
        peer ?? null,
        confirmed,
        numbered,
        chain.encode(),
        numberedId,
        resendBefore,
        address.lane,
        before.stream,
        before.confirmed,
        before.numbered,
      )
      if (changes !== 1) throw new DatabaseChanged('mqlane')
      this.#onDisk.set(address.lane, { stream, confirmed, numbered })
      lane.isChanged = false
    }
    this.#changed.clear()
  }

  /** Forgets everything: all of it is on disk, where others have changed it. */
  reset(): void {
    this.#loaded.clear()
    this.#onDisk.clear()
    this.#ids.clear()
    this.#changed.clear()
  }

  #laneOf(row: LaneRow): Lane {
    const [lane, host, port, key, stream, peer, ...numbers] = row
    const [confirmed, numbered, chain, numberedId, resendBefore] = numbers
    const { sha256 } = this.#environment
    return {
      address: { lane, host, port, key },
      stream: stream ?? this.newStream(),
      peer: peer ?? undefined,
      confirmed,
      numbered,
      numberedId,
      resendBefore,
      chain: (chain && HashChain.decode(chain, sha256)) ?? new HashChain(sha256),
      lateFrom: 0,
      rowBytes: rowBytesAtFirst,
      isChanged: false,
    }
  }
}
