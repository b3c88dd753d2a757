/** What can be sent, and how it is written to `mqout`. What SQL can check, the triggers check. */
import { isArrayBuffer } from 'node:util/types'
import { TinymqError } from './schema/errors.ts'
import type { SqliteValue } from './schema/sqlite-handle.ts'

/** What travels next to the data: anything that JSON can express. */
export type Headers = Readonly<Record<string, unknown>>

/** A message: text arrives as a string, bytes as a `Uint8Array`. */
export type OutgoingData = string | ArrayBuffer | ArrayBufferView

/** One message for `sendMany`. */
export type OutgoingMessage = {
  /** Name or address of the other machine. */
  readonly host: string
  /** UDP port of its daemon, 9000 when left out. */
  readonly port?: number | undefined
  /** Name of a shared key, or a label. */
  readonly token?: string | undefined
  readonly data: OutgoingData
  /** Null is none, as in a message that came without. */
  readonly headers?: Headers | null | undefined
}

/** The statement that sends, for the values of `outgoingValues`. */
export const sendSql = 'INSERT INTO mqout (host, port, token, headers, data) VALUES (?, ?, ?, ?, ?)'

/**
 * The values to bind for a message. A value of a wrong type becomes NULL where the trigger has the
 * better sentence.
 * @throws TinymqError TINYMQ_INVALID_DATA, TINYMQ_INVALID_TEXT, TINYMQ_INVALID_HEADERS,
 * TINYMQ_NO_DATA
 */
export function outgoingValues(message: OutgoingMessage): readonly SqliteValue[] {
  const { host, port = 9000, token = '', data, headers } = message
  return [
    text('host', host),
    typeof port === 'number' || typeof port === 'string' ? port : null,
    text('token', token),
    headers === undefined || headers === null ? null : headersText(headers),
    dataValue(data),
  ]
}

function text(name: string, value: unknown): string | null {
  if (typeof value !== 'string') return null
  if (value.isWellFormed()) return value
  throw new TinymqError(
    'TINYMQ_INVALID_TEXT',
    `${name} has half of a surrogate pair, which UTF-8 cannot express, ` +
      'so that it could not arrive as it is: repair it with toWellFormed()',
  )
}

function dataValue(data: unknown): SqliteValue {
  if (typeof data === 'string') return text('data', data)
  // Not by class: test runners and browser-like hosts have other ones of the same names.
  if (data instanceof Uint8Array) return data
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  }
  if (isArrayBuffer(data)) return new Uint8Array(data)
  if (data === null || data === undefined) {
    throw new TinymqError(
      'TINYMQ_NO_DATA',
      `data is ${data}, so there is nothing to send; an empty message is the empty string`,
    )
  }
  throw new TinymqError(
    'TINYMQ_INVALID_DATA',
    `data is of type ${typeof data}, and only text and bytes can be sent: ` +
      'turn it into a string first, with JSON.stringify for instance',
  )
}

/**
 * A Map, or the Headers of fetch, has nothing that JSON sees: all of it would be lost.
 * @throws TinymqError TINYMQ_INVALID_HEADERS
 */
export function refuseIterable(headers: unknown): void {
  if (typeof headers !== 'object' || headers === null || !(Symbol.iterator in headers)) return
  const sentence = 'headers must be a plain object: Object.fromEntries makes one of a list or a Map'
  throw new TinymqError('TINYMQ_INVALID_HEADERS', sentence)
}

function headersText(headers: unknown): string {
  refuseIterable(headers)
  let json: unknown
  let cause: unknown
  try {
    json = JSON.stringify(headers)
  } catch (error) {
    cause = error
  }
  if (typeof json === 'string' && json.startsWith('{')) return json
  throw new TinymqError(
    'TINYMQ_INVALID_HEADERS',
    'headers must be an object that JSON can express',
    {
      cause,
    },
  )
}

// Sending as a statement, for those who reach SQLite through a library of their own.

/**
 * The statement that sends a message, with the values to bind to its question marks. Run it in your
 * own transaction by Kysely (`CompiledQuery.raw(sql, parameters)`), Knex (`raw(sql, parameters)`),
 * Prisma (`$executeRawUnsafe(sql, ...parameters)`) or any other library on a file that `open` or a
 * daemon has prepared.
 * @throws TinymqError TINYMQ_INVALID_HEADERS, TINYMQ_INVALID_DATA, TINYMQ_INVALID_TEXT,
 * TINYMQ_NO_DATA. What else `send` rejects, the database does.
 */
export function sendStatement(message: OutgoingMessage): {
  readonly sql: string
  readonly parameters: SqliteValue[]
} {
  return { sql: sendSql, parameters: [...outgoingValues(message)] }
}
