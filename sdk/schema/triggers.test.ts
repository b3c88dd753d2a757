import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as fc from 'fast-check'
import type { openDatabase } from './open-database.ts'
import { scratchDatabase, scratchPath, shell } from '../../test/support/scratch.ts'
import { open } from '../open.ts'
import { scaled } from '../../test/support/scale.ts'

type Database = ReturnType<typeof openDatabase>

const original =
  'INSERT INTO mqout (host,port,token,data)' +
  " VALUES ('MachineB','9000','token','HelloMachineBFromMachineA');"

/** Columns that differ from a good row, and what is reported of them. */
const refused: readonly (readonly [string, string, Record<string, string>])[] = [
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: 'NULL' }],
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: "''" }],
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: "' '" }],
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: "'Machine B'" }],
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: "'MachineB' || char(10)" }],
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: "'Machine' || char(0) || 'B'" }],
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: "'MachineB' || char(160)" }],
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: "char(8203) || 'MachineB'" }],
  ['TINYMQ_INVALID_HOST', 'host must name the machine', { host: "x'41'" }],
  ['TINYMQ_INVALID_HOST', '1 to 255 bytes', { host: "replace(hex(zeroblob(128)), '0', 'a')" }],
  ['TINYMQ_INVALID_HOST', 'the port in its own column', { host: "'MachineB:9000'" }],
  ['TINYMQ_INVALID_HOST', 'no URL', { host: "'udp://MachineB:9000'" }],
  ['TINYMQ_INVALID_HOST', 'no brackets', { host: "'[::1]'" }],
  ['TINYMQ_INVALID_PORT', 'port must be a whole number', { port: 'NULL' }],
  ['TINYMQ_INVALID_PORT', 'port must be a whole number', { port: '0' }],
  ['TINYMQ_INVALID_PORT', 'port must be a whole number', { port: '-1' }],
  ['TINYMQ_INVALID_PORT', 'port must be a whole number', { port: '65536' }],
  ['TINYMQ_INVALID_PORT', 'port must be a whole number', { port: '9000.5' }],
  ['TINYMQ_INVALID_PORT', 'port must be a whole number', { port: "'nine'" }],
  ['TINYMQ_INVALID_PORT', 'port must be a whole number', { port: "''" }],
  ['TINYMQ_NO_DATA', 'data is NULL', { data: 'NULL' }],
  ['TINYMQ_TOO_LARGE', 'data is larger than message_bytes_max', { data: 'zeroblob(70001)' }],
  ['TINYMQ_TOO_LARGE', 'data is larger', { data: "replace(hex(zeroblob(13000)), '0', 'é')" }],
  ['TINYMQ_INVALID_TOKEN', 'token must be UTF-8 text', { token: 'NULL' }],
  ['TINYMQ_INVALID_TOKEN', 'token must be UTF-8 text', { token: "x'41'" }],
  ['TINYMQ_INVALID_TOKEN', 'at most 255 bytes', { token: "replace(hex(zeroblob(64)), '0', 'é')" }],
  ['TINYMQ_INVALID_HEADERS', 'headers must be JSON text', { headers: "x'7b7d'" }],
  ['TINYMQ_TOO_LARGE', 'headers are larger', { headers: "hex(zeroblob(32768)) || 'a'" }],
  ['TINYMQ_INVALID_UID', 'uid must be a BLOB of 16', { uid: 'NULL' }],
  ['TINYMQ_INVALID_UID', 'uid must be a BLOB of 16', { uid: "'sixteen letters!'" }],
  ['TINYMQ_INVALID_UID', 'uid must be a BLOB of 16', { uid: 'zeroblob(15)' }],
]

