/**
 * Adopts the tables of the original tinymq.pl: waiting rows go to the new `mqout` and will be sent,
 * received rows go to the new `mqin`. What could never be sent must neither block that nor vanish:
 * it stays in the old table under its new name, and an event says so.
 */

import { prepare, type SqliteHandle } from './handle.ts'
import { outboxChecks } from './schema-outbox.ts'
import { nowMsSql } from './schema.ts'

const originalColumns: Readonly<Record<string, string>> = {
  mqout: 'x,ts,shost,sport,dhost,dport,token,data,seq,backoff,magic',
  mqin: 'x,ts,shost,sport,dhost,dport,token,data,seq,magic',
}

/** Whether a table called `name` with these columns is the original's. */
export const isOriginal = (name: string, columns: readonly string[]): boolean =>
  originalColumns[name] === columns.join()

/** The name under which the original's table stands aside. */
export const putAside = (name: string): string => `${name}_original`

// An id is kept, unless it is one that mqout would never give or that JavaScript cannot count to.
const idSql = 'CASE WHEN x BETWEEN 1 AND 4503599627370496 THEN x END'

// The original's `ts` is text in UTC ("2015-03-01 12:00:00"), unless someone put in Unix seconds.
const tsMsSql = `coalesce(
  CASE typeof(ts)
    WHEN 'text' THEN CAST(round((julianday(ts) - 2440587.5) * 86400000) AS INTEGER)
    ELSE CAST(ts * 1000 AS INTEGER)
  END,
  ${nowMsSql}
)`

const waiting = `(
  SELECT x, ts, dhost AS host, dport AS port, coalesce(token, '') AS token, data,
    NULL AS headers, zeroblob(16) AS uid
  FROM mqout_original
) AS o`
const sendable = `NOT (${outboxChecks('o')
  .map(({ bad }) => `(${bad})`)
  .join(' OR ')})`

/**
 * Carries the rows over from the tables put aside to ours. To be called in the transaction that has
 * put them aside.
 */
export function carryOver(db: SqliteHandle, originals: readonly string[]): void {
  if (originals.includes('mqout')) carryOutbox(db)
  if (originals.includes('mqin')) carryInbox(db)
}

function carryOutbox(db: SqliteHandle): void {
  const sent = prepare(
    db,
    `INSERT INTO mqout (id, host, port, token, created_at, data)
    SELECT ${idSql}, host, port, token, ${tsMsSql}, data FROM ${waiting} WHERE ${sendable}
    ORDER BY ${idSql} IS NULL, x`,
  ).run()
  prepare(
    db,
    `DELETE FROM mqout_original WHERE x IN (SELECT x FROM ${waiting} WHERE ${sendable})`,
  ).run()
  noteEvent(db, 'ADOPTED', `${sent.changes} waiting rows of the original tinymq will be sent`)
  const { left } = prepare(db, 'SELECT count(*) AS left FROM mqout_original').get() as {
    left: number
  }
  if (left === 0) {
    db.exec('DROP TABLE mqout_original')
    return
  }
  const detail = `${left} waiting rows of the original tinymq have no usable host, port or data`
  noteEvent(db, 'ADOPTED_IN_PART', `${detail}; they are kept in the table mqout_original`)
}

function carryInbox(db: SqliteHandle): void {
  const kept = prepare(
    db,
    `INSERT INTO mqin (id, host, port, token, arrived_at, data)
    SELECT ${idSql}, shost, sport, coalesce(token, ''), ${tsMsSql}, coalesce(data, '')
    FROM mqin_original ORDER BY ${idSql} IS NULL, x`,
  ).run()
  // Ids of rows that are gone are not given again: a consumer may have noted how far it was.
  db.exec(`
    INSERT INTO sqlite_sequence (name, seq)
      SELECT 'mqin', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'mqin');
    UPDATE sqlite_sequence SET seq = max(seq, coalesce(
      (SELECT min(seq, 4503599627370496) FROM sqlite_sequence WHERE name = 'mqin_original'), 0
    )) WHERE name = 'mqin';
    DROP TABLE mqin_original;
  `)
  noteEvent(db, 'ADOPTED', `${kept.changes} received rows of the original tinymq are kept`)
}

/** For `mqevent`, in the transaction that is open. */
export function noteEvent(db: SqliteHandle, code: string, detail: string): void {
  prepare(db, `INSERT INTO mqevent (at, code, detail) VALUES (${nowMsSql}, ?, ?)`).run(code, detail)
}
