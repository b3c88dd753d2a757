import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scratchDatabase, scratchPath, shell } from '../../test/support/scratch.ts'
import { open } from '../open.ts'
import { withoutSqlite } from '../../test/support/sqlite-program.ts'

const nowMs = (): number => Date.now()

test('mqstatus says where each row is and why it is still there', (t) => {
  const db = scratchDatabase(t)
  db.exec(`
    INSERT INTO mqout (host, token, data) VALUES
      ('new', 't', 'four'), ('dead', 't', ''), ('fine', 't', ''), ('fine', 't', ''),
      ('fine', 't', ''), ('keyed', 'secret', ''), ('keyed', 'label', '');
    INSERT INTO mqlane (id, host, port, key, error_code, error) VALUES
      (1, 'dead', 9000, '', 'UNREACHABLE', 'no answer from 192.0.2.1:9000'),
      (2, 'fine', 9000, '', NULL, NULL),
      (3, 'keyed', 9000, 'secret', 'BAD_KEY', NULL),
      (4, 'keyed', 9000, '', NULL, NULL);
    INSERT INTO mqbatch (lane, first, count, id_first, id_last, uids)
      SELECT 2, 1, 1, id, id, uid FROM mqout WHERE id = 4;
    INSERT INTO mqparked (id, uid, lane, code, reason)
      SELECT id, uid, 2, 'TOO_LARGE', 'the peer takes 10 bytes' FROM mqout WHERE id = 5;
  `)
  db.prepare('UPDATE mqlane SET retry_at = ? WHERE id = 1').run(nowMs() + 20_000)
  db.prepare('UPDATE mqparked SET retry_at = ?').run(nowMs() - 5000)
  db.prepare('UPDATE mqout SET created_at = ? WHERE id = 1').run(nowMs() - 60_000)
  const rows = db.prepare('SELECT * FROM mqstatus ORDER BY id').all() as Record<string, unknown>[]
  assert.deepEqual(
    rows.map(({ id, state, reason }) => [id, state, reason]),
    [
      [1, 'waiting', 'no daemon has looked at it yet; is one running on this database?'],
      [2, 'waiting', 'no answer from 192.0.2.1:9000 (UNREACHABLE)'],
      [3, 'waiting', 'waits for its turn'],
      [4, 'in flight', 'on its way; the peer has not confirmed it yet'],
      [5, 'parked', 'the peer takes 10 bytes (TOO_LARGE)'],
      [6, 'waiting', 'BAD_KEY'],
      [7, 'waiting', 'waits for its turn'],
    ],
  )
  const [first, second] = rows
  assert.equal(first?.['bytes'], 4)
  assert.ok(Math.abs(Number(first?.['age_s']) - 60) < 5)
  assert.ok(Math.abs(Number(second?.['retry_in_s']) - 20) < 5)
  assert.deepEqual(
    rows.map((row) => row['retry_in_s'] === null),
    [true, false, true, true, false, true, true],
  )
  assert.equal(rows[4]?.['retry_in_s'], 0)
})

test('mqstatus asks for the daemon where nobody has looked after a row for long', (t) => {
  const db = scratchDatabase(t)
  const [minute, now] = [60_000, nowMs()]
  db.exec(`
    INSERT INTO mqout (host, created_at, data) VALUES
      ('quiet', ${now - 2 * minute}, ''), ('quiet', ${now}, ''), ('moves', ${now - 2 * minute}, ''),
      ('late', ${now}, ''), ('soon', ${now - 2 * minute}, '');
    INSERT INTO mqlane (id, host, port, key, error_code, error, since, retry_at) VALUES
      (1, 'quiet', 9000, '', NULL, NULL, ${now - 9 * minute}, NULL),
      (2, 'moves', 9000, '', NULL, NULL, ${now - 9 * minute}, NULL),
      (3, 'late', 9000, '', 'NO_ANSWER', 'no answer', ${now - 9 * minute}, ${now - 3 * minute}),
      (4, 'soon', 9000, '', 'NO_ANSWER', 'no answer', ${now - 9 * minute}, ${now});
    INSERT INTO mqbatch (lane, first, count, id_first, id_last, uids)
      SELECT 1, 1, 1, id, id, uid FROM mqout WHERE id = 1;
    INSERT INTO mqbatch (lane, first, count, done_at) VALUES (2, 1, 1, ${now - 1_000});
  `)
  const rows = db.prepare('SELECT reason FROM mqstatus ORDER BY id').pluck().all().map(String)
  const asks = /does the daemon run\? tinymq check says so$/
  assert.deepEqual(
    rows.map((reason) => asks.test(reason)),
    [true, false, false, true, false],
  )
  assert.match(rows[0] ?? '', /^nothing of its lane was completed for a minute, and no fault/)
  assert.match(rows[3] ?? '', /^no answer \(NO_ANSWER\); nobody has tried again since/)
})

