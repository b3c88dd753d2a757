/**
 * Reads rows of `mqout` as they must travel: data as the bytes that it has in the file, whatever
 * they are. Must never read more of a large row than it is asked for.
 */
import type BetterSqlite3 from 'better-sqlite3'
import { isUtf8 } from 'node:buffer'
import type { Sha256 } from '../hash-chain.ts'
import {
  type Message,
  bodyBytesMaxOfAll,
  bodyLength,
  encodeBodyHead,
  encodeMessageHead,
  encodeResumeHead,
  headersBytesMax,
  needsDigest,
  timeMsMax,
  tokenBytesMax,
} from '../record.ts'
import { Writer, equalBytes, utf8Length } from '../../protocol/codec/buffer.ts'
import { given } from '../../../sdk/schema/sqlite-handle.ts'
import { assert } from '../../protocol/assert.ts'
import type { Connection } from '../connection.ts'
import type { KeyPolicy } from '../key-policy.ts'
import { uidBytes } from './batches.ts'
import type { LaneDestination } from './destinations.ts'

const noBytes = new Uint8Array(0)
const noDigest = new Uint8Array(32)

/** A row without its data if that is large. */
export type OutboxRow = {
  readonly id: number
  /** `data` is empty if it was not read: `isLarge`, or until `whole`. */
  readonly message: Message
  readonly dataBytes: number
  readonly isLarge: boolean
  readonly flaw: UnpackedRow['flaw']
}

/** Data that one search may read: rows with more than their share are read when they are taken. */
const searchBytes = 8_388_608

const isNotParked = 'NOT EXISTS (SELECT 1 FROM mqparked AS p WHERE p.id = o.id AND p.uid = o.uid)'

type ByPlace<Value> = BetterSqlite3.Statement<(string | number)[], Value>

/** Where rows are looked for, as ids and as packed rows. */
type Search = {
  readonly ids: ByPlace<number>
  readonly unparked: ByPlace<Buffer | null>
  /** For where nothing is parked: to ask that of each row costs as much as the row. */
  readonly all: ByPlace<Buffer | null>
}

export class RowReader {
  readonly #keyPolicy: KeyPolicy
  readonly #fresh: Search
  readonly #requeued: Search
  readonly #byIds: BetterSqlite3.Statement<[number, string], Buffer | null>
  readonly #isAnyParked: BetterSqlite3.Statement<[number], number>
  readonly #isAnyFresh: ByPlace<number>
  readonly #isAny: ByPlace<number>
  readonly #idOfKept: BetterSqlite3.Statement<[string, number, string], number>
  readonly #one: BetterSqlite3.Statement<[number, number, Uint8Array, string, number], Buffer>
  readonly #data: BetterSqlite3.Statement<[number, Uint8Array], Buffer>
  readonly #dataWindow: BetterSqlite3.Statement<[number, number, number, Uint8Array], Buffer>

