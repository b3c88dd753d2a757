import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scratchDatabase, scratchPath, shell } from '../../test/support/scratch.ts'
import { open } from '../open.ts'

type Row = Record<string, unknown>

test('mqstuck names what does not move, why, and what to do; and nothing that moves', (t) => {
  const db = scratchDatabase(t)
  const [hour, now] = [3_600_000, Date.now()]
  db.exec(`
    INSERT INTO mqout (id, host, token, created_at, data) VALUES
      (1, 'fine', '', ${now}, ''), (2, 'fine', '', ${now - 5_000}, ''),
      (3, 'dead', '', ${now - 90_000}, ''), (4, 'dead', '', ${now}, ''),
      (5, 'full', '', ${now}, ''), (6, 'nobody', '', ${now - 61_000}, ''),
      (7, 'nobody', '', ${now}, ''), (8, 'slow', '', ${now - 2 * hour}, ''),
      (9, 'slow', '', ${now - 2 * hour}, ''), (10, 'quiet', '', ${now - 61_000}, ''),
      (11, 'quiet', '', ${now - 61_000}, ''), (12, 'fresh', '', ${now - 61_000}, ''),
      (13, 'moves', '', ${now - 61_000}, ''), (14, 'given-up', '', ${now}, '');
    INSERT INTO mqlane (id, host, port, key, state, error_code, error, since, retry_at) VALUES
      (1, 'fine', 9000, '', 'open', NULL, NULL, ${now - hour}, NULL),
      (2, 'dead', 9000, '', 'waiting', 'TINYMQ_NO_ANSWER', 'no answer', ${now}, ${now + 20_000}),
      (3, 'full', 9000, '', 'open', NULL, NULL, ${now - hour}, NULL),
      (4, 'slow', 9000, '', 'open', NULL, NULL, ${now}, NULL),
      (5, 'quiet', 9000, '', 'open', NULL, NULL, ${now - hour}, NULL),
      (6, 'fresh', 9000, '', 'open', NULL, NULL, ${now - 1_000}, NULL),
      (7, 'moves', 9000, '', 'open', NULL, NULL, ${now - hour}, NULL),
      (8, 'given-up', 9000, '', 'waiting', 'TINYMQ_NO_ANSWER', 'silence', ${now}, ${now - hour});
    INSERT INTO mqbatch (lane, first, count, done_at) VALUES
      (5, 1, 1, ${now - 90_000}), (7, 1, 1, ${now - 90_000}), (7, 2, 1, ${now - 1_000}),
      (7, 3, 1, NULL);
    INSERT INTO mqparked (id, uid, lane, code, reason, retry_at)
      SELECT id, uid, 3, 'TINYMQ_PEER_LIMIT', 'it takes 10 bytes', ${now} FROM mqout WHERE id = 5;
    INSERT INTO mqin (id, host, arrived_at, data) VALUES
      (1, 'a', ${now - 2 * hour}, ''), (2, 'a', ${now}, ''), (3, 'a', ${now}, ''),
      (4, 'a', ${now}, '');
    INSERT INTO mqlease (id, owner, until, attempts, error) VALUES
      (2, NULL, ${now + 9_000}, 3, 'boom'), (3, 'app', ${now - 90_000}, 1, NULL),
      (4, 'app', ${now + 90_000}, 1, NULL);
    INSERT INTO mqdead (id, host, died_at, error, data) VALUES (1, 'b', ${now}, 'no such sku', '');
  `)
  const rows = db.prepare('SELECT * FROM mqstuck ORDER BY box DESC, id').all() as Row[]
  assert.deepEqual(
    rows.map(({ box, id, why, reason }) => [box, id, why, reason]),
    [
      ['outbox', 3, 'waits for the peer', 'no answer'],
      ['outbox', 4, 'waits for the peer', 'no answer'],
      ['outbox', 5, 'parked', 'it takes 10 bytes'],
      ['outbox', 6, 'no daemon', 'no daemon has looked at it yet'],
      ['outbox', 8, 'old', 'it is the oldest of its lane, which says that all is well'],
      [
        'outbox',
        10,
        'no progress',
        'nothing of its lane was completed for a minute, and no fault is reported',
      ],
      ['outbox', 14, 'waits for the peer', 'silence'],
      ['inbox', 1, 'old', 'it is the oldest of the inbox that no consumer has taken'],
      ['inbox', 2, 'failed', 'attempt 3 failed: boom'],
      ['inbox', 3, 'held', 'the consumer app has let its lease run out'],
      ['dead', 1, 'dead', 'no such sku'],
    ],
  )
  for (const { advice } of rows) assert.match(String(advice), /\w{4}/)
  assert.match(String(rows[0]?.['advice']), /start tinymq there/)
  const adviceOf = (id: number): string =>
    String(rows.find((row) => row['box'] === 'outbox' && row['id'] === id)?.['advice'])
  assert.match(adviceOf(10), /whether a daemon runs \(tinymq check\)/)
  // A daemon would have tried again long ago.
  assert.match(adviceOf(14), /start the daemon of this database/)
  assert.ok(Math.abs(Number(rows[0]?.['retry_in_s']) - 20) < 5)
  assert.ok(Math.abs(Number(rows[0]?.['age_s']) - 90) < 5)
})

test('under keys a row is reported once, by the lane of its own key', (t) => {
  const db = scratchDatabase(t)
  db.exec(`
    DROP INDEX mqout_lane;
    CREATE INDEX mqout_lane ON mqout (host, port, token);
    INSERT INTO mqout (id, host, token, data) VALUES
      (1, 'b', 'good', ''), (2, 'b', 'bad', ''), (3, 'b', '', ''), (4, 'b', 'label', '');
    INSERT INTO mqlane (host, port, key, state, error_code) VALUES
      ('b', 9000, 'good', 'open', NULL), ('b', 9000, 'bad', 'waiting', 'TINYMQ_NO_KEY'),
      ('b', 9000, '(no token)', 'waiting', 'TINYMQ_NO_KEY'),
      ('b', 9000, '', 'waiting', 'TINYMQ_INBOX_CLOSED');
  `)
  const rows = db.prepare('SELECT id, code FROM mqstuck ORDER BY id').raw().all()
  db.exec("UPDATE mqlane SET error_code = 'TINYMQ_NO_ANSWER' WHERE key = 'bad'")
  const advice = db.prepare('SELECT advice FROM mqstuck WHERE id = 2').pluck().get()
  assert.match(String(advice), /compare tinymq keys list/)
  assert.deepEqual(rows, [
    [2, 'TINYMQ_NO_KEY'],
    [3, 'TINYMQ_NO_KEY'],
    [4, 'TINYMQ_INBOX_CLOSED'],
  ])
})

test('mqstuck finds one row by its key, and runs in the shell of the system', (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  mq.send('b', 9000, '', 'x'.repeat(1_000_000))
  const { output: plan } = shell(path, 'EXPLAIN QUERY PLAN SELECT * FROM mqstuck WHERE id = 7;')
  assert.doesNotMatch(plan, /SCAN [oidps]\b/)
  assert.equal(shell(path, 'SELECT count(*) FROM mqstuck;').output, '0')
})
