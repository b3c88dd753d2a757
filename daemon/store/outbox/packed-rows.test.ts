import { deepEqual, equal } from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import Database from 'better-sqlite3'
import { migrate } from '../../../sdk/schema/migrate.ts'
import { timeMsMax } from '../record.ts'
import { packedAll, packedOne, sliceBytes, unpack, type UnpackedRow } from './row-reader.ts'
import { World } from '../../../test/simulator/store/world.ts'

/** The tables without the triggers that reject: what people put there with other programs. */
function outboxOf(t: TestContext): Database.Database {
  const db = new Database(join(World.of(t).directory, 'packed'))
  t.after(() => db.close())
  migrate(db)
  db.exec('DROP TRIGGER mqout_check')
  return db
}

const uid = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')

function insert(db: Database.Database, columns: Readonly<Record<string, unknown>>): void {
  const row = { host: 'a', created_at: 5, uid, data: 'x', ...columns }
  const names = Object.keys(row)
  const values = names.map((name) => `@${name}`)
  db.prepare(`INSERT INTO mqout (${names.join(', ')}) VALUES (${values.join(', ')})`).run(row)
}

function all(db: Database.Database): UnpackedRow[] {
  const sql = packedAll('FROM mqout AS o WHERE host = ? ORDER BY id LIMIT ?')
  const read = db.prepare<[number, string, number], Buffer | null>(sql).pluck()
  return unpack(read.get(sliceBytes, 'a', 1_000), sliceBytes)
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

test('no rows are no value, and no rows again', (t) => {
  deepEqual(all(outboxOf(t)), [])
})

test('rows come in the order that was asked for, each with its own bytes', (t) => {
  const db = outboxOf(t)
  for (let id = 300; id > 0; id--) insert(db, { id, data: `data ${id}`, token: `t${id % 3}` })
  const rows = all(db)
  deepEqual(
    rows.map(({ id, token, data }) => [id, token, text(data)]),
    Array.from({ length: 300 }, (_, at) => [at + 1, `t${(at + 1) % 3}`, `data ${at + 1}`]),
  )
})

test('text and BLOB keep every byte: NUL, bytes that are no UTF-8, digits and spaces', (t) => {
  const db = outboxOf(t)
  const odd = ['', '\0', 'a\0b', '12 34 -1 ', '\ud83d\ude00', '\ufffd', 'é\0\n"\'']
  for (const data of odd) insert(db, { data })
  for (const data of odd) insert(db, { data: Buffer.from(data) })
  db.exec(
    "INSERT INTO mqout (host, uid, data) VALUES ('a', zeroblob(16), CAST(x'ff00f09f98' AS TEXT))",
  )
  const rows = all(db)
  const expected = [...odd, ...odd].map((data) => Buffer.from(data).toString('hex'))
  deepEqual(
    rows.map(({ data }) => Buffer.from(data).toString('hex')),
    [...expected, 'ff00f09f98'],
  )
  const isText = [...odd.map(() => true), ...odd.map(() => false), true]
  deepEqual(
    rows.map((row) => row.isText),
    isText,
  )
})

test('headers are NULL, empty, or what they are', (t) => {
  const db = outboxOf(t)
  for (const headers of [null, '', '{"a":"\u00e9"}', '5 ']) insert(db, { headers })
  deepEqual(
    all(db).map(({ headers }) => headers),
    [undefined, '', '{"a":"\u00e9"}', '5 '],
  )
})

test('a time that is none is reported as none, and so is one beyond what a body may have', (t) => {
  const db = outboxOf(t)
  const times = [7, 0, -1, 1.5, 'noon', null, 2n ** 62n, timeMsMax, timeMsMax + 1]
  for (const created_at of times) insert(db, { created_at })
  const none = undefined
  deepEqual(
    all(db).map(({ timeMs }) => timeMs),
    [7, 0, none, none, none, none, none, timeMsMax, none],
  )
})

test('a uid of any length, and a token of any type, do no harm to the next row', (t) => {
  const db = outboxOf(t)
  const uids = [Buffer.alloc(0), Buffer.alloc(17, 0x20), null, 'text', 12n, uid]
  for (const odd of uids) insert(db, { uid: odd, token: odd })
  const rows = all(db)
  deepEqual(
    rows.map((row) => row.uid.length),
    [0, 17, 0, 4, 2, 16],
  )
  equal(text(rows.at(-1)?.data ?? uid), 'x')
})

test('the largest id comes as it is', (t) => {
  const db = outboxOf(t)
  insert(db, { id: Number.MAX_SAFE_INTEGER })
  equal(all(db)[0]?.id, Number.MAX_SAFE_INTEGER)
})

test('large data is left out, and its size reported', (t) => {
  const db = outboxOf(t)
  for (const size of [sliceBytes, sliceBytes + 1]) insert(db, { data: Buffer.alloc(size, 7) })
  insert(db, { data: 'next' })
  deepEqual(
    all(db).map(({ dataBytes, data }) => [dataBytes, data.length]),
    [
      [sliceBytes, sliceBytes],
      [sliceBytes + 1, 0],
      [4, 4],
    ],
  )
})

test('one row is packed as it is among many', (t) => {
  const db = outboxOf(t)
  insert(db, { token: 'é', headers: '{}', data: Buffer.from([0, 255]) })
  const one = db
    .prepare<[number], Buffer>(packedOne('FROM mqout AS o WHERE id = 1'))
    .pluck()
    .get(sliceBytes)
  deepEqual(unpack(one, sliceBytes), all(db))
})
