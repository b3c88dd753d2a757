/**
 * The records of a session's stream and the bodies in them (PROTOCOL §6). The parser takes the
 * stream in any pieces and holds no more than the record that is not complete. Must never know
 * about sequences, rows or parts: that is the store's.
 *
 *   MESSAGE 01 | length | body (length bytes)
 *   SKIP    02 | count | uid 16 * count
 *   RESUME  03 | length | offset | body from offset (length - offset bytes)
 *
 *   body    uid 16 | flags 1 | row | time | token text | [headers text] | [digest 32] | data
 */
import { assert } from '../protocol/assert.ts'
import {
  concat,
  Reader,
  textLength,
  utf8Length,
  varintLength,
  type Writer,
} from '../protocol/codec/buffer.ts'

export type Message = {
  /** 16 bytes. */
  readonly uid: Uint8Array
  /** `data` is text in UTF-8, as far as the sender's database knows. */
  readonly isText: boolean
  /** In the sender's outbox. */
  readonly row: number
  /** Since 1970, by the sender's clock. */
  readonly timeMs: number
  readonly token: string
  readonly headers: string | undefined
  /** SHA-256 of `data` if that is long (`needsDigest`), 32 bytes; the receiver checks it. */
  readonly digest: Uint8Array | undefined
  readonly data: Uint8Array
}

/** Bytes of a record that came in one piece are views of that piece. */
export type RecordEvent =
  | { readonly type: 'message'; readonly body: Uint8Array }
  /** The end of a body of `length` bytes of which the first `offset` were taken or resumed. */
  | {
      readonly type: 'rest'
      readonly length: number
      readonly offset: number
      readonly bytes: Uint8Array
    }
  /** 16 bytes for each row that is not coming. */
  | { readonly type: 'skip'; readonly uids: Uint8Array }
  /** What follows goes on at `offset` of a body of `length` bytes; it ends with a `rest`. */
  | { readonly type: 'resume'; readonly length: number; readonly offset: number }
  /** The last event there is. The peer broke a rule. */
  | { readonly type: 'malformed'; readonly reason: string }

/** PROTOCOL §10. */
export const bodyBytesMaxOfAll = 268_435_456
/** PROTOCOL §6.3. */
export const skipCountMax = 1024
export const tokenBytesMax = 255
export const headersBytesMax = 65_536

const uidBytes = 16
const digestBytes = 32
// Above this, damage that neither checksums nor tags see is worth a hash (PROTOCOL §6.2).
export const undigestedBytesMax = 1_048_576
/** PROTOCOL §6.2: the last moment that a JavaScript `Date` and many others can hold. */
export const timeMsMax = 8_640_000_000_000_000

// uid, flags, and one byte each for row, time and the length of the token.
const bodyBytesMin = uidBytes + 1 + 3
const noBytes = new Uint8Array(0)
const recordType = { message: 1, skip: 2, resume: 3 } as const
const flag = { text: 1, headers: 2, digest: 4 } as const
const flagsAll = flag.text | flag.headers | flag.digest

// The record whose bytes are coming; `offset` of a body have gone elsewhere.
type OpenRecord =
  | { readonly type: 'body'; readonly length: number; offset: number }
  | { readonly type: 'skip'; readonly length: number; readonly offset: 0 }

export class RecordParser {
  readonly #bodyBytesMax: number
  #open: OpenRecord | undefined
  // The bytes of `#open` that are here. It doubles when full: no body is copied over and over.
  #held = noBytes
  #heldBytes = 0
  // The beginning of a head that came in two pieces.
  #carry = noBytes
  #phase: 'first' | 'going' | 'malformed' = 'first'

