/**
 * A sender without a store, that says to an inbox whatever a test wants it to say. Must never do
 * anything by itself.
 */
import { createHash } from 'node:crypto'
import { encodeMessage, encodeSkip, type Message } from '../../../daemon/store/record.ts'
import type { SessionId, StoreResult, StoreWork } from '../../../daemon/protocol/store-messages.ts'
import { Writer } from '../../../daemon/protocol/codec/buffer.ts'
import type { Machine } from './machine.ts'

export const databaseId = Buffer.alloc(16, 1)
export const stream = Buffer.alloc(16, 2)

type Accept = Extract<StoreWork, { type: 'accept' }>

let sessions = 5_000_000

export function messageOf(
  n: number,
  data: string | Uint8Array = `m${n}`,
  token = 'token',
): Message {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data
  const hasDigest = bytes.length > 1_048_576
  return {
    uid: Buffer.alloc(16, n),
    isText: typeof data === 'string',
    row: n,
    timeMs: 1_000 + n,
    token,
    headers: undefined,
    digest: hasDigest ? createHash('sha256').update(bytes).digest() : undefined,
    data: bytes,
  }
}

export function bytesOf(...messages: readonly Message[]): Uint8Array {
  const writer = new Writer(1_024)
  for (const message of messages) encodeMessage(writer, message)
  return writer.written.slice()
}

export function skipOf(...numbers: readonly number[]): Uint8Array {
  const writer = new Writer(1_024)
  encodeSkip(writer, Buffer.concat(numbers.map((n) => Buffer.alloc(16, n))))
  return writer.written.slice()
}

/** A sender without a store. */
export class Talker {
  readonly #receiver: Machine
  session: SessionId
  #offset = 0

  constructor(receiver: Machine) {
    sessions++
    this.#receiver = receiver
    this.session = sessions
  }

  open(
    options: Partial<
      Pick<Accept, 'stream' | 'confirmed' | 'mustBeKnown' | 'key' | 'databaseId' | 'host'>
    > = {},
  ): StoreResult | undefined {
    this.#receiver.run({
      type: 'accept',
      session: this.session,
      key: '',
      databaseId,
      stream,
      confirmed: 0,
      mustBeKnown: false,
      host: 'sender',
      port: 9000,
      ...options,
    })
    return this.#receiver.take(this.session)
  }

  /** What the store says to these bytes. */
  say(bytes: Uint8Array, spillBytes = 100_000): StoreResult[] {
    const { session } = this
    const offset = this.#offset
    this.#offset += bytes.length
    this.#receiver.run({ type: 'receive', session, offset, bytes, spillBytes })
    return this.heard()
  }

  heard(): StoreResult[] {
    const said: StoreResult[] = []
    for (
      let one = this.#receiver.take(this.session);
      one;
      one = this.#receiver.take(this.session)
    ) {
      said.push(one)
    }
    return said
  }
}