  constructor(connection: Connection, keyPolicy: KeyPolicy) {
    this.#keyPolicy = keyPolicy
    const { isByToken } = keyPolicy
    const search = (fromSql: (isByToken: boolean, condition?: string) => string): Search => ({
      ids: connection.prepareValue(`SELECT o.id ${fromSql(isByToken, isNotParked)}`),
      unparked: connection.prepareValue(packedAll(fromSql(isByToken, isNotParked))),
      all: connection.prepareValue(packedAll(fromSql(isByToken))),
    })
    this.#fresh = search(freshSql)
    this.#requeued = search(lateSql)
    this.#byIds = connection.prepareValue(packedAll(byIdsSql))
    this.#one = connection.prepareValue(
      packedOne('FROM mqout AS o WHERE id = ? AND uid = ? AND host = ? AND port = ?'),
    )
    const destination = destinationSql(isByToken)
    this.#isAnyParked = connection.prepareValue('SELECT 1 FROM mqparked WHERE id >= ? LIMIT 1')
    this.#isAnyFresh = connection.prepareValue(
      `SELECT 1 FROM mqout WHERE ${destination} AND id > ? LIMIT 1`,
    )
    this.#isAny = connection.prepareValue(
      `SELECT 1 FROM mqout AS o WHERE ${destination} AND ${isNotParked} LIMIT 1`,
    )
    this.#idOfKept = connection.prepareValue(
      `SELECT numbered_id FROM mqlane AS l
       WHERE host = ? AND port = ? AND key = ? AND numbered = confirmed
         AND NOT EXISTS (SELECT 1 FROM mqrequeue)
         AND EXISTS (SELECT 1 FROM mqbatch AS r WHERE r.lane = l.id AND r.done_at IS NULL)`,
    )
    this.#data = connection.prepareValue(
      'SELECT CAST(data AS BLOB) FROM mqout WHERE id = ? AND uid = ?',
    )
    this.#dataWindow = connection.prepareValue(
      'SELECT substr(CAST(data AS BLOB), ?, ?) FROM mqout WHERE id = ? AND uid = ?',
    )
  }

  /** Rows of a lane from the id after `afterId` on that are not parked, by id. */
  fresh(lane: LaneDestination, afterId: number, count: number): OutboxRow[] {
    return this.#ofLane(lane, this.#fresh, [afterId], count)
  }

  /** Late rows of a lane with ids from `fromId` to `toId` that are not parked, by id. */
  requeued(lane: LaneDestination, fromId: number, toId: number, count: number): OutboxRow[] {
    return this.#ofLane(lane, this.#requeued, [fromId, toId], count)
  }

  /** The row with this identity, as long as it is there and of this lane. */
  one(id: number, uid: Uint8Array, { host, port, key }: LaneDestination): OutboxRow | undefined {
    const packed = this.#one.get(sliceBytes, id, uid, host, port)
    const row = unpack(packed, sliceBytes).map(rowOf)[0]
    return row !== undefined && this.#keyPolicy.keyOf(row.message.token) === key ? row : undefined
  }

  /** With its data, unless that is large; undefined when the row is gone. */
  whole(row: OutboxRow): OutboxRow | undefined {
    const { message, dataBytes, isLarge } = row
    if (isLarge || message.data.length === dataBytes) return row
    const data = this.data(row.id, message.uid)
    if (data?.length !== dataBytes) return undefined
    const flaw = row.flaw ?? (message.isText && !isUtf8(data) ? 'data' : undefined)
    return { ...row, message: { ...message, data }, flaw }
  }

  /** Cheap; parked rows count. */
  isAnyFresh(lane: LaneDestination, afterId: number): boolean {
    const destinations = this.#keyPolicy.destinationsOf(lane)
    return destinations.some(
      (destination) => this.#isAnyFresh.get(...destination, afterId) !== undefined,
    )
  }

  /** Whether the lane has a row, numbered or not, that is not parked. */
  isAny(lane: LaneDestination): boolean {
    const destinations = this.#keyPolicy.destinationsOf(lane)
    return destinations.some((destination) => this.#isAny.get(...destination) !== undefined)
  }

  /** Whether all of its rows are at the peer, and are only here because they were kept. */
  areKept(lane: LaneDestination): boolean {
    const numberedId = this.#idOfKept.get(lane.host, lane.port, lane.key)
    return numberedId !== undefined && !this.isAnyFresh(lane, numberedId)
  }

  /** Rows of several tokens go in the order of their ids too: the ids are merged first. */
  #ofLane(
    lane: LaneDestination,
    search: Search,
    bounds: readonly [number, ...number[]],
    count: number,
  ): OutboxRow[] {
    const destinations = this.#keyPolicy.destinationsOf(lane)
    const [only] = destinations
    if (only === undefined) return []
    const dataBytesMax = Math.min(sliceBytes, Math.floor(searchBytes / count))
    if (destinations.length > 1) {
      const found = destinations.flatMap((destination) =>
        search.ids.all(...destination, ...bounds, count),
      )
      const first = found.toSorted((one, other) => one - other).slice(0, count)
      return unpack(this.#byIds.get(dataBytesMax, JSON.stringify(first)), dataBytesMax).map(rowOf)
    }
    const hasParked = this.#isAnyParked.get(bounds[0]) !== undefined
    const rows = hasParked ? search.unparked : search.all
    return unpack(rows.get(dataBytesMax, ...only, ...bounds, count), dataBytesMax).map(rowOf)
  }

  /** All of the row's data; undefined when the row is gone. */
  data(id: number, uid: Uint8Array): Buffer | undefined {
    return this.#data.get(id, uid)
  }

  /** A part of the row's data; undefined when the row is gone. */
  dataWindow(id: number, uid: Uint8Array, offset: number, bytes: number): Buffer | undefined {
    return this.#dataWindow.get(offset + 1, bytes, id, uid)
  }
}