const accepted: readonly Record<string, string>[] = [
  { host: "'::1'" },
  { host: "'fe80::1%eth0'" },
  { host: "'münchen.example'" },
  { host: "replace(hex(zeroblob(127)), '0', 'a') || 'a'" },
  { port: '1' },
  { port: '65535' },
  { port: "'9000'" },
  { port: '9000.0' },
  { data: "''" },
  { data: "x''" },
  { data: 'zeroblob(48000)' },
  { data: "replace(hex(zeroblob(12000)), '0', 'é')" },
  { token: "''" },
  { token: "replace(hex(zeroblob(63)), '0', 'é') || 'abc'" },
  { headers: 'NULL' },
  { headers: 'hex(zeroblob(32768))' },
  { uid: 'zeroblob(16)' },
]

const good = { host: "'MachineB'", port: '9000', token: "'token'", data: "'Hello'" }

function insertSql(columns: Record<string, string>): string {
  const row = { ...good, ...columns }
  return `INSERT INTO mqout (${Object.keys(row).join()}) VALUES (${Object.values(row).join()});`
}

function updateSql(columns: Record<string, string>): string {
  const assignments = Object.entries(columns).map(([name, value]) => `${name} = ${value}`)
  return `UPDATE mqout SET ${assignments.join()};`
}

test('the line of the original sends, from the sqlite3 shell', (t) => {
  const path = scratchPath(t)
  open(path).close()
  assert.deepEqual(shell(path, original), { ok: true, output: '' })
  const { output } = shell(
    path,
    'SELECT id, host, port, typeof(port), token, data, bytes, length(uid) FROM mqout;',
  )
  assert.equal(output, '1|MachineB|9000|integer|token|HelloMachineBFromMachineA|25|16')
  const { output: age } = shell(
    path,
    "SELECT abs(created_at - (julianday('now') - 2440587.5) * 86400000) < 10000 FROM mqout;",
  )
  assert.equal(age, '1')
})

test('a row that could never be sent is rejected at INSERT and UPDATE, by every program', (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  shell(path, "UPDATE mqmeta SET value = 48000 WHERE key = 'message_bytes_max';")
  const id = mq.send('MachineB', 9000, 'token', 'Hello')
  const bad = refused.flatMap(([code, sentence, columns]) =>
    [insertSql(columns), updateSql(columns)].map((sql) => ({ code, sentence, sql })),
  )
  const { ok, output: said } = shell(path, bad.map(({ sql }) => sql).join('\n'), true)
  assert.ok(!ok)
  const complaints = said.split('\n')
  assert.equal(complaints.length, bad.length, said)
  for (const [index, { code, sentence, sql }] of bad.entries()) {
    assert.match(complaints[index] ?? '', new RegExp(`tinymq: .*${sentence}.*\\(${code}\\)`), sql)
  }
  const { output } = shell(path, 'SELECT id, host, port, token, data FROM mqout;')
  assert.equal(output, `${id}|MachineB|9000|token|Hello`)
})

test('a row at the limits is accepted at INSERT and UPDATE', (t) => {
  const path = scratchPath(t)
  using mq = open(path)
  shell(path, "UPDATE mqmeta SET value = 48000 WHERE key = 'message_bytes_max';")
  mq.send('MachineB', 9000, 'token', 'Hello')
  const statements = accepted.flatMap((columns) =>
    [insertSql(columns), updateSql(columns)].flatMap((sql) => [
      sql,
      'DELETE FROM mqout WHERE id > 1;',
    ]),
  )
  assert.deepEqual(shell(path, statements.join('\n')), { ok: true, output: '' })
})

test('INSERT OR IGNORE does not swallow a rejection', (t) => {
  const db = scratchDatabase(t)
  const sql = "INSERT OR IGNORE INTO mqout (host, data) VALUES ('', 'Hello')"
  assert.throws(() => db.exec(sql), /TINYMQ_INVALID_HOST/)
})

