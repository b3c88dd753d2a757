/**
 * The smallest units of the wire: varints (PROTOCOL §2.1), texts (§2.2), bytes. Writing asserts,
 * for a value that does not fit is our bug; reading never throws, for what it reads is a
 * unauthenticated peer's.
 *
 *   00xxxxxx                                 0 .. 63
 *   01xxxxxx xxxxxxxx                        64 .. 16383
 *   10xxxxxx xxxxxxxx xxxxxxxx xxxxxxxx      16384 .. 2^30 - 1
 *   11xxxxxx (7 more bytes)                  2^30 .. 2^53 - 1
 */
import { assert } from '../assert.ts'

const oneByteEnd = 2 ** 6
const twoBytesEnd = 2 ** 14
const fourBytesEnd = 2 ** 30
const varintEnd = 2 ** 53
const twoTo32 = 2 ** 32

const noBytes = new Uint8Array(0)
const encoder = new TextEncoder()
// `ignoreBOM` keeps a leading U+FEFF in the text: otherwise two byte strings would mean one text.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
// Up to this length, a name in ASCII, one character after the other is faster than a codec's call.
const shortText = 12

/** Bytes that `value`, a whole number from 0 to 2^53 - 1, takes as a varint. */
export function varintLength(value: number): 1 | 2 | 4 | 8 {
  if (value < oneByteEnd) return 1
  if (value < twoBytesEnd) return 2
  return value < fourBytesEnd ? 4 : 8
}

/** Bytes of `text` in UTF-8 without its length. A lone surrogate counts, is written, as U+FFFD. */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    bytes += unit < 0x800 ? 1 : 2
    if (isPair(text, index)) index++
  }
  return bytes
}

/** Bytes that `text` takes with its length before it. */
export function textLength(text: string): number {
  const bytes = utf8Length(text)
  return varintLength(bytes) + bytes
}

/** The longest beginning of `text` in whole characters that has at most `bytesMax` bytes. */
export function clampText(text: string, bytesMax: number): string {
  if (utf8Length(text) <= bytesMax) return text
  return text.slice(0, encoder.encodeInto(text, new Uint8Array(bytesMax)).read)
}

/** Builds bytes from front to back in one buffer, which grows when it must, for use and reuse. */
export class Writer {
  #bytes: Uint8Array
  #length = 0

