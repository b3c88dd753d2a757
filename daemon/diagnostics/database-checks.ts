/**
 * What the tables tell: their version, damage, events, what is parked or dead, times of the future.
 * Must never change a row, nor read what grows with the backlog but by index.
 */
import { statSync } from 'node:fs'
import type Database from 'better-sqlite3'
import { explained, isThere, openToRead } from '../../sdk/schema/open-database.ts'
import { fromSqlite, TinymqError, withoutFullStop } from '../../sdk/schema/errors.ts'
import { timeText } from '../../sdk/schema/sql-time.ts'
import { missingIn, tablesVersion } from '../../sdk/schema/migrate.ts'
import { errorFinding, okFinding, warnFinding, type Finding } from './finding.ts'

export type Destination = {
  readonly host: string
  readonly port: number
  readonly key: string
  readonly errorCode: string | null
  readonly error: string | null
  /** Rows; above `countedMax` nobody counts. */
  readonly waiting: number
}

type TableReport = {
  readonly findings: readonly Finding[]
  /** Where rows wait, or have been sent lately. */
  readonly destinations: readonly Destination[]
}

const about = 'database'
/** To check every page of more would take longer than a person waits who has not asked for it. */
const checkBytesMax = 32 * 1024 ** 2
const walBytesMax = 256 * 1024 ** 2
/** A row of the future, by more than clocks of two machines differ. */
const futureMs = 60_000
const eventDays = 7
/** As in mqstuck. */
const hungMs = 3_600_000
const destinationsMax = 100
/** To count more rows for each of a hundred hosts would take too long. */
export const countedMax = 10_000

/** `isThorough`: the file is read through, however large it is. */
export function readTables(path: string, nowMs: number, isThorough: boolean): TableReport {
  try {
    if (!isThere(path)) {
      const fix = `Start the daemon, which makes it: tinymq 9000 ${path}`
      return { findings: [errorFinding(about, `There is no file ${path}.`, fix)], destinations: [] }
    }
    const db = openToRead(path)
    try {
      return reportOf(db, path, nowMs, isThorough)
    } finally {
      db.close()
    }
  } catch (cause) {
    const error = fromSqlite(explained(path, cause))
    if (!(error instanceof TinymqError)) throw error
    const sentence = `${withoutFullStop(error.message)} (${error.code}).`
    return { findings: [errorFinding(about, sentence, error.hint)], destinations: [] }
  }
}

function reportOf(
  db: Database.Database,
  path: string,
  nowMs: number,
  isThorough: boolean,
): TableReport {
  if (tablesVersion(db) === 0) {
    const fix = 'Start the daemon on it, or name the database that has them.'
    return { findings: [errorFinding(about, 'It has no tables of tinymq.', fix)], destinations: [] }
  }
  const findings = [
    ...missing(db),
    ...integrity(db, isThorough),
    ...log(path),
    durability(db),
    ...clock(db, nowMs),
    ...apart(db, nowMs),
    ...events(db, nowMs),
  ]
  return { findings, destinations: destinations(db) }
}

/** A table that is rebuilt loses its triggers and indexes. */
function missing(db: Database.Database): Finding[] {
  const names = missingIn(db)
  if (names.length === 0) return []
  const fix = 'Restart the daemon, which makes them again.'
  return [errorFinding(about, `These objects of ours are missing: ${names.join(', ')}.`, fix)]
}

function integrity(db: Database.Database, isThorough: boolean): Finding[] {
  const size = ['page_count', 'page_size']
    .map((pragma) => Number(db.pragma(pragma, { simple: true })))
    .reduce((pages, bytes) => pages * bytes)
  if (size > checkBytesMax && !isThorough) {
    const mebibytes = Math.round(size / 1024 ** 2)
    const sentence = `Its tables are ours. At ${mebibytes} MiB it was not read through.`
    return [okFinding(about, `${sentence} --thorough does that.`)]
  }
  const answer = db.pragma('quick_check(1)', { simple: true })
  if (answer === 'ok') return [okFinding(about, 'Its tables are ours, and SQLite finds no damage.')]
  const fix = 'Stop the daemon, keep the file, and restore a backup: tinymq backup --help.'
  return [errorFinding(about, `SQLite finds damage: ${String(answer)}.`, fix)]
}

/** A reader that never ends its transaction keeps the log from being taken over. */
function log(path: string): Finding[] {
  const bytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
  if (bytes <= walBytesMax) return []
  const fix = 'Find the program that keeps a read transaction open on this file, and end it.'
  return [warnFinding('log', `${path}-wal has ${Math.round(bytes / 1024 ** 2)} MiB.`, fix)]
}

/** What other programs have set on their connections is nowhere in the file. */
function durability(db: Database.Database): Finding {
  const [option = ''] = db
    .prepare<[], string>('PRAGMA compile_options')
    .pluck()
    .all()
    .filter((name) => name.startsWith('DEFAULT_WAL_SYNCHRONOUS='))
  const begins = option.endsWith('=1') ? '1' : '2'
  return okFinding(
    'durability',
    'What the daemon takes and what the SDK sends survives a power cut (synchronous=FULL). ' +
      'What others do cannot be seen here: on their connections PRAGMA synchronous must say 2, ' +
      `and better-sqlite3 begins with ${begins}.`,
  )
}