test('most text that is not UTF-8 is rejected as host and token, other letters are not', (t) => {
  const db = scratchDatabase(t)
  const latin = "CAST(x'6dfc6e6368656e' AS TEXT)"
  const insert = (host: string, token: string): unknown =>
    db.exec(`INSERT INTO mqout (host, token, data) VALUES (${host}, ${token}, 'x')`)
  assert.throws(() => insert(latin, "'token'"), /UTF-8 text.*TINYMQ_INVALID_HOST/)
  assert.throws(() => insert("'b'", latin), /UTF-8 text.*TINYMQ_INVALID_TOKEN/)
  insert("'münchen'", "'größe 東 😀'")
})

// The conflict clause of the statement takes the place of those in the triggers that it fires.
for (const [name, change] of [
  [
    'an UPSERT',
    `INSERT INTO mqout (id, host, data) VALUES (7, $host, 'x')
     ON CONFLICT (id) DO UPDATE SET host = excluded.host`,
  ],
  ['UPDATE OR ABORT', 'UPDATE OR ABORT mqout SET host = $host WHERE id = 7'],
  ['UPDATE OR FAIL', 'UPDATE OR FAIL mqout SET host = $host WHERE id = 7'],
  ['UPDATE OR ROLLBACK', 'UPDATE OR ROLLBACK mqout SET host = $host WHERE id = 7'],
  ['INSERT OR ABORT', "INSERT OR ABORT INTO mqout (host, data) VALUES ($host, 'x')"],
  ['DELETE of what is parked', 'DELETE FROM mqparked WHERE $host IS NOT NULL'],
] as const) {
  test(`${name} of a row that waits works as often as one likes`, (t) => {
    const db = scratchDatabase(t)
    db.exec(`INSERT INTO mqout (id, host, data) VALUES (7, 'a', 'x');
      INSERT INTO mqrequeue (id) VALUES (7); INSERT INTO mqrequeue (id) VALUES (8);
      INSERT INTO mqlane (host, port, numbered_id) VALUES ('b', 9000, 100), ('c', 9000, 100)`)
    for (const host of ['b', 'c', 'b', 'd']) {
      db.exec('INSERT OR REPLACE INTO mqparked (id, uid) SELECT id, uid FROM mqout WHERE id = 7')
      db.prepare(change).run({ host })
    }
    assert.ok(late(db).includes(7))
  })
}

test('numbers become text, and bytes stay bytes', (t) => {
  const db = scratchDatabase(t)
  db.exec("INSERT INTO mqout (host, data) VALUES ('b', 5), ('b', 1.5), ('b', x'00ff'), ('b', '')")
  const rows = db.prepare('SELECT data, typeof(data) AS type, bytes FROM mqout').all()
  assert.deepEqual(rows, [
    { data: '5', type: 'text', bytes: 1 },
    { data: '1.5', type: 'text', bytes: 3 },
    { data: Buffer.from([0, 255]), type: 'blob', bytes: 2 },
    { data: '', type: 'text', bytes: 0 },
  ])
})

test('exactly the hosts with something invisible or more than a host in them are rejected', (t) => {
  const db = scratchDatabase(t)
  const insert = db.prepare("INSERT INTO mqout (host, data) VALUES (?, '')")
  const invisible = /[\0- \x7f-\xa0\u2000-\u200f\u2028-\u202f\u3000\ufeff]/
  const place = /[/[]|^[^:]*:[^:]*$/
  const odd = fc.constantFrom(
    ':',
    '/',
    '[',
    '\0',
    '\t',
    ' ',
    '\x7f',
    '\xa0',
    '\u200b',
    '\u2029',
    '\ufeff',
    '-',
    ']',
  )
  const character = fc.oneof(fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }), odd)
  fc.assert(
    fc.property(fc.array(character, { maxLength: 12 }), (characters) => {
      const host = characters.join('')
      const isBad = host === '' || invisible.test(host) || place.test(host)
      if (isBad) assert.throws(() => insert.run(host), /TINYMQ_INVALID_HOST/)
      else insert.run(host)
    }),
    { numRuns: scaled(500) },
  )
})