  /** With a `capacity` that suffices the buffer never moves. */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity)
  }

  /** Bytes written since the last `reset`. */
  get length(): number {
    return this.#length
  }

  /** A view of what has been written: valid until the next write or `reset`. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  reset(): void {
    this.#length = 0
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
  }

  zeros(count: number): void {
    this.#reserve(count)
    this.#bytes.fill(0, this.#length, this.#length + count)
    this.#length += count
  }

  varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'A varint lies between 0 and 2^53 - 1.')
    this.#reserve(varintLength(value))
    if (value < oneByteEnd) this.#bytes[this.#length++] = value
    else if (value < twoBytesEnd) {
      this.#bytes[this.#length++] = 0x40 | (value >>> 8)
      this.#bytes[this.#length++] = value
    } else if (value < fourBytesEnd) this.#u32(0x8000_0000 + value)
    else {
      this.#u32(0xc000_0000 + Math.floor(value / twoTo32))
      this.#u32(value)
    }
  }

  /** The length of the text, then the text. */
  text(value: string): void {
    const bytes = utf8Length(value)
    this.varint(bytes)
    this.#reserve(bytes)
    if (bytes === value.length && bytes <= shortText) {
      for (let index = 0; index < bytes; index++) {
        this.#bytes[this.#length + index] = value.charCodeAt(index)
      }
    } else encoder.encodeInto(value, this.#bytes.subarray(this.#length))
    this.#length += bytes
  }

  /** Puts `value` over a byte that has been written: a count that is known only afterwards. */
  patch(offset: number, value: number): void {
    assert(offset < this.#length, 'Only a written byte is patched.')
    this.#bytes[offset] = value
  }

  // The bit operators and the array keep the low bits of any safe integer.
  #u32(value: number): void {
    this.#bytes[this.#length++] = value >>> 24
    this.#bytes[this.#length++] = value >>> 16
    this.#bytes[this.#length++] = value >>> 8
    this.#bytes[this.#length++] = value >>> 0
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(this.#length + count, 2 * this.#bytes.length))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

/**
 * Takes bytes apart from front to back. A read that cannot be done sets `failed` for good and moves
 * to the end, so that every loop over `remaining` ends; it answers 0, '' or no bytes, which the
 * caller throws away when it asks for `failed` once, after its last read.
 */
export class Reader {
  readonly #bytes: Uint8Array
  #offset = 0
  #failed = false

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get failed(): boolean {
    return this.#failed
  }

  get offset(): number {
    return this.#offset
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  /** For the caller that finds a value which must not be there. */
  fail(): 0 {
    this.#failed = true
    this.#offset = this.#bytes.length
    return 0
  }

  u8(): number {
    const value = this.#bytes[this.#offset]
    if (value === undefined) return this.fail()
    this.#offset++
    return value
  }

  /** A view of the next bytes: it shares the memory that is read. */
  bytes(length: number): Uint8Array {
    if (length > this.remaining) {
      this.fail()
      return noBytes
    }
    const start = this.#offset
    this.#offset += length
    return this.#bytes.subarray(start, this.#offset)
  }

  /** A view of everything that is left. */
  rest(): Uint8Array {
    return this.bytes(this.remaining)
  }

  /** PROTOCOL §2.1: longer than needed, or 2^53 and above, is rejected. */
  varint(): number {
    const first = this.#bytes[this.#offset]
    if (first === undefined) return this.fail()
    if (first < oneByteEnd) {
      this.#offset++
      return first
    }
    return this.#longVarint(first)
  }

  /** A text of at most `bytesMax` bytes; bytes that are not UTF-8 fail. */
  text(bytesMax: number): string {
    const length = this.varint()
    if (length > bytesMax || length > this.remaining) {
      this.fail()
      return ''
    }
    if (length > shortText) return this.#longText(length)
    return this.#asciiText(length) ?? this.#longText(length)
  }

  #longVarint(first: number): number {
    const start = this.#offset
    const length = 1 << (first >>> 6)
    if (length > this.remaining) return this.fail()
    this.#offset += length
    if (length === 2) {
      const value = ((first & 0x3f) << 8) | (this.#bytes[start + 1] ?? 0)
      return value < oneByteEnd ? this.fail() : value
    }
    const high = uint32At(this.#bytes, start) & 0x3fff_ffff
    if (length === 4) return high < twoBytesEnd ? this.fail() : high
    const value = high * twoTo32 + uint32At(this.#bytes, start + 4)
    return value < fourBytesEnd || value >= varintEnd ? this.fail() : value
  }

  #asciiText(length: number): string | undefined {
    let text = ''
    for (let index = this.#offset; index < this.#offset + length; index++) {
      const unit = this.#bytes[index] ?? 0
      if (unit >= 0x80) return undefined
      text += String.fromCharCode(unit)
    }
    this.#offset += length
    return text
  }

  #longText(length: number): string {
    const bytes = this.bytes(length)
    const text = decoder.decode(bytes)
    // A decoder that throws would let junk buy a throw. This one puts U+FFFD for what is no UTF-8;
    // the text is genuine if it gives the same bytes again.
    if (text.includes('\ufffd') && !equalBytes(encoder.encode(text), bytes)) this.fail()
    return this.#failed ? '' : text
  }
}

/** Writes a whole number below 2^48 into six bytes, big-endian. */
export function writeUint48(target: Uint8Array, offset: number, value: number): void {
  const high = Math.floor(value / twoTo32)
  target[offset] = high >>> 8
  target[offset + 1] = high
  target[offset + 2] = value >>> 24
  target[offset + 3] = value >>> 16
  target[offset + 4] = value >>> 8
  target[offset + 5] = value >>> 0
}

/** Six bytes that are there, as a whole number. */
export function uint48At(bytes: Uint8Array, offset: number): number {
  const high = ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)
  return high * twoTo32 + uint32At(bytes, offset + 2)
}

/** The parts one after the other, copied. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

/** Not in constant time: never for secrets. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index++) {
    if (left[index] !== right[index]) return false
  }
  return true
}

export function isAllZero(bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] !== 0) return false
  }
  return true
}

function uint32At(bytes: Uint8Array, offset: number): number {
  const high = ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)
  const low = ((bytes[offset + 2] ?? 0) << 8) | (bytes[offset + 3] ?? 0)
  return ((high << 16) | low) >>> 0
}

function isPair(text: string, index: number): boolean {
  const high = text.charCodeAt(index) & 0xfc00
  return high === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00
}
