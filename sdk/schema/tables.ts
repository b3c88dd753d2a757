/**
 * The tables of tinymq, version 1: the only place that says what they look like. The daemon's store
 * and the SDK both create them through `migrate` (migrate.ts). The comments inside are SQL,
 * so that `.schema` in any SQLite shell is the documentation.
 *
 * It must run in every SQLite from 3.37 on, without extensions: so no octet_length, no JSON
 * functions, no unixepoch('subsec') (silently NULL before 3.42), and RAISE takes literals only. It
 * must never use PRAGMA user_version, which is the application's when the file is.
 *
 * In every table of messages `data` is the last column: SQLite reads a row from its beginning, so
 * that nothing but a read of `data` itself walks through the pages of a large message.
 */
import { agoS, inS, isLate, isQuiet, untouchedS } from './sql-time.ts'
import { stuck } from './stuck-view.ts'
import { inFlightSql, keptCode, keptReason, keptSql, outboxTriggers } from './triggers.ts'

/** The version that this code reads and writes; it is stored in `mqmeta`. */
export const schemaVersion = 1

/** What `mqmeta.message_bytes_max` is at first: 64 MiB. */
const messageBytesMaxDefault = 67_108_864

/** Milliseconds since 1970, in SQL. (2440587.5 is the Julian day of 1970-01-01.) */
export const nowMsSql = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"

const meta = `
CREATE TABLE IF NOT EXISTS mqmeta (
  -- Facts about this database as a whole.
  --   schema_version    which tables these are; a program that knows only older ones rejects them
  --   database_id       16 random bytes: the identity of this database
  --   message_bytes_max larger data is rejected at INSERT; you may change it
  --   key_policy        what a token is to the daemon: {} labels, else keys, and which need none
  --   history_expired_id  up to this mqout.id the outcome of a row may have expired (absent: 0)
  --   created_at        ms since 1970
  key TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;
INSERT OR IGNORE INTO mqmeta (key, value) VALUES
  ('database_id', randomblob(16)),
  ('message_bytes_max', ${messageBytesMaxDefault}),
  ('created_at', ${nowMsSql});
`

const outbox = `
CREATE TABLE IF NOT EXISTS mqout (
  -- The outbox. INSERT a row to send it: it appears once, in order, in mqin at host:port, and
  -- leaves this table when it is on disk there. DELETE it to stop trying. UPDATE its host or port
  -- to reroute it, as long as it waits.
  --   INSERT INTO mqout (host, port, token, data) VALUES ('MachineB', 9000, 'token', 'Hello');
  --   SELECT * FROM mqstatus;   -- where each row is, and why it is still there
  id INTEGER PRIMARY KEY AUTOINCREMENT  -- the order of sending; never used twice
    CONSTRAINT "tinymq: id must be from 1 to 9007199254740991; leave it out (TINYMQ_INVALID_ID)"
    CHECK (id BETWEEN 1 AND 9007199254740991),
  host TEXT,                            -- name or address of the machine to send to
  port INTEGER DEFAULT 9000,            -- UDP port of its daemon
  token TEXT DEFAULT '',                -- the name of a shared key, or a label without a key ring
  created_at INTEGER                    -- ms since 1970
    DEFAULT (${nowMsSql}),
  uid BLOB DEFAULT (randomblob(16)),    -- the identity of the row, born with it; leave it alone
  bytes INTEGER                         -- the size of data, known without reading data
    AS (length(CAST(data AS BLOB))) STORED,
  headers TEXT,                         -- JSON that travels with the message, or NULL
  data TEXT                             -- the message: text, or a BLOB which stays a BLOB
);
CREATE INDEX IF NOT EXISTS mqout_lane ON mqout (host, port);
CREATE TABLE IF NOT EXISTS mqrequeue (
  -- Rows of mqout whose id may lie below numbered_id of their lane: inserted with an id by hand,
  -- rerouted, or changed while parked. Triggers fill it, the daemon empties it.
  id INTEGER PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS mqparked (
  -- Rows of mqout that the peer has rejected. The lane goes on without them; they are kept, and
  -- tried again. An UPDATE of the row in mqout takes it out of here, so that it is tried at once.
  id INTEGER PRIMARY KEY, -- mqout.id
  uid BLOB,               -- mqout.uid; when it differs, that row is another one and this is void
  lane INTEGER,           -- mqlane.id
  code TEXT,              -- the error code
  reason TEXT,            -- the same as a sentence
  attempts INTEGER,
  retry_at INTEGER,       -- ms since 1970
  parked_at INTEGER       -- ms since 1970: later than now when the clock was set back since
);
`

