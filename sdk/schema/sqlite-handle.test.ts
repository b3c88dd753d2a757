import assert from 'node:assert/strict'
import { test } from 'node:test'
import { atomically, inTransaction, type SqliteHandle } from './sqlite-handle.ts'
import { drivers, scratchPath } from '../../test/support/scratch.ts'

/** A connection as node:sqlite has it before Node 22.16: it does not tell about transactions. */
function silent(db: SqliteHandle): SqliteHandle {
  return {
    exec: (sql) => db.exec(sql),
    prepare: (sql) => db.prepare(sql),
    close: () => db.close(),
  }
}

for (const [driver, connect] of drivers) {
  test(`${driver}: whether a transaction is open is known, also when nobody says so`, (t) => {
    const path = scratchPath(t)
    const db = connect(path)
    const other = connect(path)
    t.after(() => [db, other].map((connection) => connection.close()))
    db.exec('CREATE TABLE a (b)')
    for (const handle of [db, silent(db)]) {
      assert.equal(inTransaction(handle), false)
      db.exec('BEGIN')
      assert.equal(inTransaction(handle), true)
      db.exec('ROLLBACK')
      // The lock of somebody else is no transaction of ours.
      other.exec('BEGIN IMMEDIATE')
      assert.equal(inTransaction(handle), false)
      other.exec('ROLLBACK')
      atomically(handle, () => {
        db.exec('INSERT INTO a VALUES (1)')
        assert.throws(() =>
          atomically(handle, () => {
            db.exec('INSERT INTO a VALUES (2)')
            throw new Error('no')
          }),
        )
        assert.equal(inTransaction(handle), true)
      })
      assert.equal(inTransaction(handle), false)
    }
    assert.equal(db.prepare('SELECT * FROM a WHERE b = 1').all().length, 2)
    assert.equal(db.prepare('SELECT * FROM a').all().length, 2)
  })
}