/** Where the rows of a lane are, for the values of `Place`. */
export const destinationSql = (isByToken: boolean): string =>
  `host = ${given} AND port = ${given}${isByToken ? ` AND token = ${given}` : ''}`

// Without the hint the planner would go through all of mqrequeue for each lane.
export const freshSql = (isByToken: boolean, condition = 'true'): string =>
  `FROM mqout AS o INDEXED BY mqout_lane
   WHERE ${destinationSql(isByToken)} AND id > ? AND ${condition} ORDER BY id LIMIT ${given}`
export const lateSql = (isByToken: boolean, condition = 'true'): string =>
  `FROM mqout AS o INDEXED BY mqout_lane
   WHERE ${destinationSql(isByToken)} AND id BETWEEN ? AND ?
     AND EXISTS (SELECT 1 FROM mqrequeue AS l WHERE l.id = o.id) AND ${condition}
   ORDER BY id LIMIT ${given}`
// The limit keeps the order where it is (`packedAll`).
const byIdsSql = `FROM json_each(?) AS j CROSS JOIN mqout AS o ON o.id = j.value
   ORDER BY j.id LIMIT -1`

function rowOf({
  id,
  timeMs,
  isText,
  dataBytes,
  token,
  headers,
  uid,
  data,
  flaw,
}: UnpackedRow): OutboxRow {
  // A row has the same time in every copy of its database (PROTOCOL §7.5), so not that of today.
  const time = timeMs ?? 0
  const message = { uid, isText, row: id, timeMs: time, token, headers, digest: undefined, data }
  return { id, message, dataBytes, isLarge: dataBytes > sliceBytes, flaw }
}

/** The length of the row's body on the wire (PROTOCOL §6.2). */
export function bodyBytes({ message, dataBytes }: OutboxRow): number {
  if (message.data.length === dataBytes) return bodyLength(message)
  const digest = needsDigest(dataBytes) ? noDigest : undefined
  return bodyLength({ ...message, digest, data: noBytes }) + dataBytes
}

/** Why the row can never be sent to anybody, if so. The triggers of mqout let few such rows in. */
export function defectOf(row: OutboxRow): { code: string; reason: string } | undefined {
  const { token, headers, uid } = row.message
  if (row.flaw !== undefined) return notUtf8(row.flaw)
  // Text that is no UTF-8 grows when it is fixed, three bytes for one.
  if (token.length * 3 > tokenBytesMax && utf8Length(token) > tokenBytesMax) {
    return { code: 'TINYMQ_INVALID_TOKEN', reason: 'the token has more than 255 bytes' }
  }
  if (
    headers !== undefined &&
    headers.length * 3 > headersBytesMax &&
    utf8Length(headers) > headersBytesMax
  ) {
    return { code: 'TINYMQ_INVALID_HEADERS', reason: 'the headers have more than 65,536 bytes' }
  }
  if (uid.length !== uidBytes) return { code: 'TINYMQ_INVALID_UID', reason: 'uid is not 16 bytes' }
  if (bodyBytes(row) > bodyBytesMaxOfAll) {
    return { code: 'TINYMQ_TOO_LARGE', reason: 'the message has more than 256 MiB' }
  }
  return undefined
}

/** A reader of text may not be able to read such a row at all. */
export function notUtf8(column: string): { code: string; reason: string } {
  const reason =
    `${column} is text that is not UTF-8: write it in UTF-8 with an UPDATE of the row, ` +
    'or data as a BLOB'
  return { code: 'TINYMQ_INVALID_TEXT', reason }
}

// Many rows of `mqout` as one value of SQL, and back: each value that crosses from SQLite to
// JavaScript costs as much as all that SQLite does for a row. Must never change a byte of what a
// row holds.
//
//   packed row   id ' ' time ' ' is-text ' ' data-bytes ' ' uid-bytes ' ' token-bytes ' '
//                headers-bytes ' ' token | headers | uid | data
//
// The numbers are decimal; `time` is -1 if it is none, `headers-bytes` -1 for NULL. Data that is
// large is left out. Packed rows follow each other without anything between.

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

// A row that is too large to be read at once, while its record leaves in slices. Holds a window
// of its data, so that many large rows at once need no more than a window each; a window costs
// SQLite a walk through the whole value, so it is not small. Must never change what it has
// begun to send.

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