const lanes = `
CREATE TABLE IF NOT EXISTS mqlane (
  -- The ordered streams from here to other databases: one for each destination and key.
  id INTEGER PRIMARY KEY,
  host TEXT,
  port INTEGER,
  key TEXT DEFAULT '',           -- name of the key, '' without one
  stream BLOB,                   -- 16 random bytes: the identity of the stream
  peer BLOB,                     -- id of the receiver's database; NULL before the first contact
  confirmed INTEGER DEFAULT 0,   -- up to this sequence number the peer has everything on disk
  numbered INTEGER DEFAULT 0,    -- the highest sequence number given to a row
  chain BLOB,                    -- state of the hash chain over the row identities at confirmed
  numbered_id INTEGER DEFAULT 0, -- up to this mqout.id every row is numbered, parked or requeued
  state TEXT,                    -- what the daemon is doing about it now
  error_code TEXT,               -- why nothing moves, NULL when all is well
  error TEXT,                    -- the same as a sentence
  since INTEGER,                 -- since when, ms since 1970
  retry_at INTEGER,              -- ms since 1970
  rtt_us INTEGER,                -- round-trip time, microseconds
  packets INTEGER DEFAULT 0,     -- packets that were sent for it, acks and handshakes not counted
  lost INTEGER DEFAULT 0,        -- of these, how many did not arrive and were sent again
  resend_before INTEGER DEFAULT 0, -- you chose to send rows created up to here, duplicates or not
  requested TEXT,                -- set it to 'retry' to retry at once, to 'resend' to go on where
                                 -- rows may arrive twice; the daemon sets it back to NULL
  UNIQUE (host, port, key)
);
CREATE TABLE IF NOT EXISTS mqbatch (
  -- Which rows got which sequence numbers: row identities in sequence order. A row is numbered
  -- before its first byte leaves. Runs that are done are kept for a while, so that it can still be
  -- said what became of a row.
  lane INTEGER,     -- mqlane.id; NULL once its stream was given up for a new one
  first INTEGER,    -- sequence number of the first row
  count INTEGER,
  id_first INTEGER, -- lowest mqout.id in it
  id_last INTEGER,  -- highest
  done_at INTEGER,  -- ms since 1970; NULL while a row of it is not confirmed
  ids BLOB,         -- mqout.id, 8 bytes big-endian each, 0 once a row was deleted or parked;
                    -- NULL when they are id_first to id_last without a gap
  uids BLOB,        -- mqout.uid, 16 bytes each; NULL once done
  PRIMARY KEY (lane, first)
);
CREATE INDEX IF NOT EXISTS mqbatch_open ON mqbatch (id_last, id_first) WHERE done_at IS NULL;
CREATE INDEX IF NOT EXISTS mqbatch_ids ON mqbatch (id_last, id_first);
`

/** The columns that a message has in `mqin` and keeps in `mqdead`. */
const messageColumns = `
  host TEXT,          -- where the sender can be answered
  port INTEGER,
  token TEXT,
  sent_at INTEGER,    -- mqout.created_at at the receiver, ms since 1970
  arrived_at INTEGER, -- ms since 1970
  sender INTEGER,     -- mqsender.id
  sender_row INTEGER, -- mqout.id at the receiver`

const inbox = `
CREATE TABLE IF NOT EXISTS mqin (
  -- The inbox: what has arrived. DELETE a row when you are done with it.
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of arrival${messageColumns}
  headers TEXT,       -- JSON from the sender, or NULL
  data TEXT           -- text or BLOB, as it was sent
);
CREATE TABLE IF NOT EXISTS mqlease (
  -- Rows of mqin that a consumer holds or has failed on. It stands apart from mqin, because to
  -- change a row is to write all of it, and a lease on a large message must be cheap.
  id INTEGER PRIMARY KEY,     -- mqin.id
  owner TEXT,                 -- who holds it; NULL when nobody does
  until INTEGER,              -- ms since 1970: the end of the lease, or of the wait
  attempts INTEGER DEFAULT 0,
  error TEXT,                 -- why the last attempt failed
  since INTEGER               -- ms since 1970: when the owner took it
);
CREATE TABLE IF NOT EXISTS mqdead (
  -- Rows of mqin that no consumer could process.
  id INTEGER PRIMARY KEY, -- the id that it had in mqin${messageColumns}
  died_at INTEGER,    -- ms since 1970
  error TEXT,         -- why
  headers TEXT,
  data TEXT
);
`

