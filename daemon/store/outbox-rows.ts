/**
 * Reads rows of `mqout` as they must travel: data as the bytes that it has in the file, whatever
 * they are. Must never read more of a large row than it is asked for.
 */
import { isUtf8 } from 'node:buffer'
import type BetterSqlite3 from 'better-sqlite3'
import type { Message } from '../protocol/record.ts'
import {
  bodyBytesMaxOfAll,
  bodyLength,
  headersBytesMax,
  needsDigest,
  tokenBytesMax,
} from '../protocol/record.ts'
import { utf8Length } from '../protocol/wire.ts'
import type { Connection } from './connection.ts'
import type { Keying } from './keying.ts'
import type { LanePlace } from './outbox-places.ts'
import { packedAll, packedOne, sliceBytes, unpack, type UnpackedRow } from './packed-rows.ts'
import { uidBytes } from './run.ts'
import { given } from '../../sdk/given-sql.ts'

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

export class OutboxRows {
  readonly #keying: Keying
  readonly #fresh: Search
  readonly #late: Search
  readonly #byIds: BetterSqlite3.Statement<[number, string], Buffer | null>
  readonly #isAnyParked: BetterSqlite3.Statement<[number], number>
  readonly #isAnyFresh: ByPlace<number>
  readonly #isAny: ByPlace<number>
  readonly #idOfKept: BetterSqlite3.Statement<[string, number, string], number>
  readonly #one: BetterSqlite3.Statement<[number, number, Uint8Array, string, number], Buffer>
  readonly #data: BetterSqlite3.Statement<[number, Uint8Array], Buffer>
  readonly #dataWindow: BetterSqlite3.Statement<[number, number, number, Uint8Array], Buffer>

