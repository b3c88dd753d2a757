/** Sending as a statement, for those who reach SQLite through a library of their own. */

import type { SqliteValue } from './handle.ts'
import { type OutgoingMessage, outgoingValues, sendSql } from './outgoing.ts'

/**
 * The statement that sends a message, with the values to bind to its question marks. Run it in your
 * own transaction by Kysely (`CompiledQuery.raw(sql, parameters)`), Knex (`raw(sql, parameters)`),
 * Prisma (`$executeRawUnsafe(sql, ...parameters)`) or any other library on a file that `open` or a
 * daemon has prepared.
 * @throws TinymqError TINYMQ_BAD_HEADERS, TINYMQ_BAD_DATA, TINYMQ_BAD_TEXT, TINYMQ_NO_DATA. What
 * else `send` refuses, the database does.
 */
export function sendStatement(message: OutgoingMessage): {
  readonly sql: string
  readonly parameters: SqliteValue[]
} {
  return { sql: sendSql, parameters: [...outgoingValues(message)] }
}