  /** For one session; `bodyBytesMax` is what its OPENED said. */
  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax
  }

  /** Bytes that were fed and are kept here, because their record is not complete. */
  get heldBytes(): number {
    return this.#heldBytes + this.#carry.length
  }

  /** The incomplete body: `offset` of its bytes were taken or resumed, `held` are here. */
  get incompleteBody():
    | { readonly length: number; readonly offset: number; readonly held: number }
    | undefined {
    if (this.#open?.type !== 'body') return undefined
    return { length: this.#open.length, offset: this.#open.offset, held: this.#heldBytes }
  }

  /** The next bytes of the stream. Events hold views of `piece` where they can. */
  feed(piece: Uint8Array): RecordEvent[] {
    const events: RecordEvent[] = []
    const bytes = this.#carry.length === 0 ? piece : concat(this.#carry, piece)
    this.#carry = noBytes
    const reader = new Reader(bytes)
    while (reader.remaining > 0 && this.#phase !== 'malformed') {
      const event =
        this.#open === undefined
          ? this.#readHead(reader, bytes)
          : this.#readRecord(reader, this.#open)
      if (event !== undefined) events.push(event)
    }
    return events
  }

  /** The bytes of the incomplete body, for good: they are forgotten here, and count as `offset`. */
  takeHeld(): Uint8Array {
    assert(this.#open?.type === 'body', 'Only an incomplete body is taken in parts.')
    this.#open.offset += this.#heldBytes
    return this.#releaseHeld()
  }

  #readHead(reader: Reader, bytes: Uint8Array): RecordEvent | undefined {
    if (!isHeadComplete(bytes, reader.offset)) {
      // A copy: a few bytes must not keep the piece. Not `slice`: of a Buffer that is a view.
      this.#carry = new Uint8Array(reader.rest())
      return undefined
    }
    const isFirst = this.#phase === 'first'
    this.#phase = 'going'
    switch (reader.u8()) {
      case recordType.message:
        return this.#onMessage(reader.varint())
      case recordType.skip:
        return this.#onSkip(reader.varint())
      case recordType.resume:
        if (!isFirst) return this.#malformed('a RESUME that is not the first record')
        return this.#onResume(reader.varint(), reader.varint())
      default:
        return this.#malformed('an unknown type of record')
    }
  }

  // A varint that could not be read is 0, which none of these takes.
  #onMessage(length: number): RecordEvent | undefined {
    if (!this.#isBodyLength(length)) return this.#malformed('a body of a forbidden length')
    this.#open = { type: 'body', length, offset: 0 }
    return undefined
  }

  #onSkip(count: number): RecordEvent | undefined {
    if (count === 0 || count > skipCountMax) return this.#malformed('a SKIP of a forbidden count')
    this.#open = { type: 'skip', length: count * uidBytes, offset: 0 }
    return undefined
  }

  #onResume(length: number, offset: number): RecordEvent {
    if (!this.#isBodyLength(length)) return this.#malformed('a body of a forbidden length')
    if (offset === 0 || offset >= length) return this.#malformed('a RESUME beyond its body')
    this.#open = { type: 'body', length, offset }
    return { type: 'resume', length, offset }
  }

  #readRecord(reader: Reader, open: OpenRecord): RecordEvent | undefined {
    const missing = open.length - open.offset - this.#heldBytes
    if (reader.remaining < missing) {
      this.#hold(reader.rest(), open.length - open.offset)
      return undefined
    }
    let bytes = reader.bytes(missing)
    if (this.#heldBytes > 0) {
      this.#hold(bytes, open.length - open.offset)
      bytes = this.#releaseHeld()
    }
    this.#open = undefined
    if (open.type === 'skip') return { type: 'skip', uids: bytes }
    if (open.offset === 0) return { type: 'message', body: bytes }
    return { type: 'rest', length: open.length, offset: open.offset, bytes }
  }

  // Room grows with what has come, never with what was announced.
  #hold(bytes: Uint8Array, lengthMax: number): void {
    const length = this.#heldBytes + bytes.length
    if (length > this.#held.length) {
      const grown = new Uint8Array(Math.min(lengthMax, 2 * length))
      grown.set(this.#held.subarray(0, this.#heldBytes))
      this.#held = grown
    }
    this.#held.set(bytes, this.#heldBytes)
    this.#heldBytes = length
  }

  #releaseHeld(): Uint8Array {
    const bytes = this.#held.subarray(0, this.#heldBytes)
    this.#held = noBytes
    this.#heldBytes = 0
    return bytes
  }

  #isBodyLength(length: number): boolean {
    return length >= bodyBytesMin && length <= this.#bodyBytesMax
  }

  #malformed(reason: string): RecordEvent {
    this.#phase = 'malformed'
    return { type: 'malformed', reason }
  }
}

