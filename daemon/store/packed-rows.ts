/**
 * Many rows of `mqout` as one value of SQL, and back: each value that crosses from SQLite to
 * JavaScript costs as much as all that SQLite does for a row. Must never change a byte of what a
 * row holds.
 *
 *   packed row   id ' ' time ' ' is-text ' ' data-bytes ' ' uid-bytes ' ' token-bytes ' '
 *                headers-bytes ' ' token | headers | uid | data
 *
 * The numbers are decimal; `time` is -1 if it is none, `headers-bytes` -1 for NULL. Data that is
 * large is left out. Packed rows follow each other without anything between.
 */
import { isUtf8 } from 'node:buffer'
import { assert } from '../protocol/assert.ts'
import { timeMsMax } from '../protocol/record.ts'
import { equalBytes } from '../protocol/wire.ts'
import { given } from '../../sdk/given-sql.ts'

/** Larger data is not read with its row, and leaves in slices of this size. */
export const sliceBytes = 262_144

/** One row of `mqout`; its bytes are views of the packed value. */
export type UnpackedRow = {
  readonly id: number
  /** `created_at`; undefined when that is no whole number, or no time that a message can have. */
  readonly timeMs: number | undefined
  readonly isText: boolean
  readonly dataBytes: number
  readonly token: string
  readonly headers: string | undefined
  /** Whatever is in the column, of whatever length. */
  readonly uid: Uint8Array
  /** Empty if there are more than was asked for. */
  readonly data: Uint8Array
  /** The first column whose text is not UTF-8, in what was read. */
  readonly flaw: 'token' | 'headers' | 'data' | undefined
}

const blobLength = (column: string): string => `length(CAST(o.${column} AS BLOB))`

// `||` joins bytes as they are, in a database in UTF-8, NUL and all.
const packedSql = `format('%d %d %d %d %d %d %d ', o.id,
    iif(typeof(o.created_at) = 'integer', o.created_at, -1), typeof(o.data) <> 'blob',
    coalesce(o.bytes, 0), coalesce(${blobLength('uid')}, 0), coalesce(${blobLength('token')}, 0),
    coalesce(${blobLength('headers')}, -1))
  || coalesce(o.token, '') || coalesce(o.headers, '') || coalesce(o.uid, '')
  || CASE WHEN o.bytes <= ${given} THEN o.data ELSE '' END`

/**
 * The first value to bind is the most bytes of data that are read with a row.
 * @param rest from `FROM mqout AS o` on; it gives one row at most.
 */
export const packedOne = (rest: string): string => `SELECT CAST(${packedSql} AS BLOB) ${rest}`

/**
 * All rows in one value, NULL for none. The first value to bind is as with `packedOne`.
 * @param rest from `FROM mqout AS o` on; with an ORDER BY and a LIMIT, so that the order holds.
 */
export const packedAll = (rest: string): string =>
  `SELECT CAST(group_concat(CAST(packed AS TEXT), '') AS BLOB) FROM
   (SELECT ${packedSql} AS packed ${rest})`

/** What `packedOne` or `packedAll` gave, in its order, with the first value that was bound. */
export function unpack(packed: Buffer | null | undefined, dataBytesMax: number): UnpackedRow[] {
  return packed === null || packed === undefined ? [] : new Unpacker(packed, dataBytesMax).all()
}

const space = 0x20
const minus = 0x2d
const zero = 0x30
const noBytes = new Uint8Array(0)

class Unpacker {
  // A view that is no Buffer: views of it are made in half the time.
  readonly #bytes: Uint8Array
  readonly #buffer: Buffer
  #at = 0
  /** Most rows have the token of the row before. */
  #token = ''
  #tokenBytes: Uint8Array = noBytes
  #isTokenFlawed = false

  readonly #dataBytesMax: number

  constructor(packed: Buffer, dataBytesMax: number) {
    this.#dataBytesMax = dataBytesMax
    this.#buffer = packed
    this.#bytes = new Uint8Array(packed.buffer, packed.byteOffset, packed.length)
  }

  all(): UnpackedRow[] {
    const rows: UnpackedRow[] = []
    while (this.#at < this.#bytes.length) rows.push(this.#row())
    assert(this.#at === this.#bytes.length, 'Packed rows end where their value ends.')
    return rows
  }

  #row(): UnpackedRow {
    const id = this.#number()
    const time = this.#number()
    const isText = this.#number() === 1
    const dataBytes = this.#number()
    const uidBytes = this.#number()
    const tokenBytes = this.#number()
    const headersBytes = this.#number()
    const token = this.#tokenOf(this.#take(tokenBytes))
    const headersAt = this.#at
    const headers = headersBytes < 0 ? undefined : this.#text(headersBytes)
    const areHeadersFlawed =
      headers !== undefined && !isUtf8(this.#bytes.subarray(headersAt, this.#at))
    const uid = this.#take(uidBytes)
    const data = dataBytes > this.#dataBytesMax ? noBytes : this.#take(dataBytes)
    const timeMs = time < 0 || time > timeMsMax || !Number.isInteger(time) ? undefined : time
    let flaw: UnpackedRow['flaw']
    if (this.#isTokenFlawed) flaw = 'token'
    else if (areHeadersFlawed) flaw = 'headers'
    else if (isText && !isUtf8(data)) flaw = 'data'
    return { id, timeMs, isText, dataBytes, token, headers, uid, data, flaw }
  }

  #number(): number {
    const isNegative = this.#bytes[this.#at] === minus
    if (isNegative) this.#at++
    let value = 0
    for (;;) {
      const unit = this.#bytes[this.#at++] ?? space
      if (unit === space) return isNegative ? -value : value
      // In this order, or the largest ids are rounded on the way.
      value = value * 10 + (unit - zero)
    }
  }

  #take(length: number): Uint8Array {
    const start = this.#at
    this.#at += length
    return this.#bytes.subarray(start, this.#at)
  }

  #text(length: number): string {
    const start = this.#at
    this.#at += length
    return this.#buffer.toString('utf8', start, this.#at)
  }

  #tokenOf(bytes: Uint8Array): string {
    if (!equalBytes(bytes, this.#tokenBytes)) {
      this.#tokenBytes = bytes
      this.#isTokenFlawed = !isUtf8(bytes)
      this.#token = this.#buffer.toString('utf8', this.#at - bytes.length, this.#at)
    }
    return this.#token
  }
}
