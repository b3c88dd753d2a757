/** Arbitrary messages and records of a stream. Must never be used outside tests. */
import * as fc from 'fast-check'
import {
  bodyLength,
  encodeBodyHead,
  encodeMessage,
  encodeSkip,
  type Message,
  timeMsMax,
} from '../../daemon/store/record.ts'
import { concat, Writer } from '../../daemon/protocol/codec/buffer.ts'
import { numbers, texts } from './frames.ts'

/** One record of a stream, and its bytes. */
export type SampleRecord =
  | { readonly type: 'message'; readonly message: Message; readonly bytes: Uint8Array }
  | { readonly type: 'skip'; readonly uids: Uint8Array; readonly bytes: Uint8Array }

const plain = { noNullPrototype: true } as const
const uids = fc.uint8Array({ minLength: 16, maxLength: 16 })

/** Short ones: without a digest. */
export const messages: fc.Arbitrary<Message> = fc.record(
  {
    uid: uids,
    isText: fc.boolean(),
    row: numbers,
    timeMs: fc.oneof(fc.constantFrom(0, 1, timeMsMax), fc.integer({ min: 0, max: timeMsMax })),
    token: texts(255),
    headers: fc.option(texts(300), { nil: undefined }),
    digest: fc.constant(undefined),
    data: fc.uint8Array({ maxLength: 400 }),
  },
  plain,
)

export const records: fc.Arbitrary<SampleRecord> = fc.oneof(
  messages.map((message) => messageRecord(message)),
  fc.array(uids, { minLength: 1, maxLength: 40 }).map((uids) => skipRecord(concat(...uids))),
)

export function bodyOf(message: Message): Uint8Array {
  const writer = new Writer(bodyLength(message))
  encodeBodyHead(writer, message)
  writer.bytes(message.data)
  return writer.written
}

function messageRecord(message: Message): SampleRecord {
  const writer = new Writer(64)
  encodeMessage(writer, message)
  return { type: 'message', message, bytes: writer.written }
}

function skipRecord(uids: Uint8Array): SampleRecord {
  const writer = new Writer(64)
  encodeSkip(writer, uids)
  return { type: 'skip', uids, bytes: writer.written }
}
