/**
 * The inbound half of the stand-in for the store: one watermark and one chain for each stream, rows
 * in the order in which they came (PROTOCOL §6.4).
 */
import { assert } from '../../../daemon/protocol/assert.ts'
import { HashChain } from '../../../daemon/store/hash-chain.ts'
import type { Environment } from '../../../daemon/protocol/crypto/provider.ts'
import { type CloseCode, closeCode } from '../../../daemon/protocol/codec/frame.ts'
import { decodeBody, type RecordEvent, RecordParser } from '../../../daemon/store/record.ts'
import type { SessionId, StoreResult, StoreWork } from '../../../daemon/protocol/store-messages.ts'
import { concat } from '../../../daemon/protocol/codec/buffer.ts'

export type InboxRow = {
  readonly key: string
  /** Where the sender can be answered. */
  readonly host: string
  readonly port: number
  readonly data: Uint8Array
}

type Stream = { readonly id: string; readonly databaseId: string; readonly chain: HashChain }

type Receiving = {
  readonly stream: Stream
  readonly parser: RecordParser
  readonly work: Extract<StoreWork, { type: 'accept' }>
  received: number
}

type Refusal = { readonly code: CloseCode; readonly reason: string; readonly retryAfterMs: number }
type Emit = (result: StoreResult) => void

export class RowInbox {
  readonly rows: InboxRow[] = []
  messageBytesMax = 262_144
  /** Set by a scenario: each stream that is opened is turned away. */
  turnsAway: Refusal | undefined
  /** Set by a scenario: rows that are not taken. */
  refuses: (data: Uint8Array) => Refusal | undefined = () => undefined
  readonly #environment: Environment
  readonly #database: Uint8Array
  readonly #streams = new Map<string, Stream>()
  readonly #sessions = new Map<SessionId, Receiving>()
  /** Uids of all messages, by database id. */
  readonly #log = new Map<string, Set<string>>()

  constructor(environment: Environment, database: Uint8Array) {
    this.#environment = environment
    this.#database = database
  }

  get sessionCount(): number {
    return this.#sessions.size
  }

  onRestart(): void {
    this.#sessions.clear()
  }

  accept(work: Extract<StoreWork, { type: 'accept' }>, emit: Emit): void {
    const { session, key } = work
    if (this.turnsAway !== undefined) {
      return emit({ type: 'rejected', session, sequence: 0, ...this.turnsAway })
    }
    const id = `${key} ${textOf(work.stream)}`
    for (const [other, { stream }] of this.#sessions) {
      if (stream.id !== id || other === session) continue
      if (other > session) return emit({ type: 'superseded', session })
      this.#sessions.delete(other)
      emit({ type: 'superseded', session: other })
    }
    const databaseId = textOf(work.databaseId)
    const stream = this.#streams.get(id) ?? this.#newStream(id, databaseId)
    const { messageBytesMax } = this
    const parser = new RecordParser(messageBytesMax)
    this.#sessions.set(session, { stream, parser, work, received: 0 })
    const { chain } = stream
    const facts = { watermark: chain.sequence, digest: chain.digest(), part: 0, logStart: 0 }
    emit({ type: 'accepted', session, database: this.#database, ...facts, messageBytesMax })
  }

  receive(work: Extract<StoreWork, { type: 'receive' }>, emit: Emit): void {
    const { session, offset, bytes, spillBytes } = work
    const receiving = this.#sessions.get(session)
    if (receiving === undefined) return
    assert(offset === receiving.received, 'The stream is handed over without a gap.')
    receiving.received += bytes.length
    for (const event of receiving.parser.feed(bytes)) {
      const refusal = this.#store(receiving, event)
      if (refusal === undefined) continue
      this.#sessions.delete(session)
      const sequence = refusal.code === closeCode.refused ? receiving.stream.chain.sequence + 1 : 0
      return emit({ type: 'rejected', session, sequence, ...refusal })
    }
    const { heldBytes } = receiving.parser
    const durable = receiving.received - (heldBytes > spillBytes ? 0 : heldBytes)
    emit({ type: 'received', session, sequence: receiving.stream.chain.sequence, durable })
  }

  forget(session: SessionId): void {
    this.#sessions.delete(session)
  }

  #store({ stream, work }: Receiving, event: RecordEvent): Refusal | undefined {
    if (event.type === 'skip') {
      stream.chain.appendMany(event.uids)
      return undefined
    }
    const message = event.type === 'message' ? decodeBody(event.body) : undefined
    if (message === undefined) {
      return { code: closeCode.protocol, reason: 'a record of no sense', retryAfterMs: 0 }
    }
    const refusal = this.refuses(message.data)
    if (refusal !== undefined) return refusal
    const uid = textOf(message.uid)
    const log = this.#log.get(stream.databaseId) ?? new Set()
    if (!log.has(uid)) {
      const { key, host, port } = work
      this.rows.push({ key, host, port, data: Uint8Array.from(message.data) })
    }
    this.#log.set(stream.databaseId, log.add(uid))
    stream.chain.append(concat(message.uid))
    return undefined
  }

  #newStream(id: string, databaseId: string): Stream {
    const stream = {
      id,
      databaseId,
      chain: new HashChain((...parts) => this.#environment.sha256(...parts)),
    }
    this.#streams.set(id, stream)
    return stream
  }
}

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
