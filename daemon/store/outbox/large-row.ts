/**
 * A row that is too large to be read at once, while its record leaves in slices. Holds a window of
 * its data, so that many large rows at once need no more than a window each; a window costs SQLite
 * a walk through the whole value, so it is not small. Must never change what it has begun to send.
 */
import { isUtf8 } from 'node:buffer'
import type { Sha256 } from '../hash-chain.ts'
import { encodeBodyHead, encodeMessageHead, encodeResumeHead, needsDigest } from '../record.ts'
import { Writer } from '../../protocol/codec/buffer.ts'
import { bodyBytes, type OutboxRow, type RowReader, sliceBytes } from './row-reader.ts'

export const windowBytes = 8_388_608
/** Record head, token, digest and the like; headers make it grow. */
const headBytesUsual = 512

export class LargeRow {
  readonly sequence: number
  readonly #row: OutboxRow
  readonly #rows: RowReader
  /** What goes before the data: the record's head, the body's head or what of it is not there. */
  #head: Uint8Array
  #window: Uint8Array
  /** Of the first byte of the window. */
  #windowOffset: number
  /** Bytes of data that have left. */
  #offset: number

  private constructor(
    sequence: number,
    row: OutboxRow,
    rows: RowReader,
    head: Uint8Array,
    data: Uint8Array,
    offset: number,
  ) {
    this.sequence = sequence
    this.#row = row
    this.#rows = rows
    this.#head = head
    this.#offset = offset
    this.#windowOffset = offset
    const end = offset + windowBytes
    const window = data.subarray(offset, end)
    // A copy, when it is not all: a view would keep all of it in memory.
    this.#window = data.length <= windowBytes ? window : new Uint8Array(window)
  }

  /**
   * Reads the row's data, and hashes it if it travels with its hash.
   * @param part of the body is at the peer already (PROTOCOL §6.3); 0 for none.
   * @returns undefined when the row is gone, `flawed` when it is text that is not UTF-8.
   */
  static open(
    sequence: number,
    row: OutboxRow,
    part: number,
    rows: RowReader,
    sha256: Sha256,
  ): LargeRow | 'flawed' | undefined {
    const data = rows.data(row.id, row.message.uid)
    if (data?.length !== row.dataBytes) return undefined
    if (row.message.isText && !isUtf8(data)) return 'flawed'
    const hasDigest = needsDigest(data.length)
    const digest = hasDigest ? sha256(data) : undefined
    const message = { ...row.message, data, digest }
    const length = bodyBytes(row)
    const body = new Writer(headBytesUsual)
    encodeBodyHead(body, message)
    const record = new Writer(headBytesUsual)
    // Without a digest nobody would notice that the parts are of another body.
    const resumesAt = hasDigest && part < length ? part : 0
    if (resumesAt === 0) encodeMessageHead(record, length)
    else encodeResumeHead(record, length, resumesAt)
    record.bytes(body.written.subarray(Math.min(resumesAt, body.length)))
    const offset = Math.max(0, resumesAt - body.length)
    return new LargeRow(sequence, row, rows, record.written, data, offset)
  }

  /** Of `mqout`. */
  get id(): number {
    return this.#row.id
  }

  get isDone(): boolean {
    return this.#offset === this.#row.dataBytes
  }

  /** The next bytes of the stream, the caller's own; undefined when the row is gone meanwhile. */
  next(): Uint8Array | undefined {
    if (this.#offset === this.#windowOffset + this.#window.length && !this.#moveWindow()) {
      return undefined
    }
    const start = this.#offset - this.#windowOffset
    const piece = this.#window.subarray(start, start + sliceBytes)
    const bytes = new Uint8Array(this.#head.length + piece.length)
    bytes.set(this.#head)
    bytes.set(piece, this.#head.length)
    this.#head = new Uint8Array(0)
    this.#offset += piece.length
    return bytes
  }

  #moveWindow(): boolean {
    const { id, message } = this.#row
    const window = this.#rows.dataWindow(id, message.uid, this.#offset, windowBytes)
    if (window === undefined || window.length === 0) return false
    this.#window = window
    this.#windowOffset = this.#offset
    return true
  }
}
