import { deepEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { scratchDatabase } from '../../../test/support/scratch.ts'
import { DestinationCounts } from './overview.ts'

const fill = (rows: number, host: string, token: string): string => `
  INSERT INTO mqout (host, port, token, created_at, data)
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
  SELECT ${host}, 9000, ${token}, 1000 + i, '' FROM n;`

test('few rows are counted for each place, many are estimated within a tenth', (context) => {
  const db = scratchDatabase(context)
  db.exec(fill(90_000, "CASE i % 3 WHEN 0 THEN 'few' ELSE 'many' END", "''"))
  db.exec("DELETE FROM mqout WHERE host = 'few' AND id > 30")
  const counts = new DestinationCounts(db)
  const destinations = ['few', 'many', 'none'].map((host) => ({ host, port: 9000 }))
  const [few, many, none] = counts.read(destinations)
  deepEqual(few, { waiting: { value: 10, isExact: true }, oldestAt: 1_003 })
  deepEqual([many?.waiting.isExact, many?.oldestAt], [false, 1_001])
  ok(Math.abs((many?.waiting.value ?? 0) - 60_000) < 6_000, String(many?.waiting.value))
  deepEqual(none, { waiting: { value: 0, isExact: true }, oldestAt: null })
})

test('with keys the tokens of a place are added, the empty one too', (context) => {
  const db = scratchDatabase(context)
  db.exec('DROP INDEX mqout_lane; CREATE INDEX mqout_lane ON mqout (host, port, token)')
  db.exec(fill(300, "'b'", "CASE i % 3 WHEN 0 THEN '' ELSE 't' || (i % 3) END"))
  const [destination] = new DestinationCounts(db).read([{ host: 'b', port: 9000 }])
  deepEqual(destination, { waiting: { value: 300, isExact: true }, oldestAt: 1_001 })
})
