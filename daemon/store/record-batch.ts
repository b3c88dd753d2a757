/**
 * Records that follow each other, to be put into one buffer that can be given to another thread.
 * They are gathered while the database is locked, and encoded when it no longer is. Must never hold
 * more than one answer.
 */
import { assert } from '../protocol/assert.ts'
import { encodeMessage, encodeSkip, skipCountMax, type Message } from '../protocol/record.ts'
import { varintLength, Writer } from '../protocol/wire.ts'
import { uidBytes } from './run.ts'

type Piece =
  | { readonly type: 'message'; readonly message: Message }
  | { readonly type: 'skip'; readonly uids: Uint8Array }
  | { readonly type: 'raw'; readonly bytes: Uint8Array }

/** Encodes what was gathered. To be called once: the bytes are the caller's own. */
export type Encode = () => Uint8Array

export class RecordBatch {
  readonly #pieces: Piece[] = []
  #bytes = 0
  #skipped: Uint8Array[] = []
  #rows = 0

  /** Bytes so far. */
  get length(): number {
    const skipped = this.#skipped.length
    return this.#bytes + (skipped === 0 ? 0 : recordBytes(skipped, skipped * uidBytes))
  }

  /** Sequences so far. */
  get rows(): number {
    return this.#rows
  }

  /** @param bodyBytes of its body on the wire. */
  add(message: Message, bodyBytes: number): void {
    this.#endSkip()
    this.#pieces.push({ type: 'message', message })
    this.#bytes += recordBytes(bodyBytes, bodyBytes)
    this.#rows++
  }

  /** The next sequence is skipped. Neighbours become one record. */
  skip(uid: Uint8Array): void {
    this.#skipped.push(uid)
    this.#rows++
    if (this.#skipped.length === skipCountMax) this.#endSkip()
  }

  /** Bytes that are encoded already. */
  raw(bytes: Uint8Array): void {
    this.#endSkip()
    this.#pieces.push({ type: 'raw', bytes })
    this.#bytes += bytes.length
    this.#rows++
  }

  /** All of it. The batch is not used again. */
  take(): Encode {
    this.#endSkip()
    const [pieces, length] = [this.#pieces, this.#bytes]
    return () => encode(pieces, length)
  }

  #endSkip(): void {
    if (this.#skipped.length === 0) return
    const { length } = this
    this.#pieces.push({ type: 'skip', uids: Buffer.concat(this.#skipped) })
    this.#skipped = []
    this.#bytes = length
  }
}

/** Of a record whose head has `number` besides its type, and `bytes` behind the head. */
function recordBytes(number: number, bytes: number): number {
  return 1 + varintLength(number) + bytes
}

function encode(pieces: readonly Piece[], length: number): Uint8Array {
  const writer = new Writer(length)
  for (const piece of pieces) {
    if (piece.type === 'message') encodeMessage(writer, piece.message)
    else if (piece.type === 'skip') encodeSkip(writer, piece.uids)
    else writer.bytes(piece.bytes)
  }
  assert(writer.length === length, 'Records are as long as was said.')
  return writer.written
}