/** A lane, a run that numbers the given rows in it, and how far the lane has come. */
function number(db: Database, host: string, ids: readonly number[]): void {
  db.prepare('INSERT OR IGNORE INTO mqlane (host, port) VALUES (?, 9000)').run(host)
  const lane = db.prepare('SELECT id FROM mqlane WHERE host = ?').pluck().get(host)
  const uidOf = db.prepare('SELECT uid FROM mqout WHERE id = ?').pluck()
  const uids = Buffer.concat(ids.map((id) => uidOf.get(id) as Buffer))
  db.prepare(
    `INSERT INTO mqbatch (lane, first, count, id_first, id_last, uids)
    SELECT ?, coalesce(max(first + count), 1), ?, ?, ?, ? FROM mqbatch WHERE lane = ?`,
  ).run(lane, ids.length, Math.min(...ids), Math.max(...ids), uids, lane)
  const last = 'SELECT max(id) FROM mqout WHERE host = $host'
  db.prepare(`UPDATE mqlane SET numbered_id = max(numbered_id, (${last})) WHERE host = $host`).run({
    host,
  })
}

const late = (db: Database): unknown[] => db.prepare('SELECT id FROM mqrequeue').pluck().all()

function insertedAndNumbered(t: TestContext): Database {
  const db = scratchDatabase(t)
  db.exec("INSERT INTO mqout (id, host, data) VALUES (10, 'b', ''), (20, 'b', ''), (30, 'c', '')")
  number(db, 'b', [10, 20])
  return db
}

test('a row in flight cannot be changed, and the rejection says why', (t) => {
  const db = insertedAndNumbered(t)
  for (const change of [
    "host = 'c'",
    'id = 11',
    'rowid = 11',
    'port = 1',
    "data = 'x'",
    "token = 'x'",
  ]) {
    const update = (): unknown => db.exec(`UPDATE mqout SET ${change} WHERE id = 10`)
    assert.throws(update, /tinymq: this row is in flight and may already be at the peer.*IN_FLIGHT/)
  }
  db.exec("UPDATE mqout SET host = 'd' WHERE id = 30")
  db.exec('DELETE FROM mqout WHERE id = 10')
  db.exec('UPDATE mqbatch SET done_at = 1, uids = NULL')
  db.exec("UPDATE mqout SET host = 'c' WHERE id = 20")
})

test('a row inserted again under the id of one in flight is another row', (t) => {
  const db = insertedAndNumbered(t)
  db.exec("INSERT OR REPLACE INTO mqout (id, host, data) VALUES (10, 'b', 'again')")
  assert.deepEqual(late(db), [10])
  db.exec("UPDATE mqout SET data = 'changed' WHERE id = 10")
})

test('rows behind the numbering of their lane are marked, others are not', (t) => {
  const db = insertedAndNumbered(t)
  db.exec("INSERT INTO mqout (host, data) VALUES ('b', ''), ('b', '')")
  db.exec("INSERT INTO mqout (host, data) SELECT 'b', '' FROM mqout")
  db.exec("INSERT INTO mqout (id, host, data) VALUES (5, 'c', ''), (100, 'b', ''), (90, 'b', '')")
  assert.deepEqual(late(db), [])
  const sql = "INSERT INTO mqout (id, host, data) VALUES (6, 'b', ''), (7, 'b', '') RETURNING id"
  assert.deepEqual(db.prepare(sql).pluck().all(), [6, 7])
  assert.deepEqual(late(db), [6, 7])
  db.exec("BEGIN; INSERT INTO mqout (id, host, data) VALUES (8, 'b', ''); ROLLBACK")
  assert.deepEqual(late(db), [6, 7])
  db.exec("UPDATE mqout SET host = 'b' WHERE id = 5")
  assert.deepEqual(late(db), [5, 6, 7])
})

