/**
 * What guards `mqout`: rows that can never be sent are rejected at INSERT with a sentence and a
 * code, rows in flight cannot be changed, and rows that the daemon's numbering would overlook are
 * marked. All of it is plain SQL: it must hold for every program that can write to a SQLite file.
 */

/** The longest `headers` in bytes. They travel in one piece with the beginning of the message. */
export const headersBytesMax = 65_536

/** The longest `host` and `token` in bytes. A DNS name has at most 253. */
const labelBytesMax = 255

type Check = { readonly code: string; readonly sentence: string; readonly bad: string }

// White space and control characters beyond ASCII too: they come by copying and cannot be seen.
const invisible = [
  [0x1, 0x20],
  [0x7f, 0xa0],
  [0x2000, 0x200f],
  [0x2028, 0x202f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
  // What most text that is not UTF-8 reads as.
  [0xfffd, 0xfffd],
] as const
const ranges = invisible.map(([from, to]) => `${from}, 45, ${to}`).join(', ')
const invisibleGlob = `'*[' || char(${ranges}) || ']*'`

/**
 * The checks of one row of `mqout`, first match first.
 * @param row the prefix of the columns: `NEW` in a trigger, elsewhere the alias of a table.
 */
export function outboxChecks(row: string): readonly Check[] {
  const size = (column: string): string => `length(CAST(${row}.${column} AS BLOB))`
  return [
    {
      code: 'TINYMQ_INVALID_HOST',
      sentence:
        'host must name the machine to send to,' +
        ' in 1 to 255 bytes of UTF-8 text without spaces or control characters',
      // Ordinary names pay for the first, short GLOB only. GLOB stops at a NUL, hence instr.
      bad:
        `typeof(${row}.host) <> 'text' OR ${size('host')} NOT BETWEEN 1 AND ${labelBytesMax}` +
        ` OR instr(CAST(${row}.host AS BLOB), x'00')` +
        ` OR (${row}.host GLOB '*[^!-~]*' AND ${row}.host GLOB ${invisibleGlob})`,
    },
    {
      code: 'TINYMQ_INVALID_HOST',
      sentence:
        'host is a name or an address alone: no URL, no brackets, and the port in its own column',
      // An IPv6 address has two colons at least.
      bad:
        `${row}.host GLOB '*[/:[]*'` +
        ` AND (${row}.host NOT GLOB '*:*:*' OR ${row}.host GLOB '*[/[]*')`,
    },
    {
      code: 'TINYMQ_INVALID_PORT',
      sentence: 'port must be a whole number from 1 to 65535; leave the column out for 9000',
      bad: `typeof(${row}.port) <> 'integer' OR ${row}.port NOT BETWEEN 1 AND 65535`,
    },
    {
      code: 'TINYMQ_NO_DATA',
      sentence: 'data is NULL, so there is nothing to send; an empty message is the empty string',
      bad: `${row}.data IS NULL`,
    },
    {
      code: 'TINYMQ_TOO_LARGE',
      sentence:
        'data is larger than message_bytes_max in mqmeta;' +
        ' send it in pieces, or raise the limit here and at the receiver',
      bad:
        `${size('data')} >` +
        ` (SELECT CAST(value AS INTEGER) FROM mqmeta WHERE key = 'message_bytes_max')`,
    },
    {
      code: 'TINYMQ_INVALID_TOKEN',
      sentence: 'token must be UTF-8 text of at most 255 bytes; leave the column out for none',
      bad:
        `typeof(${row}.token) <> 'text' OR ${size('token')} > ${labelBytesMax}` +
        ` OR (${row}.token GLOB '*[^ -~]*' AND ${row}.token GLOB '*[' || char(65533) || ']*')`,
    },
    {
      code: 'TINYMQ_INVALID_HEADERS',
      sentence: 'headers must be JSON text or NULL',
      bad: `typeof(${row}.headers) NOT IN ('null', 'text')`,
    },
    {
      code: 'TINYMQ_TOO_LARGE',
      sentence: 'headers are larger than 65536 bytes; put what is large into data',
      bad: `${row}.headers IS NOT NULL AND ${size('headers')} > ${headersBytesMax}`,
    },
    {
      code: 'TINYMQ_INVALID_UID',
      sentence:
        'uid must be a BLOB of 16 random bytes; leave the column out and it is made for you',
      bad: `typeof(${row}.uid) <> 'blob' OR length(${row}.uid) <> 16`,
    },
  ]
}

/** An SQL condition: the row is numbered, so it may already be at the peer. */
export const inFlightSql = (row: string): string =>
  'EXISTS (SELECT 1 FROM mqbatch WHERE done_at IS NULL' +
  ` AND id_last >= ${row}.id AND id_first <= ${row}.id AND instr(uids, ${row}.uid))`

/**
 * An SQL condition for a row that is numbered: the peer has confirmed it, and SQLite did not let
 * the daemon delete it, for a foreign key or a trigger.
 */
export const keptSql = (row: string): string =>
  'EXISTS (SELECT 1 FROM mqbatch AS r CROSS JOIN mqlane AS k ON k.id = r.lane' +
  ` WHERE r.done_at IS NULL AND r.id_last >= ${row}.id AND r.id_first <= ${row}.id` +
  ` AND r.first + r.count - 1 <= k.confirmed AND instr(r.uids, ${row}.uid))`

/** What such a row is reported under. */
export const keptCode = 'OUTBOX_FAILED'
export const keptReason =
  'the peer has it, and a foreign key or a trigger on mqout does not let the daemon delete it'

const inFlight: Check = {
  code: 'TINYMQ_IN_FLIGHT',
  sentence:
    'this row is in flight and may already be at the peer, so it cannot be changed;' +
    ' if a double is acceptable, delete it and insert it again',
  bad: inFlightSql('OLD'),
}

/** Rows that came while the triggers were gone, and that can never be sent, are tried so late. */
const invalidRetryMs = 3_600_000

/**
 * A statement that parks the rows of `mqout` that the triggers would have rejected; the one with
 * the id that is bound, or all of them.
 */
export function parkInvalidSql(which: 'one' | 'all', nowMs: string): string {
  const checks = outboxChecks('o')
  const choose = (text: (check: Check) => string): string =>
    `CASE ${checks.map((check) => `WHEN ${check.bad} THEN '${text(check)}'`).join('\n    ')} END`
  return `
  INSERT INTO mqparked (id, uid, lane, code, reason, attempts, retry_at, parked_at)
  SELECT o.id, o.uid, NULL, ${choose(({ code }) => code)},
    ${choose(({ sentence }) => sentence)},
    1, ${nowMs} + ${invalidRetryMs}, ${nowMs}
  FROM mqout AS o
  WHERE ${which === 'one' ? 'o.id = ?' : 'NOT EXISTS (SELECT 1 FROM mqparked WHERE id = o.id)'}
    AND (${checks.map(({ bad }) => bad).join('\n    OR ')})
  ON CONFLICT (id) DO UPDATE SET uid = excluded.uid, lane = NULL, code = excluded.code,
    reason = excluded.reason, retry_at = excluded.retry_at, parked_at = excluded.parked_at`
}

const refuse = (checks: readonly Check[]): string =>
  `SELECT CASE${checks
    .map(
      ({ code, sentence, bad }) => `
    WHEN ${bad}
    THEN RAISE(ABORT, 'tinymq: ${sentence} (${code})')`,
    )
    .join('')}
  END;`

// Numbering goes through a lane by id, from numbered_id on. What lands behind that must be marked.
// sqlite_sequence would tell it at the same price, but people empty it to start again at 1.
const behindNumbering =
  'EXISTS (SELECT 1 FROM mqlane' +
  ' WHERE host = NEW.host AND port = NEW.port AND numbered_id >= NEW.id)'

// Not INSERT OR IGNORE: the conflict clause of the statement that fires a trigger takes the place
// of those inside it, and an UPSERT means OR ABORT.
const isNotLate = (id: string): string => `NOT EXISTS (SELECT 1 FROM mqrequeue WHERE id = ${id})`

/** Those that check rows: without one, `mqout` may have rows that can never be sent. */
export const outboxCheckNames: readonly string[] = ['mqout_check', 'mqout_change']

/** The triggers of `mqout`. */
export const outboxTriggers = `
CREATE TRIGGER IF NOT EXISTS mqout_check BEFORE INSERT ON mqout
-- Rejects what could never be sent.
BEGIN
  ${refuse(outboxChecks('NEW'))}
END;
CREATE TRIGGER IF NOT EXISTS mqout_requeue AFTER INSERT ON mqout
-- A row that was given a low id by hand would be overlooked: the daemon goes on from numbered_id.
WHEN ${behindNumbering}
BEGIN
  INSERT INTO mqrequeue (id) SELECT NEW.id WHERE ${isNotLate('NEW.id')};
END;
CREATE TRIGGER IF NOT EXISTS mqout_change BEFORE UPDATE ON mqout
-- Rejects to change a row in flight, and what could never be sent.
BEGIN
  ${refuse([inFlight, ...outboxChecks('NEW')])}
END;
CREATE TRIGGER IF NOT EXISTS mqout_changed AFTER UPDATE ON mqout
-- A changed row is tried at once: no longer parked, and marked if it may be overlooked in its lane.
BEGIN
  DELETE FROM mqparked WHERE id = OLD.id;
  INSERT INTO mqrequeue (id) SELECT NEW.id
  WHERE ${isNotLate('NEW.id')}
    AND (NEW.host <> OLD.host OR NEW.port <> OLD.port OR ${behindNumbering});
END;
CREATE TRIGGER IF NOT EXISTS mqparked_freed AFTER DELETE ON mqparked
-- What is no longer parked is tried again, whoever says so.
BEGIN
  INSERT INTO mqrequeue (id) SELECT id FROM mqout
  WHERE id = OLD.id AND uid = OLD.uid AND ${isNotLate('OLD.id')};
END;
`
