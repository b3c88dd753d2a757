/**
 * What a person looks for, as a condition in SQL. Must never put a word of theirs into the SQL
 * itself, nor look into data that is large.
 */
import type { SearchBy } from '../page-api.ts'

export type Search = { readonly text: string; readonly by: SearchBy }

export type Condition = {
  readonly sql: string
  readonly values: { readonly [name: string]: string | number | null }
}

/** SQLite reads a value whole to look into it: larger ones are passed over. */
export const searchedBytesMax = 262_144

/**
 * @param row alias of the table, with columns id, host, port, token and data.
 * @param bytes SQL for the size of its data.
 */
export function conditionOf({ text, by }: Search, row: string, bytes: string): Condition {
  if (text === '') return { sql: 'true', values: {} }
  const { host, port } = hostAndPort(text)
  const id = /^\d{1,16}$/.test(text) ? Number(text) : null
  const sqlBy: { readonly [By in Exclude<SearchBy, 'any'>]: string } = {
    id: `${row}.id = @id`,
    host: `(${row}.host = @host AND (@port IS NULL OR ${row}.port = @port))`,
    token: `${row}.token = @text`,
    text: `(${bytes} <= ${searchedBytesMax} AND typeof(${row}.data) = 'text'
      AND instr(${row}.data, @text) > 0)`,
  }
  const sql = by === 'any' ? Object.values(sqlBy).join(' OR ') : sqlBy[by]
  const values = { id, host, port, text }
  const used = Object.entries(values).filter(([name]) => sql.includes(`@${name}`))
  return { sql, values: Object.fromEntries(used) }
}

/** `host:port` as the page shows it; a bare IPv6 address has no port. */
function hostAndPort(text: string): { readonly host: string; readonly port: number | null } {
  const match = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? text
  return { host, port: match === null ? null : Number(match[3]) }
}
