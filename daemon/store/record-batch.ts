/**
 * Puts records one after the other into one buffer, that can be given to another thread. Must never
 * hold more than one answer.
 */
import { encodeMessage, encodeSkip, skipCountMax, type Message } from '../protocol/record.ts'
import { Writer } from '../protocol/wire.ts'

/** Twice what a read asks for: the last row of a batch goes beyond it. */
const bytesUsual = 524_288

export class RecordBatch {
  readonly #writer = new Writer(bytesUsual)
  #skipped: Uint8Array[] = []
  #rows = 0

  /** Bytes so far, without what `take` adds. */
  get length(): number {
    return this.#writer.length + this.#skipped.length
  }

  /** Sequences so far. */
  get rows(): number {
    return this.#rows
  }

  add(message: Message): void {
    this.#endSkip()
    encodeMessage(this.#writer, message)
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
    this.#writer.bytes(bytes)
    this.#rows++
  }

  /** All of it, the caller's own; the batch begins anew. */
  take(): Uint8Array {
    this.#endSkip()
    const bytes = this.#writer.written.slice()
    this.#writer.reset()
    this.#rows = 0
    return bytes
  }

  #endSkip(): void {
    if (this.#skipped.length === 0) return
    encodeSkip(this.#writer, Buffer.concat(this.#skipped))
    this.#skipped = []
  }
}
