/**
 * The two databases of the identity model as the rules of PROTOCOL §7 see them: rows are numbers,
 * lanes and streams are lists. Copying one is taking a backup. Must never draw by lot, and must
 * never be used outside tests.
 */
import { hash } from 'node:crypto'
import { assert } from '../../../daemon/protocol/assert.ts'
import { HashChain } from '../../../daemon/store/hash-chain.ts'
import type { OpenedIdentity } from '../../../daemon/store/outbox/identity-check.ts'

/** A random 128-bit id; in a model, counting is random enough. */
export type Id = { readonly n: number; readonly bytes: Uint8Array }

export type Row = {
  readonly id: number
  readonly uid: Id
  readonly createdMs: number
  /** Was set aside or rerouted: comes behind rows with higher ids. */
  readonly isDisplaced: boolean
}

/** A sequence that a lane has given: to a row, or to none any more (then it is sent as SKIP). */
export type Entry = { readonly uid: Id; readonly row: Row | undefined }

export function sha256(...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const joined = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return hash('sha256', joined, 'buffer')
}

/** The rows of one sender database for one destination. */
export class Lane {
  readonly name: 0 | 1
  stream: number
  peer: Uint8Array | undefined
  /** Rows created up to here are sent though they may be duplicated: their operator has said so. */
  releasedMs = 0
  /** What the peer has forgotten, while the lane holds because of it; else 0. */
  heldMs = 0
  /** Sequences a + 1 to n. */
  entries: Entry[] = []
  /** Rows without a number, in the order of their ids. */
  waiting: Row[] = []
  parked: Row[] = []
  /** At a. */
  chain = new HashChain(sha256)
  /** For the checker: uids of the sequences 1 to a; of the messages among them, the sequence. */
  history: number[] = []
  watched = new Map<number, number>()

  constructor(name: 0 | 1, stream: number) {
    this.name = name
    this.stream = stream
  }

  get confirmed(): number {
    return this.chain.sequence
  }

  get numbered(): number {
    return this.confirmed + this.entries.length
  }

  get isEmpty(): boolean {
    return this.entries.length + this.waiting.length + this.parked.length === 0
  }

  clone(): Lane {
    const lane = new Lane(this.name, this.stream)
    lane.peer = this.peer
    lane.releasedMs = this.releasedMs
    lane.heldMs = this.heldMs
    lane.entries = [...this.entries]
    lane.waiting = [...this.waiting]
    lane.parked = [...this.parked]
    lane.chain = this.chain.clone()
    lane.history = [...this.history]
    lane.watched = new Map(this.watched)
    return lane
  }

  /** The row waits for its number. */
  add(row: Row): void {
    const at = this.waiting.findLastIndex(({ id }) => id < row.id)
    this.waiting.splice(at + 1, 0, row)
  }

  /** The row that is next gets the next sequence. */
  numberNext(): void {
    const row = this.waiting.shift()
    assert(row !== undefined, 'There is a row to number.')
    this.entries.push({ uid: row.uid, row })
  }

  entryAt(sequence: number): Entry | undefined {
    return this.entries[sequence - this.confirmed - 1]
  }

  digestAt(sequence: number): Uint8Array {
    if (sequence === this.confirmed) return this.chain.digest()
    const chain = this.chain.clone()
    for (const { uid } of this.entries.slice(0, sequence - this.confirmed)) chain.append(uid.bytes)
    return chain.digest()
  }

  oldestRowMs(watermark: number): number | undefined {
    const numbered = this.entries.slice(watermark - this.confirmed).flatMap(({ row }) => row ?? [])
    const ages = [...numbered, ...this.waiting]
      .map(({ createdMs }) => createdMs)
      .filter((createdMs) => createdMs > this.releasedMs)
    return ages.length === 0 ? undefined : Math.min(...ages)
  }

  /** Everything up to `sequence` is on the peer's disk. Gives what is freed by that. */
  confirm(sequence: number): Entry[] {
    const freed = this.entries.splice(0, Math.max(0, sequence - this.confirmed))
    for (const { uid } of freed) {
      this.chain.append(uid.bytes)
      this.history.push(uid.n)
    }
    return freed
  }

  /** PROTOCOL §6.3: the sequence of a row that is set aside goes to a uid that no row has. */
  park(sequence: number, filler: Id): void {
    const row = this.entryAt(sequence)?.row
    if (row === undefined) return
    this.entries[sequence - this.confirmed - 1] = { uid: filler, row: undefined }
    this.parked.push({ ...row, isDisplaced: true })
  }

  unpark(): void {
    for (const row of this.parked.splice(0)) this.add(row)
  }

