import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { fromSqlite, TinymqError, translated } from './errors.ts'

const betterSqlite3 = (code: string, message = ''): Error =>
  Object.assign(new Error(message), { name: 'SqliteError', code })
const nodeSqlite = (errcode: number, message = ''): Error =>
  Object.assign(new Error(message), { code: 'ERR_SQLITE_ERROR', errcode })

const codes: readonly (readonly [string, number, string])[] = [
  ['SQLITE_BUSY', 5, 'TINYMQ_BUSY'],
  ['SQLITE_BUSY_SNAPSHOT', 517, 'TINYMQ_BUSY'],
  ['SQLITE_LOCKED', 6, 'TINYMQ_BUSY'],
  ['SQLITE_FULL', 13, 'TINYMQ_DISK_FULL'],
  ['SQLITE_CORRUPT_VTAB', 267, 'TINYMQ_CORRUPT'],
  ['SQLITE_NOTADB', 26, 'TINYMQ_NOT_A_DATABASE'],
  ['SQLITE_READONLY_DBMOVED', 1032, 'TINYMQ_READ_ONLY'],
  ['SQLITE_CANTOPEN', 14, 'TINYMQ_CANNOT_OPEN'],
  ['SQLITE_IOERR_FSYNC', 1034, 'TINYMQ_IO'],
  ['SQLITE_TOOBIG', 18, 'TINYMQ_TOO_LARGE'],
  ['SQLITE_CONSTRAINT_UNIQUE', 2067, 'TINYMQ_SQLITE'],
]

test('result codes of SQLite become codes of ours, from both kinds of connection', () => {
  for (const [name, number, code] of codes) {
    for (const cause of [betterSqlite3(name, 'its words'), nodeSqlite(number, 'its words')]) {
      const error = fromSqlite(cause)
      assert.ok(error instanceof TinymqError)
      assert.equal(error.code, code)
      assert.equal(error.message, 'SQLite says: its words')
      assert.equal(error.cause, cause)
      assert.equal(error.retryable, ['TINYMQ_BUSY', 'TINYMQ_DISK_FULL'].includes(code))
    }
  }
})

test('errors of another realm, as test runners have them, are errors too', () => {
  const texts = [
    "Object.assign(new Error('locked'), { code: 'ERR_SQLITE_ERROR', errcode: 5 })",
    "Object.assign(new Error('locked'), { code: 'SQLITE_BUSY' })",
    // As better-sqlite3 makes its own.
    `Object.assign(Object.create(Error.prototype),
      { code: 'SQLITE_BUSY', message: 'locked', stack: '' })`,
  ]
  for (const text of texts) {
    const cause: unknown = runInNewContext(text)
    assert.ok(!(cause instanceof Error))
    const error = fromSqlite(cause)
    assert.ok(error instanceof TinymqError, text)
    assert.deepEqual([error.code, error.retryable, error.cause], ['TINYMQ_BUSY', true, cause])
  }
  assert.equal(fromSqlite('a text'), 'a text')
  assert.equal(fromSqlite(null), null)
})

test('what a trigger says becomes the message, its code the code', () => {
  const says = 'tinymq: port must be a whole number (TINYMQ_INVALID_PORT)'
  for (const cause of [betterSqlite3('SQLITE_CONSTRAINT_TRIGGER', says), nodeSqlite(1811, says)]) {
    assert.throws(
      () =>
        translated(() => {
          throw cause
        }),
      { code: 'TINYMQ_INVALID_PORT', message: 'port must be a whole number', cause },
    )
  }
  const unknown = fromSqlite(nodeSqlite(1811, 'tinymq: from a newer schema (TINYMQ_NOT_YET)'))
  assert.ok(unknown instanceof TinymqError)
  assert.equal(unknown.code, 'TINYMQ_SQLITE')
})

test('what does not come from SQLite is left as it is', () => {
  for (const error of [new TypeError('a bug'), new TinymqError('TINYMQ_CLOSED', ''), 'text']) {
    assert.equal(fromSqlite(error), error)
  }
})

test('no file of the SDK identifies an error by its class', () => {
  const sdk = join(import.meta.dirname, '..')
  const files = globSync('**/*.ts', { cwd: sdk }).filter(
    (file) => !file.endsWith('.test.ts') && !file.startsWith('testing'),
  )
  assert.ok(files.length > 20)
  const isByClass = /instanceof (?:Type|Range|Syntax)?Error\b/
  const found = files.filter((file) => isByClass.test(readFileSync(join(sdk, file), 'utf8')))
  assert.deepEqual(found, [])
})
