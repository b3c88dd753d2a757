/**
 * The outbound half of the stand-in for the store: rows in lanes, numbered when they are read
 * (PROTOCOL §7.1). Everything is an array; nothing is ever written down.
 */
import { assert } from '../../../daemon/protocol/assert.ts'
import { HashChain } from '../../../daemon/store/hash-chain.ts'
import type { Environment } from '../../../daemon/protocol/crypto/provider.ts'
import { applyIdentityRules } from '../../../daemon/store/outbox/identity-check.ts'
import { encodeMessage, encodeSkip } from '../../../daemon/store/record.ts'
import type {
  LaneAddress,
  LaneId,
  LaneStatus,
  SessionId,
  StoreResult,
  StoreWork,
} from '../../../daemon/protocol/store-messages.ts'
import { Writer } from '../../../daemon/protocol/codec/buffer.ts'

export type OutboxRow = {
  readonly id: number
  readonly lane: LaneId
  readonly uid: Uint8Array
  readonly data: Uint8Array
  parkedUntilMs: number
}

type Entry = { uid: Uint8Array; row: OutboxRow | undefined }

type RowLane = {
  readonly address: LaneAddress
  stream: Uint8Array
  peer: Uint8Array | undefined
  /** At the highest confirmed sequence. */
  chain: HashChain
  /** The sequences after it. */
  entries: Entry[]
  waiting: OutboxRow[]
  parked: OutboxRow[]
  status: LaneStatus
  statusWrites: number
  packets: number
  lost: number
}

type Reading = {
  readonly id: SessionId
  readonly lane: RowLane
  next: number
  messageBytesMax: number
  bytesMax: number | undefined
}

type Work<Type extends StoreWork['type']> = Extract<StoreWork, { type: Type }>
type Emit = (result: StoreResult) => void

export class RowOutbox {
  /** Why lanes began a new stream, in order. */
  readonly renewals: string[] = []
  /** Set by a scenario: lanes wait for their operator. */
  holds: string | undefined
  readonly #environment: Environment
  readonly #database: Uint8Array
  readonly #lanes: RowLane[] = []
  readonly #sessions = new Map<SessionId, Reading>()
  readonly #announced = new Set<LaneId>()
  /** Lanes that the next scan looks at. */
  readonly #changed = new Set<RowLane>()
  readonly #wanted: LaneId[] = []
  #rows = 0

  constructor(environment: Environment, database: Uint8Array) {
    this.#environment = environment
    this.#database = database
  }

  get sessionCount(): number {
    return this.#sessions.size
  }

  /** Rows that are not confirmed. */
  get rowsLeft(): number {
    const left = ({ entries, waiting, parked }: RowLane): number =>
      entries.filter(({ row }) => row !== undefined).length + waiting.length + parked.length
    return this.#lanes.reduce((sum, lane) => sum + left(lane), 0)
  }

