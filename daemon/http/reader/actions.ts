/**
 * What the page may do to a message when its operator allows it, as `tinymq cancel`, `retry` and
 * `dead redrive` do. Must never hold the write lock for more than one row.
 */
import Database from 'better-sqlite3'
import { TinymqError } from '../../../sdk/schema/errors.ts'
import { redriveSql } from '../../../sdk/schema/reply-headers.ts'

export type RowAction = 'cancel' | 'retry' | 'redrive'

const busyMs = 1_000

/** @returns what was done, as a sentence. @throws TinymqError */
export function act(path: string, action: RowAction, id: number): string {
  const db = new Database(path, { timeout: busyMs, fileMustExist: true })
  try {
    return db.transaction(() => actions[action](db, id)).immediate()
  } finally {
    db.close()
  }
}

const actions: {
  readonly [Action in RowAction]: (db: Database.Database, id: number) => string
} = { cancel, retry, redrive }

function cancel(db: Database.Database, id: number): string {
  const state = db
    .prepare<[number], string>('SELECT state FROM mqstatus WHERE id = ?')
    .pluck()
    .get(id)
  if (db.prepare('DELETE FROM mqout WHERE id = ?').run(id).changes === 0)
    throw notThere(id, 'mqout')
  const late = state === 'in flight' ? ' It was in flight and may arrive all the same.' : ''
  return `Row ${id} is deleted from mqout.${late}`
}

/** What leaves `mqparked` is tried again; another row has its whole lane tried at once. */
function retry(db: Database.Database, id: number): string {
  if (db.prepare('DELETE FROM mqparked WHERE id = ?').run(id).changes > 0) {
    return `Row ${id} is tried again now.`
  }
  const lanes = db
    .prepare(
      `UPDATE mqlane SET requested = 'retry' WHERE (host, port) IN
         (SELECT host, port FROM mqout WHERE id = ?)`,
    )
    .run(id).changes
  if (lanes > 0) return `The peer of row ${id} is tried again now.`
  throw notThere(id, 'mqout')
}

function redrive(db: Database.Database, id: number): string {
  const [copy, remove] = redriveSql('id = ?')
  const moved = db.prepare(copy).run(id)
  if (moved.changes === 0) throw notThere(id, 'mqdead')
  db.prepare(remove).run(id)
  return `The message is in the inbox again, as row ${moved.lastInsertRowid}.`
}

function notThere(id: number, table: string): TinymqError {
  return new TinymqError('TINYMQ_NO_SUCH_ROW', `there is no row ${id} in ${table}`)
}