function clock(db: Database.Database, nowMs: number): Finding[] {
  const newest = db
    .prepare<[], { at: number | null }>(
      `SELECT max(at) AS at FROM (
        SELECT (SELECT created_at FROM mqout ORDER BY id DESC LIMIT 1) AS at
        UNION ALL SELECT (SELECT arrived_at FROM mqin ORDER BY id DESC LIMIT 1)
        UNION ALL SELECT value FROM mqmeta WHERE key = 'created_at'
        UNION ALL SELECT (SELECT at FROM mqevent ORDER BY id DESC LIMIT 1))`,
    )
    .get()?.at
  const now = new Date(nowMs).toISOString()
  const fix = 'Set the clock (timedatectl set-ntp true): times and retries go by it.'
  if (newest !== null && newest !== undefined && newest > nowMs + futureMs) {
    const at = timeText(newest)
    return [warnFinding('clock', `It is ${now} here, and a row is of ${at}.`, fix)]
  }
  return [okFinding('clock', `It is ${now}, after everything in the tables.`)]
}

function apart(db: Database.Database, nowMs: number): Finding[] {
  const counts = db
    .prepare<[], { parked: number; code: string | null; dead: number }>(
      `SELECT (SELECT count(*) FROM (SELECT 1 FROM mqparked LIMIT ${countedMax + 1})) AS parked,
        (SELECT code || ': ' || reason FROM mqparked ORDER BY id LIMIT 1) AS code,
        (SELECT count(*) FROM (SELECT 1 FROM mqdead LIMIT ${countedMax + 1})) AS dead`,
    )
    .get()
  const findings: Finding[] = []
  if (counts !== undefined && counts.parked > 0) {
    const sentence = `Parked: ${rowsText(counts.parked)}; the first because ${counts.code}.`
    const fix = 'Fix the cause, then tinymq retry --all; tinymq status names each.'
    findings.push(warnFinding('outbox', sentence, fix))
  }
  if (counts !== undefined && counts.dead > 0) {
    const fix = 'See tinymq dead list, then tinymq dead redrive or DELETE FROM mqdead.'
    findings.push(warnFinding('inbox', `Could not be processed: ${countText(counts.dead)}.`, fix))
  }
  return [...findings, ...hung(db, nowMs)]
}

/** Messages whose lease is renewed again and again. */
function hung(db: Database.Database, nowMs: number): Finding[] {
  const row = db
    .prepare<[number, number], { count: number; owner: string; since: number }>(
      `SELECT count(*) AS count, owner, min(since) AS since FROM mqlease
        WHERE owner IS NOT NULL AND until > ? AND since < ?`,
    )
    .get(nowMs, nowMs - hungMs)
  if (row === undefined || row.count === 0) return []
  const what = `${countText(row.count)} message${row.count === 1 ? '' : 's'}`
  const first = `the first by consumer ${row.owner} since ${timeText(row.since)}`
  const sentence = `In hand for more than an hour: ${what}; ${first}.`
  const fix =
    'If a handler hangs, end its process: another consumer then takes the message. ' +
    "SELECT * FROM mqstuck WHERE why = 'held'; shows each."
  return [warnFinding('inbox', sentence, fix)]
}

const countText = (count: number): string =>
  count > countedMax ? `more than ${countedMax}` : String(count)

/** `1 row`, `2 rows`. */
export const rowsText = (count: number): string =>
  `${countText(count)} row${count === 1 ? '' : 's'}`

function events(db: Database.Database, nowMs: number): Finding[] {
  const rows = db
    .prepare<[number], { code: string; count: number; at: number }>(
      `SELECT code, count(*) AS count, max(at) AS at FROM mqevent WHERE at > ?
        GROUP BY code ORDER BY at DESC LIMIT 10`,
    )
    .all(nowMs - eventDays * 86_400_000)
  return rows.map(({ code, count, at }) => {
    const last = timeText(at)
    const sentence = `${code} ${count === 1 ? 'once' : `${count} times`}, last at ${last}.`
    const fix = `Read it: SELECT * FROM mqevent WHERE code = '${code}';`
    return warnFinding('events', sentence, fix)
  })
}

/** Also those that no daemon has looked at yet. */
function destinations(db: Database.Database): Destination[] {
  return db
    .prepare<[], Destination>(
      `SELECT l.host, l.port, l.key, l.error_code AS errorCode, l.error,
        (SELECT count(*) FROM (
          SELECT 1 FROM mqout AS o WHERE o.host = l.host AND o.port = l.port LIMIT ${countedMax + 1}
        )) AS waiting
      FROM mqlane AS l ORDER BY waiting = 0, l.host, l.port LIMIT ${destinationsMax}`,
    )
    .all()
}