test('ids that start again at 1 are marked too', (t) => {
  const db = insertedAndNumbered(t)
  db.exec('DELETE FROM mqout; DELETE FROM sqlite_sequence')
  db.exec("INSERT INTO mqout (host, data) VALUES ('b', '')")
  assert.deepEqual(late(db), [1])
})

test('a changed row is no longer parked and is looked at again', (t) => {
  const db = insertedAndNumbered(t)
  db.exec('UPDATE mqbatch SET done_at = 1, uids = NULL')
  db.exec('INSERT INTO mqparked (id, uid, lane) SELECT id, uid, 1 FROM mqout WHERE id = 10')
  db.exec("UPDATE mqout SET data = 'shorter' WHERE id = 10")
  assert.equal(db.prepare('SELECT count(*) FROM mqparked').pluck().get(), 0)
  assert.deepEqual(late(db), [10])
})

test('no order of inserts, changes and numberings hides a row from the numbering', (t) => {
  const host = fc.constantFrom('b', 'c')
  const id = fc.integer({ min: 1, max: 12 })
  const action = fc.oneof(
    fc.record({ type: fc.constant('send' as const), host }),
    fc.record({ type: fc.constant('insert' as const), host, id }),
    fc.record({ type: fc.constant('replace' as const), host, id }),
    fc.record({ type: fc.constant('reroute' as const), host, id }),
    fc.record({ type: fc.constant('renumber' as const), id, to: id }),
    fc.record({ type: fc.constant('delete' as const), id }),
    fc.record({ type: fc.constant('restart' as const) }),
    fc.record({ type: fc.constant('number' as const), host }),
  )
  const db = scratchDatabase(t)
  const hidden = db.prepare(
    `SELECT o.id FROM mqout AS o JOIN mqlane AS l USING (host, port)
    WHERE o.id <= l.numbered_id AND o.id NOT IN (SELECT id FROM mqrequeue)
    AND NOT EXISTS (SELECT 1 FROM mqbatch WHERE instr(uids, o.uid))`,
  )
  const act = (step: typeof action extends fc.Arbitrary<infer T> ? T : never): void => {
    switch (step.type) {
      case 'send':
        db.prepare("INSERT INTO mqout (host, data) VALUES (?, '')").run(step.host)
        break
      case 'insert':
        db.prepare("INSERT OR IGNORE INTO mqout (id, host, data) VALUES (?, ?, '')").run(
          step.id,
          step.host,
        )
        break
      case 'replace':
        db.prepare("INSERT OR REPLACE INTO mqout (id, host, data) VALUES (?, ?, '')").run(
          step.id,
          step.host,
        )
        break
      case 'reroute':
        refusedInFlight(() =>
          db.prepare('UPDATE mqout SET host = ? WHERE id = ?').run(step.host, step.id),
        )
        break
      case 'renumber':
        refusedInFlight(() =>
          db.prepare('UPDATE OR IGNORE mqout SET id = ? WHERE id = ?').run(step.to, step.id),
        )
        break
      case 'delete':
        db.prepare('DELETE FROM mqout WHERE id = ?').run(step.id)
        break
      case 'restart':
        db.exec('DELETE FROM sqlite_sequence')
        break
      case 'number': {
        const rows = db.prepare('SELECT id FROM mqout WHERE host = ?').pluck().all(step.host)
        if (rows.length > 0) number(db, step.host, rows as number[])
        db.prepare('DELETE FROM mqrequeue WHERE id IN (SELECT id FROM mqout WHERE host = ?)').run(
          step.host,
        )
        break
      }
    }
  }
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (steps) => {
      db.exec('DELETE FROM mqout; DELETE FROM mqrequeue; DELETE FROM mqlane; DELETE FROM mqbatch')
      for (const step of steps) {
        act(step)
        assert.deepEqual(hidden.all(), [])
      }
    }),
    { numRuns: scaled(300) },
  )
})

function refusedInFlight(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    assert.match(String(error), /TINYMQ_IN_FLIGHT/)
  }
}