const senders = `
CREATE TABLE IF NOT EXISTS mqsender (
  -- The ordered streams from other databases to here.
  id INTEGER PRIMARY KEY,
  database_id BLOB,            -- identity of the sender's database, 16 bytes
  stream BLOB,                 -- identity of the stream, 16 bytes
  key TEXT DEFAULT '',         -- name of the key, '' without one
  watermark INTEGER DEFAULT 0, -- everything up to this sequence number is in mqin, or was
  chain BLOB,                  -- state of the hash chain over the row identities at watermark
  history_expired_at INTEGER   -- the newest sent_at of a row that mquidlog has dropped; 0 for none
    DEFAULT 0,
  indexed INTEGER DEFAULT 0,   -- mquidindex has its row identities up to this sequence number
  host TEXT,                   -- where it can be answered
  port INTEGER,
  seen_at INTEGER,             -- ms since 1970
  UNIQUE (key, stream)
);
CREATE INDEX IF NOT EXISTS mqsender_database_id ON mqsender (database_id);
CREATE TABLE IF NOT EXISTS mqfragment (
  -- Parts of a large message that is still arriving.
  sender INTEGER, -- mqsender.id
  part INTEGER,   -- counts from 0
  length INTEGER, -- of the whole body
  bytes BLOB,
  PRIMARY KEY (sender, part)
);
CREATE TABLE IF NOT EXISTS mquidlog (
  -- Identities of delivered rows: how a sender that was restored or copied is recognised.
  sender INTEGER, -- mqsender.id
  first INTEGER,  -- sequence number of the first
  count INTEGER,
  at INTEGER,     -- ms since 1970
  newest INTEGER, -- the newest sent_at among them, 0 for none
  uids BLOB,      -- 16 bytes each, in sequence order; zeros where nothing was delivered
  PRIMARY KEY (sender, first)
);
CREATE TABLE IF NOT EXISTS mquidindex (
  -- The same by identity, filled only for a sender that was restored or copied.
  database_id BLOB, -- its mqsender.database_id; under a key the hash of that and the key's name
  uid BLOB,
  PRIMARY KEY (database_id, uid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqevent (
  -- What the operator must know, 1,000 at most: PEER_ROLLED_BACK, SELF_FORKED and the like.
  id INTEGER PRIMARY KEY,
  at INTEGER,  -- ms since 1970
  code TEXT,
  host TEXT,
  port INTEGER,
  detail TEXT
);
`

/** All tables. A database with some of them but without our `mqmeta` belongs to somebody else. */
export const tableNames: readonly string[] = [
  'mqmeta',
  'mqout',
  'mqrequeue',
  'mqparked',
  'mqlane',
  'mqbatch',
  'mqin',
  'mqlease',
  'mqdead',
  'mqsender',
  'mqfragment',
  'mquidlog',
  'mquidindex',
  'mqevent',
]

/** All views. */
export const viewNames: readonly string[] = ['mqstatus', 'mqpeers', 'mqstuck']

// The views for people: `mqstatus` (where is my message, and why is it still there?) and `mqpeers`
// (how is it going with each machine?); `mqstuck` has a file of its own. Each column of `mqstatus`
// is a look-up by key, so that a single row is found at once among millions, and none reads `data`.

const text = (at: string): string => `strftime('%Y-%m-%d %H:%M:%S', ${at} / 1000, 'unixepoch')`

const withCode = (sentence: string, code: string): string =>
  `coalesce(${sentence} || ' (' || ${code} || ')', ${sentence}, ${code})`