  /** Its owner deletes a row. A sequence keeps the uid: the message may be stored already. */
  delete(row: Row): void {
    const isOther = (other: Row): boolean => other.id !== row.id
    this.waiting = this.waiting.filter(isOther)
    this.parked = this.parked.filter(isOther)
    this.entries = this.entries.map((entry) =>
      entry.row === undefined || isOther(entry.row) ? entry : { uid: entry.uid, row: undefined },
    )
  }

  /** A new stream. */
  renew(stream: number): void {
    const rows = this.entries.flatMap(({ row }) => row ?? [])
    this.stream = stream
    this.entries = []
    this.chain = new HashChain(sha256)
    this.releasedMs = 0
    this.history = []
    this.watched = new Map()
    for (const row of rows) this.add(row)
  }
}

export class SenderDatabase {
  readonly id: Id
  readonly lanes: readonly Lane[]
  nextRow = 1

  constructor(id: Id, lanes: readonly Lane[]) {
    this.id = id
    this.lanes = lanes
  }

  clone(): SenderDatabase {
    const copy = new SenderDatabase(
      this.id,
      this.lanes.map((lane) => lane.clone()),
    )
    copy.nextRow = this.nextRow
    return copy
  }
}

type Inbound = {
  readonly databaseId: number
  readonly chain: HashChain
  /** The newest creation of a message whose uid the log has forgotten. */
  forgottenMs: number
  lastRow: number
  /** For the checker: the uid of each sequence. */
  readonly history: number[]
}

type Logged = { readonly stream: number; readonly databaseId: number; readonly createdMs: number }

export class ReceiverDatabase {
  readonly id: Id
  readonly streams = new Map<number, Inbound>()
  /** By uid, oldest first. */
  readonly log = new Map<number, Logged>()
  /** For the checker: all that was ever put into the inbox, and all that came as SKIP. */
  readonly stored = new Set<number>()
  readonly skipped = new Set<number>()

  constructor(id: Id) {
    this.id = id
  }

  clone(): ReceiverDatabase {
    const copy = new ReceiverDatabase(this.id)
    for (const [stream, inbound] of this.streams) {
      const { chain, history } = inbound
      copy.streams.set(stream, { ...inbound, chain: chain.clone(), history: [...history] })
    }
    for (const [uid, logged] of this.log) copy.log.set(uid, logged)
    for (const uid of this.stored) copy.stored.add(uid)
    for (const uid of this.skipped) copy.skipped.add(uid)
    return copy
  }

  opened(stream: number, databaseId: Id): OpenedIdentity {
    const chain = this.streams.get(stream)?.chain ?? new HashChain(sha256)
    return {
      database: this.id.bytes,
      watermark: chain.sequence,
      digest: chain.digest(),
      logStart: this.#logStart(stream, databaseId),
    }
  }

  /** PROTOCOL §5.6: of what came under other streams. */
  #logStart(stream: number, databaseId: Id): number {
    let logStart = 0
    for (const [other, inbound] of this.streams) {
      if (inbound.databaseId !== databaseId.n || other === stream) continue
      logStart = Math.max(logStart, inbound.forgottenMs)
    }
    return logStart
  }

  /** The state of a stream; a new one when it is unknown. */
  inbound(stream: number, databaseId: Id): Inbound {
    const known = this.streams.get(stream)
    if (known !== undefined) return known
    const inbound: Inbound = {
      databaseId: databaseId.n,
      chain: new HashChain(sha256),
      forgottenMs: 0,
      lastRow: 0,
      history: [],
    }
    this.streams.set(stream, inbound)
    return inbound
  }

  /** Rule 8: whether the row is here already, as far as the log knows. */
  knows(uid: Id, databaseId: Id): boolean {
    const family = Array.from(this.streams.values()).filter(
      (inbound) => inbound.databaseId === databaseId.n,
    )
    return family.length > 1 && this.log.get(uid.n)?.databaseId === databaseId.n
  }

  insert(row: Row, stream: number, databaseId: Id): void {
    this.stored.add(row.uid.n)
    this.log.set(row.uid.n, { stream, databaseId: databaseId.n, createdMs: row.createdMs })
  }

  /** The log's retention: forgets its oldest uids. Gives what it has forgotten. */
  forget(count: number): Logged[] {
    const oldest = Array.from(this.log).slice(0, count)
    for (const [uid, { stream, createdMs }] of oldest) {
      this.log.delete(uid)
      const inbound = this.streams.get(stream)
      if (inbound !== undefined) inbound.forgottenMs = Math.max(inbound.forgottenMs, createdMs)
    }
    return oldest.map(([, logged]) => logged)
  }
}