  insert(to: Omit<LaneAddress, 'lane'>, data: Uint8Array): void {
    const lane = this.#laneTo(to)
    this.#changed.add(lane)
    const uid = this.#environment.randomBytes(16)
    lane.waiting.push({ id: ++this.#rows, lane: lane.address.lane, uid, data, parkedUntilMs: 0 })
  }

  deleteAll(to: Omit<LaneAddress, 'lane'>): void {
    const lane = this.#laneTo(to)
    this.#changed.add(lane)
    for (const entry of lane.entries) entry.row = undefined
    lane.waiting = []
    lane.parked = []
  }

  want(to: Omit<LaneAddress, 'lane'>): void {
    this.#wanted.push(this.#laneTo(to).address.lane)
  }

  statusOf(to: Omit<LaneAddress, 'lane'>): LaneStatus {
    return this.#laneTo(to).status
  }

  get statusWrites(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.statusWrites, 0)
  }

  /** The process has ended. */
  onRestart(): void {
    this.#sessions.clear()
    this.#announced.clear()
    for (const lane of this.#lanes) this.#changed.add(lane)
  }

  scan(nowMs: number, emit: Emit): void {
    const news: LaneAddress[] = []
    for (const lane of this.#changed) {
      const { lane: id } = lane.address
      this.#unpark(lane, nowMs)
      if (lane.parked.length === 0) this.#changed.delete(lane)
      if (!this.#announced.has(id) && hasRows(lane)) {
        this.#announced.add(id)
        news.push(lane.address)
      } else if (this.#announced.has(id) && !hasRows(lane) && !this.#hasSession(lane)) {
        this.#announced.delete(id)
        emit({ type: 'drained', lane: id })
      }
    }
    if (news.length > 0) emit({ type: 'lanes', lanes: news })
    for (const lane of this.#wanted.splice(0)) emit({ type: 'retry-requested', lane })
    for (const reading of this.#sessions.values()) this.#answerRead(reading, nowMs, emit)
  }

  openLane({ lane: id, session }: Work<'open-lane'>, emit: Emit): void {
    const lane = this.#lanes[id - 1]
    assert(lane !== undefined, 'A lane that is opened was named.')
    for (const [other, reading] of this.#sessions) {
      if (reading.lane === lane) this.#sessions.delete(other)
    }
    const reading = { id: session, lane, next: 0, messageBytesMax: 0, bytesMax: undefined }
    this.#sessions.set(session, reading)
    const { stream, chain, peer } = lane
    const confirmed = chain.sequence
    emit({ type: 'lane-opened', session, databaseId: this.#database, peer, stream, confirmed })
  }

  checkIdentity({ session, opened, addressIsOwn }: Work<'check-identity'>, emit: Emit): void {
    const reading = this.#sessions.get(session)
    if (reading === undefined) return
    if (this.holds !== undefined) {
      const decision = { type: 'pause', code: 'TINYMQ_AMBIGUOUS', reason: this.holds } as const
      return emit({ type: 'identity-checked', session, decision })
    }
    const { lane } = reading
    const decision = applyIdentityRules(
      {
        ownDatabase: this.#database,
        addressIsOwn,
        peer: lane.peer,
        confirmed: lane.chain.sequence,
        numbered: lane.chain.sequence + lane.entries.length,
        digestAt: (sequence) => digestAt(lane, sequence),
        oldestRowMs: () => undefined,
      },
      opened,
    )
    if (decision.type === 'reject') {
      const code = `TINYMQ_${decision.event.code}`
      const hold = { type: 'pause', code, reason: 'it is this database' } as const
      return emit({ type: 'identity-checked', session, decision: hold })
    }
    lane.peer = decision.peer
    if (decision.type === 'go') {
      this.#advance(lane, decision.from - 1)
      reading.next = decision.from
      reading.messageBytesMax = opened.messageBytesMax
      return emit({ type: 'identity-checked', session, decision: { type: 'go' } })
    }
    this.renewals.push(decision.event.code)
    this.#renew(lane)
    emit({ type: 'identity-checked', session, decision: { type: 'restart' } })
  }

  read({ session, bytesMax }: Work<'read'>, nowMs: number, emit: Emit): void {
    const reading = this.#sessions.get(session)
    if (reading === undefined) return
    assert(reading.bytesMax === undefined, 'A session has at most one read open.')
    reading.bytesMax = bytesMax
    this.#answerRead(reading, nowMs, emit)
  }

  confirmed({ session, sequence }: Work<'confirmed'>): void {
    const reading = this.#sessions.get(session)
    if (reading !== undefined) this.#advance(reading.lane, sequence)
  }

  refused({ session, sequence, retryAfterMs }: Work<'row-rejected'>, nowMs: number): void {
    const reading = this.#sessions.get(session)
    if (reading === undefined) return
    const entry = reading.lane.entries[sequence - reading.lane.chain.sequence - 1]
    if (entry !== undefined) this.#park(reading.lane, entry, nowMs + retryAfterMs)
  }

  /** Packets that every lane took, and how many of them were lost. */
  get traffic(): { readonly packets: number; readonly lost: number } {
    const sum = (name: 'packets' | 'lost'): number =>
      this.#lanes.reduce((total, lane) => total + lane[name], 0)
    return { packets: sum('packets'), lost: sum('lost') }
  }

  setStatus({ lane: id, status }: Work<'lane-status'>): void {
    const lane = this.#lanes[id - 1]
    assert(lane !== undefined, 'A lane that has a status was named.')
    lane.status = status
    lane.statusWrites++
  }

  addTraffic({ lane: id, traffic }: Work<'lane-traffic'>): void {
    const lane = this.#lanes[id - 1]
    assert(lane !== undefined, 'A lane that has traffic was named.')
    lane.packets += traffic.packets
    lane.lost += traffic.lost
  }

  forget(session: SessionId): void {
    const lane = this.#sessions.get(session)?.lane
    if (!this.#sessions.delete(session) || lane === undefined) return
    this.#changed.add(lane)
    // When it has rows it is named again.
    this.#announced.delete(lane.address.lane)
  }

  #answerRead(reading: Reading, nowMs: number, emit: Emit): void {
    const { lane, bytesMax } = reading
    if (bytesMax === undefined) return
    const writer = new Writer(1024)
    while (writer.length < bytesMax) {
      const entry = this.#entryAt(lane, reading.next)
      if (entry === undefined) break
      if (entry.row !== undefined && entry.row.data.length + 32 > reading.messageBytesMax) {
        this.#park(lane, entry, nowMs + 60_000)
      }
      if (entry.row === undefined) encodeSkip(writer, entry.uid)
      else encodeMessage(writer, messageOf(entry.row, nowMs))
      reading.next++
    }
    if (writer.length === 0) return
    reading.bytesMax = undefined
    const bytes = Uint8Array.from(writer.written)
    const drained = lane.waiting.length === 0
    emit({ type: 'rows', session: reading.id, bytes, lastSequence: reading.next - 1, drained })
  }

  /** Of this sequence; the row that waits longest gets it if it is new. */
  #entryAt(lane: RowLane, sequence: number): Entry | undefined {
    const index = sequence - lane.chain.sequence - 1
    if (index === lane.entries.length) {
      const row = lane.waiting.shift()
      if (row !== undefined) lane.entries.push({ uid: row.uid, row })
    }
    return lane.entries[index]
  }

  #advance(lane: RowLane, sequence: number): void {
    const count = Math.max(0, sequence - lane.chain.sequence)
    for (const { uid } of lane.entries.splice(0, count)) lane.chain.append(uid)
  }

  #renew(lane: RowLane): void {
    const rows = lane.entries.flatMap(({ row }) => row ?? [])
    lane.waiting = [...rows, ...lane.waiting].toSorted((one, other) => one.id - other.id)
    lane.entries = []
    lane.chain = new HashChain((...parts) => this.#environment.sha256(...parts))
    lane.stream = this.#environment.randomBytes(16)
  }

  #park(lane: RowLane, entry: Entry, untilMs: number): void {
    if (entry.row === undefined) return
    entry.row.parkedUntilMs = untilMs
    lane.parked.push(entry.row)
    this.#changed.add(lane)
    entry.row = undefined
    entry.uid = this.#environment.randomBytes(16)
  }

  #unpark(lane: RowLane, nowMs: number): void {
    lane.waiting.push(...lane.parked.filter((row) => row.parkedUntilMs <= nowMs))
    lane.parked = lane.parked.filter((row) => row.parkedUntilMs > nowMs)
  }

  #hasSession(lane: RowLane): boolean {
    return [...this.#sessions.values()].some((reading) => reading.lane === lane)
  }

  #laneTo({ host, port, key }: Omit<LaneAddress, 'lane'>): RowLane {
    const known = this.#lanes.find(
      ({ address }) => address.host === host && address.port === port && address.key === key,
    )
    if (known !== undefined) return known
    const lane = {
      address: { lane: this.#lanes.length + 1, host, port, key },
      stream: this.#environment.randomBytes(16),
      peer: undefined,
      chain: new HashChain((...parts) => this.#environment.sha256(...parts)),
      entries: [],
      waiting: [],
      parked: [],
      status: { type: 'idle' },
      statusWrites: 0,
      packets: 0,
      lost: 0,
    } as const satisfies RowLane
    this.#lanes.push(lane)
    return lane
  }
}

function hasRows({ entries, waiting }: RowLane): boolean {
  return waiting.length > 0 || entries.some(({ row }) => row !== undefined)
}

function digestAt(lane: RowLane, sequence: number): Uint8Array {
  const chain = lane.chain.clone()
  for (const { uid } of lane.entries.slice(0, sequence - chain.sequence)) chain.append(uid)
  return chain.digest()
}

function messageOf(
  { id, uid, data }: OutboxRow,
  nowMs: number,
): Parameters<typeof encodeMessage>[1] {
  const fixed = { isText: false, timeMs: nowMs, token: '', headers: undefined, digest: undefined }
  return { uid, row: id, data, ...fixed }
}