test('mqstatus finds one row by its key and reads no data', { skip: withoutSqlite }, (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  mq.send('b', 9000, '', 'x'.repeat(1_000_000))
  const { output: plan } = shell(path, 'EXPLAIN QUERY PLAN SELECT * FROM mqstatus WHERE id = 7;')
  assert.doesNotMatch(plan, /SCAN/)
  assert.match(plan, /SEARCH o USING INTEGER PRIMARY KEY/)
  // A row of 1 MB has 245 overflow pages of 4 KiB; its status comes from its first page.
  const { output: stats } = shell(path, '.stats on\nSELECT bytes FROM mqstatus WHERE id = 1;')
  assert.match(stats, /^1000000$/m)
  const misses = Number(/Page cache misses: +(?<pages>\d+)/.exec(stats)?.groups?.['pages'])
  assert.ok(misses < 40, `${misses} pages read`)
})

test('mqpeers has a row for each lane and each sender, with the last event of the host', (t) => {
  const db = scratchDatabase(t)
  db.exec(`
    INSERT INTO mqout (host, data) VALUES ('b', ''), ('b', ''), ('c', '');
    INSERT INTO mqlane (host, port, state, error_code, error, since, confirmed, rtt_us,
        packets, lost) VALUES
      ('b', 9000, 'open', NULL, NULL, 1425211200000, 17, 1500, 40, 3),
      ('c', 9000, 'down', 'UNREACHABLE', 'no answer', NULL, 0, NULL, 0, 0);
    INSERT INTO mqsender (database_id, stream, watermark, host, port, seen_at) VALUES
      (zeroblob(16), zeroblob(16), 5, 'd', 9001, 1425211200000);
    INSERT INTO mqevent (at, code, host, port) VALUES
      (1425211200000, 'PEER_REPLACED', 'b', 9000), (1425211201000, 'PEER_ROLLED_BACK', 'b', NULL),
      (1425211202000, 'SELF_FORKED', 'b', 9001), (1425211203000, 'SENDER_RESTORED', 'd', 9001);
  `)
  const rows = db.prepare('SELECT * FROM mqpeers ORDER BY host').all() as object[]
  const none = { retry_in_s: null, key: '' }
  assert.deepEqual(rows, [
    {
      ...none,
      direction: 'out',
      host: 'b',
      port: 9000,
      state: 'open',
      error_code: null,
      error: null,
      since: '2015-03-01 12:00:00',
      waiting: 2,
      watermark: 17,
      rtt_ms: 1.5,
      packets: 40,
      lost: 3,
      event: 'PEER_ROLLED_BACK',
      event_at: '2015-03-01 12:00:01',
    },
    {
      ...none,
      direction: 'out',
      host: 'c',
      port: 9000,
      state: 'down',
      error_code: 'UNREACHABLE',
      error: 'no answer',
      since: null,
      waiting: 1,
      watermark: 0,
      rtt_ms: null,
      packets: 0,
      lost: 0,
      event: null,
      event_at: null,
    },
    {
      ...none,
      direction: 'in',
      host: 'd',
      port: 9001,
      state: null,
      error_code: null,
      error: null,
      since: '2015-03-01 12:00:00',
      waiting: null,
      watermark: 5,
      rtt_ms: null,
      packets: null,
      lost: null,
      event: 'SENDER_RESTORED',
      event_at: '2015-03-01 12:00:03',
    },
  ])
})

test('.schema shows what every table and column is for', { skip: withoutSqlite }, (t) => {
  const path = scratchPath(t)
  open(path).close()
  const { output } = shell(path, '.schema mqout')
  assert.match(output, /-- The outbox\. INSERT a row to send it/)
  const { output: bare } = shell(
    path,
    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view', 'trigger')" +
      " AND name NOT LIKE 'sqlite%' AND sql NOT LIKE '%--%';",
  )
  assert.equal(bare, '')
})
