import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { isNodeTooOld, openDatabase, refuseUnsafeFilesystem } from './open-database.ts'
import { open } from '../index.ts'
import { scratchPath, shell } from '../../test/support/scratch.ts'

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('a new file is in WAL mode and closed to others', (t) => {
  const path = scratchPath(t)
  const db = openDatabase(path)
  t.after(() => db.close())
  db.exec('CREATE TABLE a (b)')
  assert.equal(db.pragma('journal_mode', { simple: true }), 'wal')
  assert.equal(db.pragma('busy_timeout', { simple: true }), 5000)
  const modes = [path, `${path}-wal`, `${path}-shm`].map(modeOf)
  assert.match(modes.join(), /^(?<mode>6[0246]0),\k<mode>,\k<mode>$/)
})

test('a file that is there keeps its mode, also behind a symbolic link', (t) => {
  const path = scratchPath(t)
  writeFileSync(path, '')
  chmodSync(path, 0o604)
  const link = `${path}.link`
  symlinkSync(path, link)
  openDatabase(link).close()
  assert.equal(modeOf(path), '604')
})

test('a database in memory is opened without a file', () => {
  const db = openDatabase(':memory:')
  assert.ok(db.memory)
  db.close()
})

test('a directory that is missing, or in the place of the file, is named in the error', (t) => {
  const path = scratchPath(t)
  const missing = join(path, 'deeper', 'mq.db')
  assert.throws(() => openDatabase(missing), {
    code: 'TINYMQ_CANNOT_OPEN',
    message: `there is no directory ${dirname(missing)} for the database: create it first`,
  })
  mkdirSync(path)
  assert.throws(() => openDatabase(path), { code: 'TINYMQ_CANNOT_OPEN' })
})

test('a URI is no path, and says which path would be', (t) => {
  const path = scratchPath(t)
  for (const uri of [`file:${path}`, 'sqlite:app.db', 'libsql://app', 'https://app/db', 'FILE:x']) {
    const isRefused = { code: 'TINYMQ_CANNOT_OPEN', message: /is a URI, and the path of a file/ }
    assert.throws(() => open(uri), isRefused)
    assert.throws(() => openDatabase(uri), isRefused)
  }
  assert.ok(!existsSync(path))
})

test('with create: false, what is missing is not made', (t) => {
  const path = scratchPath(t)
  assert.throws(() => open(path, { create: false }), { code: 'TINYMQ_NO_DATABASE' })
  assert.ok(!existsSync(path))
  shell(path, 'CREATE TABLE mine (x);')
  assert.throws(() => open(path, { create: false }), { code: 'TINYMQ_NO_SCHEMA' })
  assert.equal(shell(path, 'SELECT count(*) FROM sqlite_master;').output.trim(), '1')
  open(path).close()
  open(path, { create: false }).close()
  const wrong = { create: 'no' } as unknown as { create: boolean }
  assert.throws(() => open(path, wrong), { code: 'TINYMQ_INVALID_ARGUMENT' })
})

test('a file that is not a database is rejected', (t) => {
  const path = scratchPath(t)
  writeFileSync(path, 'a text that is longer than the header of a database is\n'.repeat(20))
  assert.throws(() => openDatabase(path), { code: 'TINYMQ_NOT_A_DATABASE' })
})

test('file systems on which WAL breaks are rejected with the way out', () => {
  for (const type of [0x65735546, 0x01021997, 0x6969, 0xff534d42, 0xfe534d42, 0x00c36400]) {
    assert.throws(() => refuseUnsafeFilesystem(type, '/shared/mq.db'), {
      code: 'TINYMQ_UNSAFE_FILESYSTEM',
      message: /^\/shared\/mq\.db is on .+: put it on a disk of this machine/,
    })
  }
  for (const type of [0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x1a]) {
    refuseUnsafeFilesystem(type, '/local/mq.db')
  }
})

test('Node.js below 22.14 is informed so before the addon is loaded', () => {
  const versions = ['18.20.0', '20.20.2', '22.13.9', '22.14.0', '24.0.0']
  assert.deepEqual(versions.filter(isNodeTooOld), ['18.20.0', '20.20.2', '22.13.9'])
})

for (const [options, expected] of [
  [{}, 2],
  [{ synchronous: 'full' }, 2],
  [{ synchronous: 'normal' }, 1],
] as const) {
  test(`open(path, ${JSON.stringify(options)}) commits with synchronous ${expected}`, async (t) => {
    const path = scratchPath(t)
    open(path).close()
    const mq = open(path, options)
    t.after(() => mq.close())
    shell(path, "INSERT INTO mqin (arrived_at, data) VALUES (1, 'x');")
    let seen: unknown
    await mq.consumeInTransaction((_, db) => {
      seen = db.prepare('PRAGMA synchronous').get()
      void mq.drain()
    })
    assert.deepEqual({ ...(seen as object) }, { synchronous: expected })
  })
}

test('what SQLite would break the file with is no choice, nor is one for your connection', (t) => {
  const path = scratchPath(t)
  const wrong = { synchronous: 'off' } as unknown as { synchronous: 'full' }
  assert.throws(() => open(path, wrong), { code: 'TINYMQ_INVALID_ARGUMENT' })
  const db = openDatabase(path)
  t.after(() => db.close())
  const both = open as unknown as (target: unknown, options: unknown) => void
  assert.throws(() => both({ db }, { synchronous: 'full' }), { code: 'TINYMQ_INVALID_ARGUMENT' })
})

test('a link to nothing is not followed', (t) => {
  const path = scratchPath(t)
  symlinkSync(join(dirname(path), 'elsewhere'), path)
  assert.throws(() => openDatabase(path), {
    code: 'TINYMQ_CANNOT_OPEN',
    message: /it is a link to nothing/,
  })
  assert.ok(!existsSync(join(dirname(path), 'elsewhere')))
})
