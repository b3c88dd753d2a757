/**
 * From bodies to messages. Must never let a body pass whose digest does not fit.
 */
import type { Sha256 } from '../protocol/chain.ts'
import { decodeBody, type Message, type RecordEvent } from '../protocol/record.ts'
import { equalBytes } from '../protocol/wire.ts'

/** Messages of more than this together are stored one by one. */
const bytesAtOnce = 1_048_576

export type Taken = {
  readonly messages: Message[]
  readonly bytes: number
  /** What is wrong with the message after these. */
  readonly flaw: 'malformed' | 'damaged' | undefined
}

/**
 * The messages that `events` begins with.
 * @param whole puts the end of a body behind what is kept of it.
 */
export function takeMessages(
  events: readonly RecordEvent[],
  countMax: number,
  whole: (rest: Uint8Array) => Uint8Array,
  sha256: Sha256,
): Taken {
  const messages: Message[] = []
  let bytes = 0
  for (const event of events) {
    if (event.type !== 'message' && event.type !== 'rest') break
    if (messages.length >= countMax || bytes >= bytesAtOnce) break
    const body = event.type === 'message' ? event.body : whole(event.bytes)
    const message = decodeBody(body)
    if (message === undefined) return { messages, bytes, flaw: 'malformed' }
    const { digest, data } = message
    if (digest !== undefined && !equalBytes(digest, sha256(data))) {
      return { messages, bytes, flaw: 'damaged' }
    }
    messages.push(message)
    bytes += body.length
  }
  return { messages, bytes, flaw: undefined }
}
