import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { openDatabase } from './open-database.ts'
import { migrate } from './migrate.ts'
import { schemaVersion, tableNames, viewNames } from './tables.ts'
import { drivers, scratchPath, shell } from '../../test/support/scratch.ts'
import { withoutSqlite } from '../../test/support/sqlite-program.ts'

const dump = (path: string): string => shell(path, '.dump').output

for (const [driver, connect] of drivers) {
  test(`${driver}: the tables are made once and stay as they are`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    migrate(db)
    const before = dump(path)
    migrate(db)
    assert.equal(dump(path), before)
    const { output } = shell(path, 'SELECT name FROM sqlite_master ORDER BY name;')
    const names = new Set(output.split('\n'))
    for (const name of [...tableNames, ...viewNames]) assert.ok(names.has(name), name)
    const meta = shell(path, 'SELECT key, typeof(value), length(value) FROM mqmeta;').output
    assert.match(meta, /^database_id\|blob\|16$/m)
    assert.match(meta, /^schema_version\|integer\|1$/m)
  })

  test(`${driver}: a transaction that is open decides over the tables too`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    t.after(() => db.close())
    db.exec('CREATE TABLE theirs (a); BEGIN; INSERT INTO theirs VALUES (1)')
    migrate(db)
    db.exec("INSERT INTO mqout (host, data) VALUES ('b', 'x'); ROLLBACK")
    assert.equal(shell(path, 'SELECT count(*) FROM sqlite_master;').output, '1')
    db.exec('BEGIN')
    migrate(db)
    db.exec('COMMIT')
    assert.equal(shell(path, 'SELECT count(*) FROM mqout;').output, '0')
  })
}

test('a connection to a file that is not a database is rejected as such', (t) => {
  const path = scratchPath(t)
  writeFileSync(path, 'a text that is longer than the header of a database is\n'.repeat(20))
  const db = new DatabaseSync(path)
  t.after(() => db.close())
  assert.throws(() => migrate(db), { name: 'TinymqError', code: 'TINYMQ_NOT_A_DATABASE' })
})

test('the database of an application keeps its user_version and its tables', (t) => {
  const path = scratchPath(t)
  shell(path, 'PRAGMA user_version = 42; CREATE TABLE orders (a); INSERT INTO orders VALUES (7);')
  const db = openDatabase(path)
  t.after(() => db.close())
  migrate(db)
  assert.equal(shell(path, 'PRAGMA user_version; SELECT a FROM orders;').output, '42\n7')
})

test('a newer schema is rejected, and nothing is changed', { skip: withoutSqlite }, (t) => {
  const path = scratchPath(t)
  const db = openDatabase(path)
  t.after(() => db.close())
  migrate(db)
  const newer = schemaVersion + 1
  shell(path, `UPDATE mqmeta SET value = ${newer} WHERE key = 'schema_version'; DROP VIEW mqpeers;`)
  const before = dump(path)
  assert.throws(() => migrate(db), {
    code: 'TINYMQ_SCHEMA_NEWER',
    message:
      `the tables in this database are version ${newer}; ` +
      `this tinymq knows up to ${schemaVersion}`,
  })
  assert.equal(dump(path), before)
})

const foreign: readonly (readonly [string, string])[] = [
  ['mqout', 'CREATE TABLE mqout (id INTEGER, body TEXT);'],
  ['mqout', 'CREATE TABLE MqOut (id INTEGER, body TEXT);'],
  ['mqin', 'CREATE TABLE mqin (x, ts, shost, sport);'],
  ['mqin', 'CREATE VIEW mqin AS SELECT 1 AS id;'],
  ['mqevent', 'CREATE TABLE mqevent (id, name);'],
  ['mqstatus', 'CREATE TABLE mqstatus (id);'],
  ['mqmeta', 'CREATE TABLE mqmeta (name, text);'],
  ['mqmeta', 'CREATE TABLE mqmeta (key PRIMARY KEY, value);'],
  [
    'mqmeta',
    "CREATE TABLE mqmeta (key, value); INSERT INTO mqmeta VALUES ('schema_version', 'x');",
  ],
]

test(
  'a table of somebody else is rejected by name and left untouched',
  { skip: withoutSqlite },
  (t) => {
    for (const [name, sql] of foreign) {
      const path = scratchPath(t)
      shell(path, sql)
      const before = dump(path)
      const db = openDatabase(path)
      t.after(() => db.close())
      const message = new RegExp(
        `something called ${name} that is not tinymq's; nothing was changed`,
      )
      assert.throws(() => migrate(db), { code: 'TINYMQ_FOREIGN_TABLE', message }, sql)
      assert.equal(dump(path), before)
    }
  },
)

test('a database in UTF-16 is rejected', (t) => {
  const path = scratchPath(t)
  shell(path, "PRAGMA encoding = 'UTF-16'; CREATE TABLE theirs (a);")
  const db = openDatabase(path)
  t.after(() => db.close())
  assert.throws(() => migrate(db), { code: 'TINYMQ_INVALID_ENCODING' })
})

test('a table that was dropped is made again, with its triggers', (t) => {
  const path = scratchPath(t)
  const db = openDatabase(path)
  t.after(() => db.close())
  migrate(db)
  const databaseId = shell(path, "SELECT hex(value) FROM mqmeta WHERE key = 'database_id';").output
  shell(path, 'DROP TABLE mqout;')
  migrate(db)
  assert.match(shell(path, "INSERT INTO mqout (data) VALUES ('x');").output, /TINYMQ_INVALID_HOST/)
  assert.equal(
    shell(path, "SELECT hex(value) FROM mqmeta WHERE key = 'database_id';").output,
    databaseId,
  )
})

test('programs that open a new file at the same moment all succeed', async (t) => {
  const program = `
    import { open } from ${JSON.stringify(new URL('../index.ts', import.meta.url).href)}
    process.stdout.write('ready')
    process.stdin.once('data', () => {
      for (const path of process.argv.slice(1)) {
        using mq = open(path)
        mq.send('b', 9000, '', 'x')
      }
      process.stdin.destroy()
    })`
  const paths = Array.from({ length: 8 }, () => scratchPath(t))
  const children = Array.from({ length: 3 }, () =>
    spawn(process.execPath, ['--input-type=module', '--eval', program, ...paths], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  )
  await Promise.all(children.map(async ({ stdout }) => once(stdout, 'data')))
  for (const { stdin } of children) stdin.write('go')
  const exits = await Promise.all(children.map(async (child) => once(child, 'exit')))
  assert.deepEqual(
    exits.map(([code]) => code as unknown),
    [0, 0, 0],
  )
  for (const path of paths) {
    const { output } = shell(path, 'SELECT count(*), (SELECT count(*) FROM mqmeta) FROM mqout;')
    assert.equal(output, '3|4')
  }
})
