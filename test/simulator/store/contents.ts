/**
 * What tests put into messages: data and headers of any size that follow from a number, and the
 * sizes at which something in the code begins or ends. The sizes come from the constants, so that
 * a changed constant moves the tests. Must never be used outside tests.
 */
import { createCipheriv } from 'node:crypto'
import {
  ackEveryBytes,
  creditWindowMax,
  creditWindowMin,
  elicitingDatagramBytesMin,
  readBytesMax,
  readShareBytesMin,
  spillBytesMax,
} from '../../../daemon/protocol/constants.ts'
import { dataBytesMax } from '../../../daemon/protocol/codec/packet.ts'
import {
  bodyLength,
  headersBytesMax,
  tokenBytesMax,
  undigestedBytesMax,
  type Message,
} from '../../../daemon/store/record.ts'
import { datagramBytesMin, datagramSizes } from '../../../daemon/protocol/recovery/constants.ts'
import { varintLength } from '../../../daemon/protocol/codec/buffer.ts'
import { bodyExtraBytes, feedBytes } from '../../../daemon/store/inbox/inbox.ts'
import { sliceBytes, windowBytes } from '../../../daemon/store/outbox/row-reader.ts'
import { partBytesMax } from '../../../daemon/store/inbox/partial-bodies.ts'

const noBytes = new Uint8Array(0)

/** Where a varint grows: of the length of a body, of an offset, of a credit. */
const varintEnds = [2 ** 6, 2 ** 14]
/** What people choose, for buffers and datagrams too; from 1 there is only one step to nothing. */
export const usualSizes: readonly number[] = [1, 1_024, datagramBytesMin, 65_536]

/** In bytes, ascending. Data, or a whole record, of so many bytes are worth a test, and ±1. */
export const sizeLimits: readonly number[] = Array.from(
  new Set([
    ...usualSizes,
    ...varintEnds,
    ...datagramSizes,
    tokenBytesMax,
    headersBytesMax,
    elicitingDatagramBytesMin,
    ackEveryBytes,
    dataBytesMax,
    creditWindowMin,
    readShareBytesMin,
    bodyExtraBytes,
    feedBytes,
    sliceBytes,
    readBytesMax,
    undigestedBytesMax,
    partBytesMax,
    spillBytesMax,
    windowBytes,
    creditWindowMax,
  ]),
).toSorted((one, other) => one - other)

/** Sizes of data up to `bytesMax` at, just below and just above each limit; 0 is one of them. */
export function boundarySizes(bytesMax: number): number[] {
  const sizes = sizeLimits.flatMap((limit) => [limit - 1, limit, limit + 1])
  return Array.from(new Set(sizes)).filter((bytes) => bytes <= bytesMax)
}

/** How much longer the record of a message is than its data. */
export function recordExtraBytes(
  message: Pick<Message, 'row' | 'timeMs' | 'token' | 'headers'>,
  dataBytes: number,
): number {
  const isHashed = dataBytes > undigestedBytesMax
  const digest = isHashed ? new Uint8Array(32) : undefined
  const body = bodyLength({ ...message, uid: noBytes, isText: false, digest, data: noBytes })
  return 1 + varintLength(body + dataBytes) + body
}

/**
 * No two are alike, and no part of one is like another part. Text is printable ASCII with one
 * character of four bytes in it; of every third number it is any characters of one byte, NUL too.
 */
export function contentOf(number: number, bytes: number, isText: boolean): Buffer {
  const counter = Buffer.alloc(16)
  counter.writeDoubleBE(number)
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'tinymq'), counter)
  const content = cipher.update(Buffer.alloc(bytes))
  if (!isText) return content
  if (number % 3 === 0) return Buffer.from(content.map((byte) => byte & 0x7f))
  for (let at = 0; at < bytes; at++) content[at] = 0x20 + ((content[at] ?? 0) % 95)
  const wide = Buffer.from('🐦')
  if (bytes >= wide.length) wide.copy(content, number % (bytes - wide.length + 1))
  return content
}

const [headersBegin, headersEnd] = ['{"🐦":"', '"}']
export const headersBytesMin = Buffer.byteLength(headersBegin + headersEnd)

/** JSON of so many bytes, at least `headersBytesMin`. */
export function headersOf(number: number, bytes: number): string {
  const letters = bytes - headersBytesMin
  return (
    headersBegin +
    contentOf(number, letters, false).toString('base64').slice(0, letters) +
    headersEnd
  )
}
