import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { countRows } from './sqlite-handle.ts'
import { scratchDatabase } from '../../test/support/scratch.ts'

const fill = (from: number, to: number, step = 1): string => `
  INSERT INTO mqin (id, arrived_at, data)
  WITH RECURSIVE n (i) AS (SELECT ${from} UNION ALL SELECT i + ${step} FROM n WHERE i < ${to})
  SELECT i, 1, 'x' FROM n`

test('few rows are counted, whatever their ids are', (t) => {
  const db = scratchDatabase(t)
  deepEqual(countRows(db, 'mqin'), { value: 0, isExact: true })
  db.exec(fill(1, 9_999))
  db.exec(fill(5_000_000_000_000, 5_000_000_000_000))
  deepEqual(countRows(db, 'mqin'), { value: 10_000, isExact: true })
})

test('many rows are estimated, and the estimate says that it is one', (t) => {
  const db = scratchDatabase(t)
  db.exec(fill(1_000, 100_999))
  deepEqual(countRows(db, 'mqin'), { value: 100_000, isExact: false })
  db.exec('DELETE FROM mqin WHERE id % 4 = 0')
  const { value, isExact } = countRows(db, 'mqin')
  deepEqual([value > 73_000, value < 77_000, isExact], [true, true, false])
})

test('rows that lie where no sample looks are still known to be many', (t) => {
  const db = scratchDatabase(t)
  db.exec(fill(1, 1))
  db.exec(fill(500_000_001, 500_030_000))
  db.exec(fill(9_000_000_000, 9_000_000_000))
  const { value, isExact } = countRows(db, 'mqin')
  ok(value >= 10_000 && !isExact, String(value))
})
