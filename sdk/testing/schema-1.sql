
CREATE TABLE IF NOT EXISTS mqmeta (
  -- Facts about this database as a whole.
  --   schema_version    which tables these are; a program that knows only older ones refuses them
  --   origin            16 random bytes: the identity of this database
  --   incarnation       counts the lives of this database between restores
  --   message_bytes_max larger data is refused at INSERT; you may change it
  --   forgotten_id      up to this mqout.id it may be forgotten what became of a row (absent: 0)
  --   created_at        ms since 1970
  key TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;
INSERT OR IGNORE INTO mqmeta (key, value) VALUES
  ('origin', randomblob(16)),
  ('incarnation', 1),
  ('message_bytes_max', 67108864),
  ('created_at', CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER));

CREATE TABLE IF NOT EXISTS mqout (
  -- The outbox. INSERT a row to send it: it appears once, in order, in mqin at host:port, and
  -- leaves this table when it is on disk there. DELETE it to stop trying. UPDATE its host or port
  -- to reroute it, as long as it waits.
  --   INSERT INTO mqout (host, port, token, data) VALUES ('MachineB', 9000, 'token', 'Hello');
  --   SELECT * FROM mqstatus;   -- where each row is, and why it is still there
  id INTEGER PRIMARY KEY AUTOINCREMENT  -- the order of sending; never used twice
    CONSTRAINT "tinymq: id must be from 1 to 9007199254740991; leave it out (TINYMQ_BAD_ID)"
    CHECK (id BETWEEN 1 AND 9007199254740991),
  host TEXT,                            -- name or address of the machine to send to
  port INTEGER DEFAULT 9000,            -- UDP port of its daemon
  token TEXT DEFAULT '',                -- the name of a shared key, or a label without a key ring
  created_at INTEGER                    -- ms since 1970
    DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
  uid BLOB DEFAULT (randomblob(16)),    -- the identity of the row, born with it; leave it alone
  bytes INTEGER                         -- the size of data, told without reading data
    AS (length(CAST(data AS BLOB))) STORED,
  headers TEXT,                         -- JSON that travels with the message, or NULL
  data TEXT                             -- the message: text, or a BLOB which stays a BLOB
);
CREATE INDEX IF NOT EXISTS mqout_lane ON mqout (host, port);
CREATE TABLE IF NOT EXISTS mqlate (
  -- Rows of mqout whose id may lie below numbered_id of their lane: inserted with an id by hand,
  -- rerouted, or changed while parked. Triggers fill it, the daemon empties it.
  id INTEGER PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS mqparked (
  -- Rows of mqout that the peer has refused. They are set aside so that the lane goes on, kept, and
  -- tried again. An UPDATE of the row in mqout takes it out of here, so that it is tried at once.
  id INTEGER PRIMARY KEY, -- mqout.id
  uid BLOB,               -- mqout.uid; when it differs, that row is another one and this is void
  lane INTEGER,           -- mqlane.id
  code TEXT,              -- the error code
  reason TEXT,            -- the same as a sentence
  attempts INTEGER,
  retry_at INTEGER        -- ms since 1970
);

CREATE TABLE IF NOT EXISTS mqlane (
  -- The ordered streams from here to other databases: one for each destination and key.
  id INTEGER PRIMARY KEY,
  host TEXT,
  port INTEGER,
  key TEXT DEFAULT '',           -- name of the key, '' without one
  stream BLOB,                   -- 16 random bytes: the identity of the stream
  peer BLOB,                     -- origin of the receiver's database; NULL before the first contact
  confirmed INTEGER DEFAULT 0,   -- up to this sequence number the peer has everything on disk
  numbered INTEGER DEFAULT 0,    -- the highest sequence number given to a row
  chain BLOB,                    -- state of the hash chain over the row identities at confirmed
  numbered_id INTEGER DEFAULT 0, -- up to this mqout.id every row is numbered, parked or in mqlate
  state TEXT,                    -- what the daemon is doing about it now
  error_code TEXT,               -- why nothing moves, NULL when all is well
  error TEXT,                    -- the same as a sentence
  since INTEGER,                 -- since when, ms since 1970
  retry_at INTEGER,              -- ms since 1970
  rtt_us INTEGER,                -- round-trip time, microseconds
  released_at INTEGER DEFAULT 0, -- rows created up to here go although they may double: your choice
  wish TEXT,                     -- what you want: 'retry' tries at once; 'resend' goes on where the
                                 -- lane holds because rows may double. The daemon sets it to NULL
  UNIQUE (host, port, key)
);
CREATE TABLE IF NOT EXISTS mqrun (
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
CREATE INDEX IF NOT EXISTS mqrun_open ON mqrun (id_last, id_first) WHERE done_at IS NULL;
CREATE INDEX IF NOT EXISTS mqrun_ids ON mqrun (id_last, id_first);

CREATE TABLE IF NOT EXISTS mqin (
  -- The inbox: what has arrived. DELETE a row when you are done with it.
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of arrival
  host TEXT,          -- where the sender can be answered
  port INTEGER,
  token TEXT,
  sent_at INTEGER,    -- mqout.created_at over there, ms since 1970
  arrived_at INTEGER, -- ms since 1970
  sender INTEGER,     -- mqsender.id
  sender_row INTEGER, -- mqout.id over there
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
  error TEXT                  -- why the last attempt failed
);
CREATE TABLE IF NOT EXISTS mqdead (
  -- Rows of mqin that no consumer could process.
  id INTEGER PRIMARY KEY, -- the id that it had in mqin
  host TEXT,          -- where the sender can be answered
  port INTEGER,
  token TEXT,
  sent_at INTEGER,    -- mqout.created_at over there, ms since 1970
  arrived_at INTEGER, -- ms since 1970
  sender INTEGER,     -- mqsender.id
  sender_row INTEGER, -- mqout.id over there
  died_at INTEGER,    -- ms since 1970
  error TEXT,         -- why
  headers TEXT,
  data TEXT
);

CREATE TABLE IF NOT EXISTS mqsender (
  -- The ordered streams from other databases to here.
  id INTEGER PRIMARY KEY,
  origin BLOB,                 -- identity of the sender's database, 16 bytes
  stream BLOB,                 -- identity of the stream, 16 bytes
  key TEXT DEFAULT '',         -- name of the key, '' without one
  watermark INTEGER DEFAULT 0, -- everything up to this sequence number is in mqin, or was
  chain BLOB,                  -- state of the hash chain over the row identities at watermark
  forgotten_at INTEGER         -- the newest sent_at of a row that mqlog has dropped; 0 for none
    DEFAULT 0,
  seen INTEGER DEFAULT 0,      -- mqseen has its row identities up to this sequence number
  host TEXT,                   -- where it can be answered
  port INTEGER,
  seen_at INTEGER,             -- ms since 1970
  UNIQUE (key, stream)
);
CREATE INDEX IF NOT EXISTS mqsender_origin ON mqsender (origin);
CREATE TABLE IF NOT EXISTS mqpart (
  -- Parts of a large message that is still arriving.
  sender INTEGER, -- mqsender.id
  part INTEGER,   -- counts from 0
  length INTEGER, -- of the whole body
  bytes BLOB,
  PRIMARY KEY (sender, part)
);
CREATE TABLE IF NOT EXISTS mqlog (
  -- Identities of delivered rows: how a sender that was restored or copied is recognised.
  sender INTEGER, -- mqsender.id
  first INTEGER,  -- sequence number of the first
  count INTEGER,
  at INTEGER,     -- ms since 1970
  newest INTEGER, -- the newest sent_at among them, 0 for none
  uids BLOB,      -- 16 bytes each, in sequence order; zeros where nothing was delivered
  PRIMARY KEY (sender, first)
);
CREATE TABLE IF NOT EXISTS mqseen (
  -- The same by identity, filled only for a sender that was restored or copied.
  origin BLOB,
  uid BLOB,
  PRIMARY KEY (origin, uid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqevent (
  -- What the operator must know, the newest 1,000: PEER_ROLLED_BACK, SELF_FORKED and the like.
  id INTEGER PRIMARY KEY,
  at INTEGER,  -- ms since 1970
  code TEXT,
  host TEXT,
  port INTEGER,
  detail TEXT
);

CREATE TRIGGER IF NOT EXISTS mqout_check BEFORE INSERT ON mqout
-- Refuses what could never be sent.
BEGIN
  SELECT CASE
    WHEN typeof(NEW.host) <> 'text' OR length(CAST(NEW.host AS BLOB)) NOT BETWEEN 1 AND 255 OR instr(CAST(NEW.host AS BLOB), x'00') OR (NEW.host GLOB '*[^!-~]*' AND NEW.host GLOB '*[' || char(1, 45, 32, 127, 45, 160, 8192, 45, 8207, 8232, 45, 8239, 12288, 45, 12288, 65279, 45, 65279) || ']*')
    THEN RAISE(ABORT, 'tinymq: host must name the machine to send to, in 1 to 255 bytes of text without spaces or control characters (TINYMQ_BAD_HOST)')
    WHEN typeof(NEW.port) <> 'integer' OR NEW.port NOT BETWEEN 1 AND 65535
    THEN RAISE(ABORT, 'tinymq: port must be a whole number from 1 to 65535; leave the column out for 9000 (TINYMQ_BAD_PORT)')
    WHEN NEW.data IS NULL
    THEN RAISE(ABORT, 'tinymq: data is NULL, so there is nothing to send; an empty message is the empty string (TINYMQ_NO_DATA)')
    WHEN length(CAST(NEW.data AS BLOB)) > (SELECT CAST(value AS INTEGER) FROM mqmeta WHERE key = 'message_bytes_max')
    THEN RAISE(ABORT, 'tinymq: data is larger than message_bytes_max in mqmeta; send it in pieces, or raise the limit here and at the receiver (TINYMQ_TOO_LARGE)')
    WHEN typeof(NEW.token) <> 'text' OR length(CAST(NEW.token AS BLOB)) > 255
    THEN RAISE(ABORT, 'tinymq: token must be text of at most 255 bytes; leave the column out for none (TINYMQ_BAD_TOKEN)')
    WHEN typeof(NEW.headers) NOT IN ('null', 'text')
    THEN RAISE(ABORT, 'tinymq: headers must be JSON text or NULL (TINYMQ_BAD_HEADERS)')
    WHEN NEW.headers IS NOT NULL AND length(CAST(NEW.headers AS BLOB)) > 65536
    THEN RAISE(ABORT, 'tinymq: headers are larger than 65536 bytes; put what is large into data (TINYMQ_TOO_LARGE)')
    WHEN typeof(NEW.uid) <> 'blob' OR length(NEW.uid) <> 16
    THEN RAISE(ABORT, 'tinymq: uid must be a BLOB of 16 random bytes; leave the column out and it is made for you (TINYMQ_BAD_UID)')
  END;
END;
CREATE TRIGGER IF NOT EXISTS mqout_late AFTER INSERT ON mqout
-- A row that was given a low id by hand would be overlooked: the daemon goes on from numbered_id.
WHEN EXISTS (SELECT 1 FROM mqlane WHERE host = NEW.host AND port = NEW.port AND numbered_id >= NEW.id)
BEGIN
  INSERT OR IGNORE INTO mqlate (id) VALUES (NEW.id);
END;
CREATE TRIGGER IF NOT EXISTS mqout_change BEFORE UPDATE ON mqout
-- Refuses to change a row in flight, and what could never be sent.
BEGIN
  SELECT CASE
    WHEN EXISTS (SELECT 1 FROM mqrun WHERE done_at IS NULL AND id_last >= OLD.id AND id_first <= OLD.id AND instr(uids, OLD.uid))
    THEN RAISE(ABORT, 'tinymq: this row is in flight and may already be at the peer, so it cannot be changed; if a double is acceptable, delete it and insert it anew (TINYMQ_IN_FLIGHT)')
    WHEN typeof(NEW.host) <> 'text' OR length(CAST(NEW.host AS BLOB)) NOT BETWEEN 1 AND 255 OR instr(CAST(NEW.host AS BLOB), x'00') OR (NEW.host GLOB '*[^!-~]*' AND NEW.host GLOB '*[' || char(1, 45, 32, 127, 45, 160, 8192, 45, 8207, 8232, 45, 8239, 12288, 45, 12288, 65279, 45, 65279) || ']*')
    THEN RAISE(ABORT, 'tinymq: host must name the machine to send to, in 1 to 255 bytes of text without spaces or control characters (TINYMQ_BAD_HOST)')
    WHEN typeof(NEW.port) <> 'integer' OR NEW.port NOT BETWEEN 1 AND 65535
    THEN RAISE(ABORT, 'tinymq: port must be a whole number from 1 to 65535; leave the column out for 9000 (TINYMQ_BAD_PORT)')
    WHEN NEW.data IS NULL
    THEN RAISE(ABORT, 'tinymq: data is NULL, so there is nothing to send; an empty message is the empty string (TINYMQ_NO_DATA)')
    WHEN length(CAST(NEW.data AS BLOB)) > (SELECT CAST(value AS INTEGER) FROM mqmeta WHERE key = 'message_bytes_max')
    THEN RAISE(ABORT, 'tinymq: data is larger than message_bytes_max in mqmeta; send it in pieces, or raise the limit here and at the receiver (TINYMQ_TOO_LARGE)')
    WHEN typeof(NEW.token) <> 'text' OR length(CAST(NEW.token AS BLOB)) > 255
    THEN RAISE(ABORT, 'tinymq: token must be text of at most 255 bytes; leave the column out for none (TINYMQ_BAD_TOKEN)')
    WHEN typeof(NEW.headers) NOT IN ('null', 'text')
    THEN RAISE(ABORT, 'tinymq: headers must be JSON text or NULL (TINYMQ_BAD_HEADERS)')
    WHEN NEW.headers IS NOT NULL AND length(CAST(NEW.headers AS BLOB)) > 65536
    THEN RAISE(ABORT, 'tinymq: headers are larger than 65536 bytes; put what is large into data (TINYMQ_TOO_LARGE)')
    WHEN typeof(NEW.uid) <> 'blob' OR length(NEW.uid) <> 16
    THEN RAISE(ABORT, 'tinymq: uid must be a BLOB of 16 random bytes; leave the column out and it is made for you (TINYMQ_BAD_UID)')
  END;
END;
CREATE TRIGGER IF NOT EXISTS mqout_changed AFTER UPDATE ON mqout
-- A changed row is tried at once: no longer parked, and marked if it may be overlooked in its lane.
BEGIN
  DELETE FROM mqparked WHERE id = OLD.id;
  INSERT OR IGNORE INTO mqlate (id) SELECT NEW.id
  WHERE NEW.host <> OLD.host OR NEW.port <> OLD.port OR EXISTS (SELECT 1 FROM mqlane WHERE host = NEW.host AND port = NEW.port AND numbered_id >= NEW.id);
END;
CREATE TRIGGER IF NOT EXISTS mqparked_freed AFTER DELETE ON mqparked
-- What is no longer parked is tried again, whoever says so.
BEGIN
  INSERT OR IGNORE INTO mqlate (id) SELECT id FROM mqout WHERE id = OLD.id AND uid = OLD.uid;
END;

CREATE VIEW IF NOT EXISTS mqstatus AS
-- One row for each row of mqout: where it is, and why it is still there.
SELECT
  o.id, o.host, o.port, o.token, o.bytes,
  max(0, round((julianday('now') - 2440587.5) * 86400 - o.created_at / 1000.0, 1)) AS age_s,
  CASE
    WHEN p.id IS NOT NULL THEN 'parked'
    WHEN EXISTS (SELECT 1 FROM mqrun WHERE done_at IS NULL AND id_last >= o.id AND id_first <= o.id AND instr(uids, o.uid)) THEN 'in flight'
    ELSE 'waiting'
  END AS state,
  CASE
    WHEN p.id IS NOT NULL THEN coalesce(p.reason || ' (' || p.code || ')', p.reason, p.code)
    WHEN l.id IS NULL THEN 'no daemon has looked at it yet; is one running on this database?'
    WHEN coalesce(l.error, l.error_code) IS NOT NULL THEN coalesce(l.error || ' (' || l.error_code || ')', l.error, l.error_code)
    WHEN EXISTS (SELECT 1 FROM mqrun WHERE done_at IS NULL AND id_last >= o.id AND id_first <= o.id AND instr(uids, o.uid)) THEN 'on its way; the peer has not confirmed it yet'
    ELSE 'waits for its turn'
  END AS reason,
  max(0, round(CASE WHEN p.id IS NOT NULL THEN p.retry_at ELSE l.retry_at END / 1000.0 - (julianday('now') - 2440587.5) * 86400, 1)) AS retry_in_s
FROM mqout AS o
LEFT JOIN mqparked AS p ON p.id = o.id AND p.uid = o.uid
LEFT JOIN mqlane AS l ON l.id = coalesce(
  -- The lane of the key that the token names, else the lane without a key.
  (SELECT id FROM mqlane WHERE host = o.host AND port = o.port AND key = o.token),
  (SELECT id FROM mqlane WHERE host = o.host AND port = o.port AND key = '')
);

CREATE VIEW IF NOT EXISTS mqpeers AS
-- One row for each stream of messages: direction out to a host, or in from a sender. Times are UTC.
SELECT
  'out' AS direction, l.host, l.port, l.key, l.state, l.error_code, l.error,
  strftime('%Y-%m-%d %H:%M:%S', l.since / 1000, 'unixepoch') AS since,
  max(0, round(l.retry_at / 1000.0 - (julianday('now') - 2440587.5) * 86400, 1)) AS retry_in_s,
  -- Rows in mqout for the host and port under any key, in flight and parked ones included.
  (SELECT count(*) FROM mqout AS o WHERE o.host = l.host AND o.port = l.port) AS waiting,
  l.confirmed AS watermark, -- the messages so far, skipped ones included
  l.rtt_us / 1000.0 AS rtt_ms,
  (SELECT code FROM mqevent AS e WHERE e.host = l.host AND coalesce(e.port, l.port) = l.port ORDER BY e.id DESC LIMIT 1) AS event,
  strftime('%Y-%m-%d %H:%M:%S', (SELECT at FROM mqevent AS e WHERE e.host = l.host AND coalesce(e.port, l.port) = l.port ORDER BY e.id DESC LIMIT 1) / 1000, 'unixepoch') AS event_at
FROM mqlane AS l
UNION ALL
SELECT
  'in', s.host, s.port, s.key, NULL, NULL, NULL,
  strftime('%Y-%m-%d %H:%M:%S', s.seen_at / 1000, 'unixepoch'),
  NULL,
  NULL,
  s.watermark,
  NULL,
  (SELECT code FROM mqevent AS e WHERE e.host = s.host AND coalesce(e.port, s.port) = s.port ORDER BY e.id DESC LIMIT 1),
  strftime('%Y-%m-%d %H:%M:%S', (SELECT at FROM mqevent AS e WHERE e.host = s.host AND coalesce(e.port, s.port) = s.port ORDER BY e.id DESC LIMIT 1) / 1000, 'unixepoch')
FROM mqsender AS s;

