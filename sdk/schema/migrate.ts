/**
 * Creates the tables in a database that has none of ours, adopts those of the original tinymq.pl,
 * and creates again what was dropped. Rejects tables that belong to somebody else and leaves them
 * untouched.
 */
import { TinymqError, translated } from './errors.ts'
import { atomically, prepare, type SqliteHandle } from './sqlite-handle.ts'
import { nowMsSql, objectNames, schemaSql, schemaVersion, tableNames, viewNames } from './tables.ts'
import { outboxCheckNames, outboxChecks, parkInvalidSql } from './triggers.ts'

/**
 * Creates what is missing of the tables in one transaction (in a savepoint, if one is open). Any
 * number of processes may do it at the same moment. When nothing is missing it only reads, so that
 * a read-only connection will do.
 * @throws TinymqError TINYMQ_SCHEMA_NEWER, TINYMQ_FOREIGN_TABLE or TINYMQ_INVALID_ENCODING, with
 * the database as it was, or what SQLite says.
 */
export function migrate(db: SqliteHandle): void {
  translated(() => {
    if (readVersion(db) === 0) atomically(db, () => createTables(db))
    // Somebody may have dropped a table, to empty it, say, or rebuilt one, which takes its triggers
    // and indexes along. It is made again, as in a new file.
    if (missingIn(db).length > 0) atomically(db, () => makeMissing(db))
  })
}

/**
 * The same for a program that has the tables in use: triggers, indexes and views that are gone are
 * made again, while all tables are there.
 * @throws what SQLite throws.
 */
export function repair(db: SqliteHandle): void {
  const missing = missingIn(db)
  if (missing.length === 0 || missing.some((name) => tableNames.includes(name))) return
  atomically(db, () => makeMissing(db))
}

/** What a database of this version should have, and has not. */
export function missingIn(db: SqliteHandle): readonly string[] {
  const present = namesIn(db)
  return objectNames().filter((name) => !present.has(name))
}

function makeMissing(db: SqliteHandle): void {
  // Looked at again, now that nobody else can write.
  const missing = missingIn(db)
  if (missing.length === 0) return
  db.exec(schemaSql)
  if (missing.some((name) => outboxCheckNames.includes(name))) {
    db.exec(parkInvalidSql('all', nowMsSql))
  }
  const detail =
    `${missing.join(', ')} had been dropped, and tinymq has made them again. Rows that came ` +
    'meanwhile and can never be sent are parked.'
  noteEvent(db, 'SCHEMA_REPAIRED', detail)
}

/**
 * The version of our tables in a database, 0 when there are none; it only reads.
 * @throws TinymqError TINYMQ_SCHEMA_NEWER or TINYMQ_FOREIGN_TABLE, or what SQLite says.
 */
export function tablesVersion(db: SqliteHandle): number {
  return translated(() => readVersion(db))
}

function readVersion(db: SqliteHandle): number {
  if (!namesIn(db).has('mqmeta')) return 0
  const isOurs = columnsOf(db, 'mqmeta').join() === 'key,value'
  const query = "SELECT value AS version FROM mqmeta WHERE key = 'schema_version'"
  const row = isOurs ? (prepare(db, query).get() as { version: unknown } | undefined) : undefined
  const version = row?.version
  if (typeof version !== 'number') throw foreign('mqmeta')
  if (version <= schemaVersion) return version
  throw new TinymqError(
    'TINYMQ_SCHEMA_NEWER',
    `the tables in this database are version ${version}; this tinymq knows up to ${schemaVersion}`,
  )
}

function createTables(db: SqliteHandle): void {
  // Read again, now that nobody else can write: another process may have been faster.
  if (readVersion(db) !== 0) return
  refuseOtherEncodings(db)
  const present = namesIn(db)
  const originals = ['mqout', 'mqin'].filter((name) => isOriginal(name, columnsOf(db, name)))
  for (const name of [...tableNames, ...viewNames, ...originals.map(putAside)]) {
    if (present.has(name) && !originals.includes(name)) throw foreign(name)
  }
  for (const name of originals) db.exec(`ALTER TABLE ${name} RENAME TO ${putAside(name)}`)
  db.exec(schemaSql)
  const note = "INSERT INTO mqmeta (key, value) VALUES ('schema_version', ?)"
  prepare(db, note).run(BigInt(schemaVersion))
  if (originals.length > 0) carryOver(db, originals)
}

/** Sizes are counted in bytes and text is sent as it stands in the file: both mean UTF-8. */
function refuseOtherEncodings(db: SqliteHandle): void {
  const row = prepare(db, 'PRAGMA encoding').get() as { encoding: string }
  if (row.encoding === 'UTF-8') return
  throw new TinymqError(
    'TINYMQ_INVALID_ENCODING',
    `this database stores text as ${row.encoding}, and tinymq works in UTF-8 only`,
  )
}

const foreign = (name: string): TinymqError =>
  new TinymqError(
    'TINYMQ_FOREIGN_TABLE',
    `this database has something called ${name} that is not tinymq's; nothing was changed`,
  )

/** The names in the database that could be ours, in lower case, as SQLite compares them. */
function namesIn(db: SqliteHandle): ReadonlySet<string> {
  const query = "SELECT lower(name) AS name FROM sqlite_master WHERE name LIKE 'mq%'"
  const rows = prepare(db, query).all() as { name: string }[]
  return new Set(rows.map(({ name }) => name))
}

function columnsOf(db: SqliteHandle, table: string): readonly string[] {
  const rows = prepare(db, `PRAGMA table_info(${table})`).all() as { name: string }[]
  return rows.map(({ name }) => name)
}

// Adopts the tables of the original tinymq.pl: waiting rows go to the new `mqout` and will be sent,
// received rows go to the new `mqin`. What could never be sent must neither block that nor vanish:
// it stays in the old table under its new name, and an event says so.

const originalColumns: Readonly<Record<string, string>> = {
  mqout: 'x,ts,shost,sport,dhost,dport,token,data,seq,backoff,magic',
  mqin: 'x,ts,shost,sport,dhost,dport,token,data,seq,magic',
}

/** Whether a table called `name` with these columns is the original's. */
const isOriginal = (name: string, columns: readonly string[]): boolean =>
  originalColumns[name] === columns.join()

/** The name under which the original's table stands aside. */
const putAside = (name: string): string => `${name}_original`

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
function carryOver(db: SqliteHandle, originals: readonly string[]): void {
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
function noteEvent(db: SqliteHandle, code: string, detail: string): void {
  prepare(db, `INSERT INTO mqevent (at, code, detail) VALUES (${nowMsSql}, ?, ?)`).run(code, detail)
}