  constructor(connection: Connection, keying: Keying) {
    this.#keying = keying
    const { isByToken } = keying
    const search = (fromSql: (isByToken: boolean, condition?: string) => string): Search => ({
      ids: connection.prepareValue(`SELECT o.id ${fromSql(isByToken, isNotParked)}`),
      unparked: connection.prepareValue(packedAll(fromSql(isByToken, isNotParked))),
      all: connection.prepareValue(packedAll(fromSql(isByToken))),
    })
    this.#fresh = search(freshSql)
    this.#late = search(lateSql)
    this.#byIds = connection.prepareValue(packedAll(byIdsSql))
    this.#one = connection.prepareValue(
      packedOne('FROM mqout AS o WHERE id = ? AND uid = ? AND host = ? AND port = ?'),
    )
    const place = placeSql(isByToken)
    this.#isAnyParked = connection.prepareValue('SELECT 1 FROM mqparked WHERE id >= ? LIMIT 1')
    this.#isAnyFresh = connection.prepareValue(
      `SELECT 1 FROM mqout WHERE ${place} AND id > ? LIMIT 1`,
    )
    this.#isAny = connection.prepareValue(
      `SELECT 1 FROM mqout AS o WHERE ${place} AND ${isNotParked} LIMIT 1`,
    )
    this.#idOfKept = connection.prepareValue(
      `SELECT numbered_id FROM mqlane AS l
       WHERE host = ? AND port = ? AND key = ? AND numbered = confirmed
         AND NOT EXISTS (SELECT 1 FROM mqlate)
         AND EXISTS (SELECT 1 FROM mqrun AS r WHERE r.lane = l.id AND r.done_at IS NULL)`,
    )
    this.#data = connection.prepareValue(
      'SELECT CAST(data AS BLOB) FROM mqout WHERE id = ? AND uid = ?',
    )
    this.#dataWindow = connection.prepareValue(
      'SELECT substr(CAST(data AS BLOB), ?, ?) FROM mqout WHERE id = ? AND uid = ?',
    )
  }

  /** Rows of a lane from the id after `afterId` on that are not parked, by id. */
  fresh(lane: LanePlace, afterId: number, count: number): OutboxRow[] {
    return this.#ofLane(lane, this.#fresh, [afterId], count)
  }

  /** Late rows of a lane with ids from `fromId` to `toId` that are not parked, by id. */
  late(lane: LanePlace, fromId: number, toId: number, count: number): OutboxRow[] {
    return this.#ofLane(lane, this.#late, [fromId, toId], count)
  }

  /** The row with this identity, as long as it is there and of this lane. */
  one(id: number, uid: Uint8Array, { host, port, key }: LanePlace): OutboxRow | undefined {
    const packed = this.#one.get(sliceBytes, id, uid, host, port)
    const row = unpack(packed, sliceBytes).map(rowOf)[0]
    return row !== undefined && this.#keying.keyOf(row.message.token) === key ? row : undefined
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
  isAnyFresh(lane: LanePlace, afterId: number): boolean {
    const places = this.#keying.placesOf(lane)
    return places.some((place) => this.#isAnyFresh.get(...place, afterId) !== undefined)
  }

  /** Whether the lane has a row, numbered or not, that is not parked. */
  isAny(lane: LanePlace): boolean {
    const places = this.#keying.placesOf(lane)
    return places.some((place) => this.#isAny.get(...place) !== undefined)
  }

  /** Whether all of its rows are at the peer, and are only here because they were kept. */
  areKept(lane: LanePlace): boolean {
    const numberedId = this.#idOfKept.get(lane.host, lane.port, lane.key)
    return numberedId !== undefined && !this.isAnyFresh(lane, numberedId)
  }

  /** Rows of several tokens go in the order of their ids too: the ids are merged first. */
  #ofLane(
    lane: LanePlace,
    search: Search,
    bounds: readonly [number, ...number[]],
    count: number,
  ): OutboxRow[] {
    const places = this.#keying.placesOf(lane)
    const [only] = places
    if (only === undefined) return []
    const dataBytesMax = Math.min(sliceBytes, Math.floor(searchBytes / count))
    if (places.length > 1) {
      const found = places.flatMap((place) => search.ids.all(...place, ...bounds, count))
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
export const placeSql = (isByToken: boolean): string =>
  `host = ${given} AND port = ${given}${isByToken ? ` AND token = ${given}` : ''}`

// Without the hint the planner would go through all of mqlate for each lane.
export const freshSql = (isByToken: boolean, condition = 'true'): string =>
  `FROM mqout AS o INDEXED BY mqout_lane
   WHERE ${placeSql(isByToken)} AND id > ? AND ${condition} ORDER BY id LIMIT ${given}`
export const lateSql = (isByToken: boolean, condition = 'true'): string =>
  `FROM mqout AS o INDEXED BY mqout_lane
   WHERE ${placeSql(isByToken)} AND id BETWEEN ? AND ?
     AND EXISTS (SELECT 1 FROM mqlate AS l WHERE l.id = o.id) AND ${condition}
   ORDER BY id LIMIT ${given}`
// The limit keeps the order where it is (`packedAll`).
export const byIdsSql = `FROM json_each(?) AS j CROSS JOIN mqout AS o ON o.id = j.value
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
  // Text that is no UTF-8 grows when it is mended, three bytes for one.
  if (token.length * 3 > tokenBytesMax && utf8Length(token) > tokenBytesMax) {
    return { code: 'TINYMQ_BAD_TOKEN', reason: 'the token has more than 255 bytes' }
  }
  if (
    headers !== undefined &&
    headers.length * 3 > headersBytesMax &&
    utf8Length(headers) > headersBytesMax
  ) {
    return { code: 'TINYMQ_BAD_HEADERS', reason: 'the headers have more than 65,536 bytes' }
  }
  if (uid.length !== uidBytes) return { code: 'TINYMQ_BAD_UID', reason: 'uid is not 16 bytes' }
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
  return { code: 'TINYMQ_BAD_TEXT', reason }
}
