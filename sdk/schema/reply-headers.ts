/**
 * The two headers by which an answer finds its question. They are reserved: what the application
 * puts into headers of its own names never makes a message a reply.
 */

import { type SqliteHandle, prepare } from './sqlite-handle.ts'

/** In a request: what its reply must carry as `replyHeader`. */
export const requestHeader = 'tinymq-request-id'
/** In a reply: the `requestHeader` of the request. */
export const replyHeader = 'tinymq-in-reply-to'
/** In a reply that came too late and that somebody put back: no consumer leaves it to who asked. */
export const lateReplyHeader = 'tinymq-late-reply-to'

/**
 * How long a reply is left to the process that waits for it, in milliseconds. That one needs a few;
 * after this it has ended or given up.
 */
export const replyWaitMs = 60_000

/**
 * How the ids of all requests of this database begin. Only what answers one of them is a reply
 * here, so that a message that was forwarded with its headers reaches a consumer.
 */
export function requestPrefix(db: SqliteHandle): string {
  const query = "SELECT hex(value) AS id FROM mqmeta WHERE key = 'database_id'"
  const row = prepare(db, query).get() as { id: string } | undefined
  return `${row?.id ?? 'unknown'}-`
}

/**
 * The headers of a row of `mqin`, in SQL, when they have this key, else NULL. Other things may have
 * it too: `headerOf` is sure.
 */
export const headersWithSql = (row: string, name: string): string =>
  `CASE WHEN instr(${row}.headers, '"${name}"') > 0 THEN ${row}.headers END`

/** An SQL condition: the row has a header of this name with a text. */
export const hasHeaderSql = (row: string, name: string): string =>
  `CASE WHEN instr(${row}.headers, '"${name}"') > 0 AND json_valid(${row}.headers)
    THEN json_type(${row}.headers, '$."${name}"') IS 'text' ELSE 0 END`

/** The text of a header, from the headers as they came; undefined when it has none. */
export function headerOf(headersText: string | null, name: string): string | undefined {
  // Most messages have no such header, and need not be parsed for it.
  if (typeof headersText !== 'string' || !headersText.includes(`"${name}"`)) return undefined
  try {
    const value = (JSON.parse(headersText) as Record<string, unknown> | null)?.[name]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** Whether somebody here may wait for this message by `request`. The only definition. */
export const isReply = (headersText: string | null, prefix: string): boolean =>
  headerOf(headersText, replyHeader)?.startsWith(prefix) === true

// Puts dead messages back into the inbox, as new rows at its end.

const names = 'host, port, token, sent_at, arrived_at, sender, sender_row'
const [reply, late] = [`'$."${replyHeader}"'`, `'$."${lateReplyHeader}"'`]

// A reply that came too late would die again at once. Now it is for a consumer.
const headers = `CASE WHEN ${hasHeaderSql('mqdead', replyHeader)}
  THEN json_remove(json_set(headers, ${late}, json_extract(headers, ${reply})), ${reply})
  ELSE headers END`

/** Two statements for one transaction: copies the rows of `mqdead` that `where` names; removes. */
export const redriveSql = (where: string): readonly [copy: string, remove: string] => [
  `INSERT INTO mqin (${names}, headers, data)
    SELECT ${names}, ${headers}, data FROM mqdead WHERE ${where} ORDER BY id`,
  `DELETE FROM mqdead WHERE ${where}`,
]
