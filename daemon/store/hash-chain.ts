/**
 * The hash chain over the row identities of one stream (PROTOCOL §7.2): two databases whose digests
 * agree at a sequence have the same rows below it. Must never hash what a row says, only its uid.
 */
import { assert } from '../protocol/assert.ts'

/** SHA-256 of the parts one after the other, 32 bytes. */
export type Sha256 = (...parts: readonly Uint8Array[]) => Uint8Array

const uidBytes = 16
const digestBytes = 16
const blockBytes = 32
/** Hashed at once: one hash for many rows, and a state that stays near a kilobyte. */
const rowsPerBlock = 64
const sequenceMax = Number.MAX_SAFE_INTEGER

/**
 * The state of a chain. It is kept in a database column as
 *
 *   sequence 8 | block 32 | uid 16 * (sequence mod 64)
 *
 * with integers big-endian.
 */
export class HashChain {
  readonly #sha256: Sha256
  /** Room for a whole block; the first `sequence mod 64` uids are meant. */
  readonly #tail = new Uint8Array(rowsPerBlock * uidBytes)
  #block: Uint8Array = new Uint8Array(blockBytes)
  #sequence = 0

  /** The chain of no rows. */
  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  /** The state that `encode` wrote; undefined for any other bytes. */
  static decode(bytes: Uint8Array, sha256: Sha256): HashChain | undefined {
    if (bytes.length < headBytes) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const sequence = view.getUint32(0) * 2 ** 32 + view.getUint32(4)
    // Not `slice`: a Buffer's would be a view of what the caller may change.
    const block = new Uint8Array(bytes.subarray(8, headBytes))
    const tail = bytes.subarray(headBytes)
    if (sequence > sequenceMax || tail.length !== tailLength(sequence)) return undefined
    if (sequence < rowsPerBlock && block.some((byte) => byte !== 0)) return undefined
    const chain = new HashChain(sha256)
    chain.#sequence = sequence
    chain.#block = block
    chain.#tail.set(tail)
    return chain
  }

  /** How many rows it covers: the sequence of the last one, 0 for none. */
  get sequence(): number {
    return this.#sequence
  }

  /** The next row. `uid` is 16 bytes. */
  append(uid: Uint8Array): void {
    assert(uid.length === uidBytes, 'A uid has 16 bytes.')
    this.appendMany(uid)
  }

  /** The next rows, in order. `uids` is 16 bytes for each; it may be any number of rows. */
  appendMany(uids: Uint8Array): void {
    assert(uids.length % uidBytes === 0, 'A uid has 16 bytes.')
    const end = this.#sequence + uids.length / uidBytes
    assert(end <= sequenceMax, 'Sequences end below 2^53.')
    const used = tailLength(this.#sequence)
    let from = 0
    if (used > 0) {
      from = Math.min(uids.length, this.#tail.length - used)
      this.#tail.set(uids.subarray(0, from), used)
      if (used + from === this.#tail.length) this.#fold(this.#tail)
    }
    // Whole blocks are hashed where they are.
    for (; uids.length - from >= this.#tail.length; from += this.#tail.length) {
      this.#fold(uids.subarray(from, from + this.#tail.length))
    }
    if (from < uids.length) this.#tail.set(uids.subarray(from))
    this.#sequence = end
  }

  /** 16 bytes that stand for all rows so far, in their order. */
  digest(): Uint8Array {
    return new Uint8Array(this.#sha256(this.#block, this.#usedTail()).subarray(0, digestBytes))
  }

  /** Bytes for `decode`: at most 1,048. */
  encode(): Uint8Array {
    const tail = this.#usedTail()
    const bytes = new Uint8Array(headBytes + tail.length)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, Math.floor(this.#sequence / 2 ** 32))
    view.setUint32(4, this.#sequence % 2 ** 32)
    bytes.set(this.#block, 8)
    bytes.set(tail, headBytes)
    return bytes
  }

  /** A chain that goes its own way from here. */
  clone(): HashChain {
    const chain = new HashChain(this.#sha256)
    chain.#sequence = this.#sequence
    // Blocks are replaced, never written to.
    chain.#block = this.#block
    chain.#tail.set(this.#usedTail())
    return chain
  }

  #usedTail(): Uint8Array {
    return this.#tail.subarray(0, tailLength(this.#sequence))
  }

  #fold(rows: Uint8Array): void {
    this.#block = this.#sha256(this.#block, rows)
  }
}

const headBytes = 8 + blockBytes

function tailLength(sequence: number): number {
  return (sequence % rowsPerBlock) * uidBytes
}