/** The head of a MESSAGE; a body of `length` bytes follows. */
export function encodeMessageHead(writer: Writer, length: number): void {
  assert(length >= bodyBytesMin && length <= bodyBytesMaxOfAll, 'A body has 20 bytes to 256 MiB.')
  writer.u8(recordType.message)
  writer.varint(length)
}

/** `uids` has 16 bytes for each of 1 to 1,024 rows. */
export function encodeSkip(writer: Writer, uids: Uint8Array): void {
  const count = uids.length / uidBytes
  assert(Number.isInteger(count), 'A uid has 16 bytes.')
  assert(count > 0 && count <= skipCountMax, 'A SKIP has 1 to 1,024 uids.')
  writer.u8(recordType.skip)
  writer.varint(count)
  writer.bytes(uids)
}

/** The head of a RESUME; the body's bytes from `offset` to `length` follow. */
export function encodeResumeHead(writer: Writer, length: number, offset: number): void {
  assert(offset > 0 && offset < length, 'A RESUME begins inside its body.')
  writer.u8(recordType.resume)
  writer.varint(length)
  writer.varint(offset)
}

/** The whole record of a message. */
export function encodeMessage(writer: Writer, message: Message): void {
  encodeMessageHead(writer, bodyLength(message))
  encodeBodyHead(writer, message)
  writer.bytes(message.data)
}

/** Whether a message with `dataBytes` bytes of data has a digest (PROTOCOL §6.2). */
export function needsDigest(dataBytes: number): boolean {
  return dataBytes > undigestedBytesMax
}

export function bodyLength(message: Message): number {
  const { row, timeMs, token, headers, digest, data } = message
  const fixed = uidBytes + 1 + (digest === undefined ? 0 : digestBytes)
  const texts = textLength(token) + (headers === undefined ? 0 : textLength(headers))
  return fixed + varintLength(row) + varintLength(timeMs) + texts + data.length
}

/** The body but for its data, which follows without anything between: it may be long. */
export function encodeBodyHead(writer: Writer, message: Message): void {
  const { token, headers, digest } = message
  assert(message.uid.length === uidBytes, 'A uid has 16 bytes.')
  assert(utf8Length(token) <= tokenBytesMax, 'A token has at most 255 bytes.')
  assert((digest !== undefined) === needsDigest(message.data.length), 'Long data has a digest.')
  writer.bytes(message.uid)
  writer.u8(flagsOf(message))
  writer.varint(message.row)
  writer.varint(message.timeMs)
  writer.text(token)
  if (headers !== undefined) {
    assert(utf8Length(headers) <= headersBytesMax, 'Headers have at most 65,536 bytes.')
    writer.text(headers)
  }
  if (digest !== undefined) {
    assert(digest.length === digestBytes, 'A digest has 32 bytes.')
    writer.bytes(digest)
  }
}

/** `undefined`: malformed. `uid`, `digest` and `data` are views of `body`. */
export function decodeBody(body: Uint8Array): Message | undefined {
  const reader = new Reader(body)
  const uid = reader.bytes(uidBytes)
  const flags = reader.u8()
  const row = reader.varint()
  const timeMs = reader.varint()
  const token = reader.text(tokenBytesMax)
  const headers = (flags & flag.headers) === 0 ? undefined : reader.text(headersBytesMax)
  const digest = (flags & flag.digest) === 0 ? undefined : reader.bytes(digestBytes)
  const data = reader.rest()
  if (reader.failed || (flags & ~flagsAll) !== 0) return undefined
  if (timeMs > timeMsMax) return undefined
  if ((digest !== undefined) !== needsDigest(data.length)) return undefined
  return { uid, isText: (flags & flag.text) !== 0, row, timeMs, token, headers, digest, data }
}

function flagsOf(message: Message): number {
  const text = message.isText ? flag.text : 0
  const headers = message.headers === undefined ? 0 : flag.headers
  return text | headers | (message.digest === undefined ? 0 : flag.digest)
}

function isHeadComplete(bytes: Uint8Array, start: number): boolean {
  let end = start + 1
  for (let varints = bytes[start] === recordType.resume ? 2 : 1; varints > 0; varints--) {
    const first = bytes[end]
    if (first === undefined) return false
    end += 1 << (first >>> 6)
  }
  return end <= bytes.length
}
