/**
 * A row with the largest id that SQLite has: no other can follow it, and SQLite then says that the
 * disk is full. Must never add a fault of its own to the one that it explains.
 */
import type { Connection } from './connection.ts'
import type { Fault } from './faults.ts'

type Waiting = Extract<Fault, { type: 'wait' }>

/** What a full disk really is; undefined where it is one, or where nobody can tell. */
export function spentIds({ code }: Waiting, connection: Connection): Waiting | undefined {
  if (code !== 'TINYMQ_DISK_FULL') return undefined
  const table = tableOf(connection)
  if (table === undefined) return undefined
  const reason = `a row of ${table} has the largest id that there is, and no other can follow it`
  return { type: 'wait', code: 'TINYMQ_IDS_SPENT', reason }
}

function tableOf(connection: Connection): string | undefined {
  try {
    return connection.prepareValue<[], string>(sql).get()
  } catch {
    return undefined
  }
}

const sql = `SELECT name FROM sqlite_sequence
  WHERE seq = 9223372036854775807 AND name IN ('mqin', 'mqout')`
