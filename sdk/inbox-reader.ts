/** Messages as they stand in `mqin`, read page by page so that no read transaction stays open. */

import {
  given,
  prepare,
  type SqliteHandle,
  type SqliteStatement,
  type SqliteValue,
} from './schema/sqlite-handle.ts'
import type { Headers } from './outgoing-message.ts'
import { dateOf } from './schema/sql-time.ts'

/** A message that has arrived. */
export type Message = {
  /** Its row in `mqin`, in the order of arrival. */
  readonly id: number
  /** Where the sender can be answered; '' and 0 when that is not known. */
  readonly host: string
  readonly port: number
  /** The key that it came under, or the sender's label when there are no keys. */
  readonly token: string
  /** A string if a string was sent, bytes if bytes were sent. */
  readonly data: string | Uint8Array
  /**
   * What the sender gave, null when it gave none, something other than a JSON object, or one that
   * is nested too deep for `JSON.stringify`.
   */
  readonly headers: Headers | null
  /** The headers as they came, for when they are not what `headers` can hold. */
  readonly headersText: string | null
  /**
   * When it was sent by the clock at the receiver; null for a message of the original tinymq, and
   * when the sender's row has a time that no calendar has.
   */
  readonly sentAt: Date | null
  readonly arrivedAt: Date
  /** The sender, as in `mqsender.id`, and the row of its `mqout`. */
  readonly sender: number | null
  readonly senderRow: number | null
}

/** Which messages to read. */
export type ReadInboxOptions = {
  /** Only messages with a higher id. */
  readonly after?: number | undefined
  /** At most so many. */
  readonly limit?: number | undefined
  /** Only messages with this token. */
  readonly token?: string | undefined
}

// A page is what is held in memory at a time. Fewer rows cost more queries, more rows keep other
// programs' changes out of sight for longer.
const pageRowsMax = 256
const pageBytesMax = 1_048_576

/** A row of `mqin` as it is read. */
export type Row = {
  readonly id: number
  readonly host: string | null
  readonly port: number | null
  readonly token: string | null
  readonly sent_at: number | null
  readonly arrived_at: number | null
  readonly sender: number | null
  readonly sender_row: number | null
  readonly headers: string | null
  readonly type: string
  readonly bytes: Uint8Array | null
}

/**
 * The columns of a `Row`: bytes, because node:sqlite before 24 cuts text at a NUL; times as REAL,
 * because node:sqlite throws for integers above 2^53, and any program can have written one.
 */
export const messageColumns =
  'id, host, port, token, CAST(sent_at AS REAL) AS sent_at,' +
  ' CAST(arrived_at AS REAL) AS arrived_at, sender, sender_row, headers,' +
  ' typeof(data) AS type, CAST(data AS BLOB) AS bytes'

/** Reads `mqin` of one connection. */
export class InboxReader {
  readonly #last: SqliteStatement
  readonly #page: SqliteStatement
  readonly #pageOfToken: SqliteStatement

  constructor(db: SqliteHandle) {
    this.#last = prepare(db, 'SELECT max(id) AS id FROM mqin')
    // Two statements, because consumers may have made an index by token.
    const [begin, end] = [`SELECT ${messageColumns} FROM mqin WHERE`, `ORDER BY id LIMIT ${given}`]
    this.#page = prepare(db, `${begin} id > ? AND id <= ? ${end}`)
    this.#pageOfToken = prepare(db, `${begin} token = ? AND id > ? AND id <= ? ${end}`)
  }

  /** The id of the newest message, 0 when there is none. */
  lastId(): number {
    return (this.#last.get() as { id: number | null }).id ?? 0
  }

  /** The next messages after the id `after` and up to `last`; none when there are no more. */
  nextPage(after: number, last: number, token: string | null, limit: number): Message[] {
    const page: Message[] = []
    let pageBytes = 0
    const range: SqliteValue[] = [after, last, Math.min(limit, pageRowsMax)]
    const rows =
      token === null ? this.#page.iterate(...range) : this.#pageOfToken.iterate(token, ...range)
    for (const row of rows as Iterable<Row>) {
      page.push(parseMessage(row))
      pageBytes += row.bytes?.length ?? 0
      if (pageBytes >= pageBytesMax) break
    }
    return page
  }
}

/** The message that a row of `mqin` is. */
export function parseMessage(row: Row): Message {
  return {
    id: row.id,
    host: row.host ?? '',
    port: row.port ?? 0,
    token: row.token ?? '',
    data: parseData(row),
    headers: parseHeaders(row.headers),
    headersText: row.headers,
    sentAt: dateOf(row.sent_at),
    arrivedAt: dateOf(row.arrived_at) ?? new Date(0),
    sender: row.sender,
    senderRow: row.sender_row,
  }
}

function parseData({ type, bytes }: Row): string | Uint8Array {
  if (bytes === null) return ''
  const { buffer, byteOffset, byteLength } = bytes
  if (type === 'blob') return new Uint8Array(buffer, byteOffset, byteLength)
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8')
}

// Any program can have written them, and what it wrote must not make the inbox unreadable.
function parseHeaders(text: string | null): Headers | null {
  if (text === null || isDeep(text)) return null
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && !Array.isArray(value) ? (value as Headers | null) : null
  } catch {
    return null
  }
}

/** What takes JSON apart or puts it together calls itself for each level, and has a stack. */
const levelsMax = 100

function isDeep(json: string): boolean {
  // Each level takes two characters.
  if (json.length <= 2 * levelsMax) return false
  let [level, isText] = [0, false]
  for (let at = 0; at < json.length; at++) {
    const character = json[at]
    if (character === '"') isText = !isText
    else if (isText) at += character === '\\' ? 1 : 0
    else if (character === '{' || character === '[') level++
    else if (character === '}' || character === ']') level--
    if (level > levelsMax) return true
  }
  return false
}
