/**
 * Brings a database to the version of the tables that this code knows: creates them, adopts those
 * of the original tinymq.pl, or goes forward step by step. Tables that belong to somebody else are
 * refused and left untouched.
 */

import { TinymqError, translated } from './errors.ts'
import { atomically, prepare, type SqliteHandle } from './handle.ts'
import { carryOver, isOriginal, noteEvent, putAside } from './schema-adopt.ts'
import { outboxCheckNames, outboxTriggerNames, parkInvalidSql } from './schema-outbox.ts'
import { stuckMark } from './schema-stuck.ts'
import { nowMsSql, objectNames, schemaSql, schemaVersion, tableNames, viewNames } from './schema.ts'

/**
 * `steps[n]` turns version n into n + 1, but the first makes the newest at once: version 0 is a
 * file without our tables.
 */
const steps: readonly ((db: SqliteHandle) => void)[] = [
  createTables,
  addTraffic,
  renew,
  renew,
  addParkedAt,
  addSince,
]

/**
 * Creates or updates the tables, each step in one transaction (in a savepoint, if one is open). Any
 * number of processes may do it at the same moment. When all is up to date it only reads, so that a
 * read-only connection will do.
 * @throws TinymqError TINYMQ_SCHEMA_NEWER, TINYMQ_FOREIGN_TABLE or TINYMQ_BAD_ENCODING, with the
 * database as it was, or what SQLite says.
 */
export function migrate(db: SqliteHandle): void {
  translated(() => {
    while (readVersion(db) < schemaVersion) atomically(db, () => stepForward(db))
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

/** What tells a view of ours from somebody else's of the same name. */
const viewMarks: { readonly [name: string]: string } = { mqstuck: stuckMark }

function stepForward(db: SqliteHandle): void {
  // Read again, now that nobody else can write: another process may have been faster.
  const version = readVersion(db)
  const step = steps[version]
  if (step === undefined) return
  step(db)
  const note = "INSERT OR REPLACE INTO mqmeta (key, value) VALUES ('schema_version', ?)"
  prepare(db, note).run(BigInt(version === 0 ? schemaVersion : version + 1))
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
  refuseOtherEncodings(db)
  const present = namesIn(db)
  const originals = ['mqout', 'mqin'].filter((name) => isOriginal(name, columnsOf(db, name)))
  for (const name of [...tableNames, ...viewNames, ...originals.map(putAside)]) {
    if (present.has(name) && !originals.includes(name)) throw foreign(name)
  }
  for (const name of originals) db.exec(`ALTER TABLE ${name} RENAME TO ${putAside(name)}`)
  db.exec(schemaSql)
  if (originals.length > 0) carryOver(db, originals)
}

/** Version 2: how many packets a lane took, and how many of them were lost. */
function addTraffic(db: SqliteHandle): void {
  const present = new Set(columnsOf(db, 'mqlane'))
  for (const name of ['packets', 'lost'].filter((column) => !present.has(column))) {
    db.exec(`ALTER TABLE mqlane ADD COLUMN ${name} INTEGER DEFAULT 0`)
  }
  renew(db)
}

/** Version 5: when a row was parked. An UPSERT of a row of mqout that waits is not refused. */
function addParkedAt(db: SqliteHandle): void {
  if (!columnsOf(db, 'mqparked').includes('parked_at')) {
    db.exec('ALTER TABLE mqparked ADD COLUMN parked_at INTEGER')
  }
  renew(db)
}

/** Version 6: since when a consumer has a message; rows that the peer has and that stay here. */
function addSince(db: SqliteHandle): void {
  if (!columnsOf(db, 'mqlease').includes('since')) {
    db.exec('ALTER TABLE mqlease ADD COLUMN since INTEGER')
  }
  renew(db)
}

/**
 * Views and triggers hold nothing: those of the newest version do for every step. Version 3 has
 * mqstuck; version 4 tells rows that nobody looks after, and refuses a host with a port in it.
 * @throws TinymqError TINYMQ_FOREIGN_TABLE when the name of a new view is taken.
 */
function renew(db: SqliteHandle): void {
  const query = 'SELECT type, sql FROM sqlite_master WHERE lower(name) = ?'
  for (const name of viewNames) {
    const found = prepare(db, query).get(name) as { type: string; sql: string } | undefined
    const isOurs = found?.type === 'view' && found.sql.includes(viewMarks[name] ?? '')
    if (found !== undefined && !isOurs) throw foreign(name)
    db.exec(`DROP VIEW IF EXISTS ${name}`)
  }
  for (const name of outboxTriggerNames) db.exec(`DROP TRIGGER IF EXISTS ${name}`)
  db.exec(schemaSql)
}

/** Sizes are counted in bytes and text is sent as it stands in the file: both mean UTF-8. */
function refuseOtherEncodings(db: SqliteHandle): void {
  const row = prepare(db, 'PRAGMA encoding').get() as { encoding: string }
  if (row.encoding === 'UTF-8') return
  throw new TinymqError(
    'TINYMQ_BAD_ENCODING',
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
