import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scratchPath, shell } from '../../test/support/scratch.ts'
import { open } from '../open.ts'
import { withoutSqlite } from '../../test/support/sqlite-program.ts'

const mqout = `CREATE TABLE mqout (x INTEGER PRIMARY KEY,
  ts INTEGER NOT NULL DEFAULT CURRENT_TIMESTAMP, shost TEXT, sport INTEGER, dhost TEXT,
  dport INTEGER, token TEXT, data TEXT, seq INTEGER, backoff INTEGER DEFAULT 1, magic TEXT,
  UNIQUE(magic));`
const mqin = `CREATE TABLE mqin (x INTEGER PRIMARY KEY AUTOINCREMENT,
  ts INTEGER NOT NULL DEFAULT CURRENT_TIMESTAMP, shost TEXT, sport INTEGER, dhost TEXT,
  dport INTEGER, token TEXT, data TEXT, seq INTEGER, magic TEXT, UNIQUE(magic));`

const noonMs = Date.UTC(2015, 2, 1, 12)

test(
  'waiting rows of the original are carried over with their ids and will be sent',
  { skip: withoutSqlite },
  (t) => {
    const path = scratchPath(t)
    shell(
      path,
      `${mqout}${mqin}
    INSERT INTO mqout (x, ts, dhost, dport, token, data, magic) VALUES
      (3, '2015-03-01 12:00:00', 'MachineB', '9000', 'token', 'first', 'a'),
      (9, '2015-03-01 12:00:00', 'MachineC', 9001, NULL, 'second', 'b'),
      (-4, '2015-03-01 12:00:00', 'MachineB', 9000, '', x'00ff', 'c'),
      (4, 1425211200, 'MachineB', 9000, '', '', 'd');`,
    )
    using mq = open(path)
    const columns = 'id, host, port, token, quote(data), created_at, length(uid)'
    assert.deepEqual(shell(path, `SELECT ${columns} FROM mqout ORDER BY id;`).output.split('\n'), [
      `3|MachineB|9000|token|'first'|${noonMs}|16`,
      `4|MachineB|9000||''|${noonMs}|16`,
      `9|MachineC|9001||'second'|${noonMs}|16`,
      `10|MachineB|9000||X'00FF'|${noonMs}|16`,
    ])
    assert.equal(shell(path, 'SELECT count(DISTINCT uid) FROM mqout;').output, '4')
    assert.equal(mq.send('MachineB', 9000, '', 'next'), 11)
    assert.equal(shell(path, ".tables '%_original'").output, '')
  },
)

test('received rows of the original stay in mqin, and their ids are not given again', (t) => {
  const path = scratchPath(t)
  shell(
    path,
    `${mqout}${mqin}
    INSERT INTO mqin (x, ts, shost, sport, dhost, dport, token, data, seq, magic) VALUES
      (5, '2015-03-01 12:00:00', '192.0.2.1', 9000, 'MachineB', 9000, 'token', 'Hello', 1, 'a'),
      (8, '2015-03-01 12:00:00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'b'),
      (20, '2015-03-01 12:00:00', NULL, NULL, NULL, NULL, NULL, 'gone', NULL, 'c');
    DELETE FROM mqin WHERE x = 20;`,
  )
  using mq = open(path)
  const arrivedAt = new Date(noonMs)
  const none = { headers: null, headersText: null, sentAt: null, sender: null, senderRow: null }
  assert.deepEqual(Array.from(mq.readInbox()), [
    { ...none, id: 5, host: '192.0.2.1', port: 9000, token: 'token', data: 'Hello', arrivedAt },
    { ...none, id: 8, host: '', port: 0, token: '', data: '', arrivedAt },
  ])
  shell(path, "INSERT INTO mqin (data) VALUES ('next');")
  assert.equal(shell(path, 'SELECT max(id) FROM mqin;').output, '21')
})

test('rows of the original that could never be sent are kept aside, and an event says so', (t) => {
  const path = scratchPath(t)
  shell(
    path,
    `${mqout}
    INSERT INTO mqout (x, dhost, dport, data) VALUES
      (1, NULL, 9000, 'no host'), (2, 'MachineB', 9000, 'fine'), (3, 'MachineB', 'nine', ''),
      (4, 'MachineB', 9000, NULL), (5, 'MachineB', 70000, ''), (6, 'Machine B', 9000, '');`,
  )
  open(path).close()
  assert.equal(shell(path, 'SELECT id, data FROM mqout;').output, '2|fine')
  const kept = shell(path, 'SELECT x FROM mqout_original ORDER BY x;').output
  assert.equal(kept, '1\n3\n4\n5\n6')
  assert.deepEqual(shell(path, 'SELECT code, detail FROM mqevent;').output.split('\n'), [
    'ADOPTED|1 waiting rows of the original tinymq will be sent',
    'ADOPTED_IN_PART|5 waiting rows of the original tinymq have no usable host, port or data;' +
      ' they are kept in the table mqout_original',
  ])
  open(path).close()
  assert.equal(shell(path, 'SELECT count(*) FROM mqevent;').output, '2')
})

test('one of the two tables is enough, next to tables of an application', (t) => {
  const path = scratchPath(t)
  shell(path, `CREATE TABLE orders (a); ${mqin} INSERT INTO mqin (data) VALUES ('Hello');`)
  using mq = open(path)
  assert.deepEqual(
    Array.from(mq.readInbox(), ({ data }) => data),
    ['Hello'],
  )
})

test('nothing is adopted when the name to put aside is taken', { skip: withoutSqlite }, (t) => {
  const path = scratchPath(t)
  shell(path, `${mqout} CREATE TABLE mqout_original (a);`)
  const before = shell(path, '.dump').output
  assert.throws(() => open(path), { code: 'TINYMQ_FOREIGN_TABLE' })
  assert.equal(shell(path, '.dump').output, before)
})