const status = `
CREATE VIEW IF NOT EXISTS mqstatus AS
-- One row for each row of mqout: where it is, and why it is still there.
SELECT
  o.id, o.host, o.port, o.token, o.bytes,
  ${agoS('o.created_at')} AS age_s,
  CASE
    WHEN p.id IS NOT NULL THEN 'parked'
    WHEN ${inFlightSql('o')} THEN CASE WHEN ${keptSql('o')} THEN 'delivered' ELSE 'in flight' END
    WHEN l.error_code = 'TINYMQ_NO_KEY' THEN 'parked' -- all of its lane: there is no such key
    ELSE 'waiting'
  END AS state,
  CASE
    WHEN p.id IS NOT NULL THEN ${withCode('p.reason', 'p.code')}
    WHEN ${inFlightSql('o')} AND ${keptSql('o')} THEN '${keptReason} (${keptCode})'
    WHEN l.id IS NULL THEN 'no daemon has looked at it yet; is one running on this database?'
    WHEN coalesce(l.error, l.error_code) IS NOT NULL
      THEN ${withCode('l.error', 'l.error_code')} || CASE
        WHEN ${isLate('l')}
        THEN '; nobody has tried again since: does the daemon run? tinymq check says so'
        ELSE '' END
    WHEN ${agoS('o.created_at')} > ${untouchedS} AND ${isQuiet('l')}
      THEN 'nothing of its lane was completed for a minute, and no fault is reported: does the'
        || ' daemon run? tinymq check says so'
    WHEN ${inFlightSql('o')} THEN 'on its way; the peer has not confirmed it yet'
    ELSE 'waits for its turn'
  END AS reason,
  ${inS('CASE WHEN p.id IS NOT NULL THEN p.retry_at ELSE l.retry_at END')} AS retry_in_s
FROM mqout AS o
LEFT JOIN mqparked AS p ON p.id = o.id AND p.uid = o.uid
LEFT JOIN mqlane AS l ON l.id = coalesce(
  -- The lane of the key that the token names, else the lane without a key.
  (SELECT id FROM mqlane WHERE host = o.host AND port = o.port AND state IS NOT 'unused'
    AND key = CASE o.token WHEN '' THEN '(no token)' ELSE o.token END),
  (SELECT id FROM mqlane WHERE host = o.host AND port = o.port AND key = ''
    AND state IS NOT 'unused')
);
`

const lastEvent = (column: string, peer: string): string =>
  `(SELECT ${column} FROM mqevent AS e WHERE e.host = ${peer}.host` +
  ` AND coalesce(e.port, ${peer}.port) = ${peer}.port ORDER BY e.id DESC LIMIT 1)`

const peers = `
CREATE VIEW IF NOT EXISTS mqpeers AS
-- One row for each stream of messages: direction out to a host, or in from a sender. Times are UTC.
SELECT
  'out' AS direction, l.host, l.port, l.key, l.state, l.error_code, l.error,
  ${text('l.since')} AS since,
  ${inS('l.retry_at')} AS retry_in_s,
  -- Rows in mqout for the host and port under any key, in flight and parked ones included.
  (SELECT count(*) FROM mqout AS o WHERE o.host = l.host AND o.port = l.port) AS waiting,
  l.confirmed AS watermark, -- the messages so far, skipped ones included
  l.rtt_us / 1000.0 AS rtt_ms,
  l.packets, l.lost, -- sent so far; of these, lost and sent again
  ${lastEvent('code', 'l')} AS event,
  ${text(lastEvent('at', 'l'))} AS event_at
FROM mqlane AS l
UNION ALL
SELECT
  'in', s.host, s.port, s.key, NULL, NULL, NULL,
  ${text('s.seen_at')},
  NULL,
  NULL,
  s.watermark,
  NULL,
  NULL, NULL,
  ${lastEvent('code', 's')},
  ${text(lastEvent('at', 's'))}
FROM mqsender AS s;
`

/** The views. */
export const views: string = status + peers + stuck

/** Everything that `schemaSql` makes: tables, indexes, triggers and views. */
export const objectNames = (): readonly string[] =>
  Array.from(schemaSql.matchAll(/^CREATE [A-Z ]+ IF NOT EXISTS (\w+)/gm), ([, name = '']) => name)

/** Creates what is missing of this version and leaves alone what is there. */
export const schemaSql: string = meta + outbox + lanes + inbox + senders + outboxTriggers + views
