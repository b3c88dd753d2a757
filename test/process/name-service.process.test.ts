/** A name service that takes questions and never answers, and what else keeps threads busy. */
import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import Database from 'better-sqlite3'
import { rowsToHangingNames, withHangingNames } from '../support/hanging-names.ts'
import type { Machine } from '../support/machine.ts'
import { needs } from '../support/needs.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { fillDiskWhole, smallDisk } from '../support/small-disk.ts'

const skip = needs('root')
/** More than are looked up at a time. */
const hanging = 60
/** On a busy machine; alone it takes a tenth of it. */
const goodMsMax = 5_000
const stopMsMax = 5_000

async function stopMs(machine: Machine): Promise<number> {
  const start = performance.now()
  equal(await machine.daemon.stop(), '0')
  return performance.now() - start
}

test('P6: names that hang delay neither other names nor the end', { skip }, async (t) => {
  const scene = new TestEnvironment(t)
  const a = await withHangingNames(t, scene)
  const b = await scene.running('b')
  await a.sql(rowsToHangingNames(hanging))
  const unresolved = "SELECT count(*) FROM mqstatus WHERE reason LIKE '%(TINYMQ_UNRESOLVED)';"
  await a.shows(unresolved, new RegExp(`^${hanging}$`), 60_000)
  const start = performance.now()
  await a.sql(`INSERT INTO mqout (host, port, data) VALUES ('good.test', ${b.port}, 'good');`)
  await b.shows('SELECT data FROM mqin;', /^good$/, 30_000)
  const goodMs = performance.now() - start
  const endMs = await stopMs(a)
  t.diagnostic(`beside ${hanging} names: ${goodMs.toFixed(0)} ms, SIGTERM ${endMs.toFixed(0)} ms`)
  ok(goodMs < goodMsMax, `${goodMs} ms`)
  ok(endMs < stopMsMax, `${endMs} ms`)
})

test('a daemon ends within five seconds while somebody holds the write lock', async (t) => {
  const scene = new TestEnvironment(t)
  const [a, b] = [await scene.running('a'), await scene.running('b')]
  await a.sql(`INSERT INTO mqout (host, port, data) VALUES ('127.0.0.1', ${b.port}, 'one');`)
  await a.sentAll(10_000)
  const other = new Database(b.database)
  t.after(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  await a.sql(`INSERT INTO mqout (host, port, data) VALUES ('127.0.0.1', ${b.port}, 'two');`)
  const sent = "SELECT state FROM mqstatus WHERE state = 'in flight';"
  await a.shows(sent, /in flight/)
  const endMs = await stopMs(b)
  t.diagnostic(`SIGTERM ${endMs.toFixed(0)} ms`)
  ok(endMs < stopMsMax, `${endMs} ms`)
  other.exec('ROLLBACK')
  await b.start()
  await a.sentAll(60_000)
  equal(await b.sql('SELECT group_concat(data) FROM mqin;'), 'one,two')
})

test('a daemon ends within five seconds on a full disk', { skip }, async (t) => {
  const scene = new TestEnvironment(t)
  const { directory, machine } = smallDisk(scene.directory, 'b', 16)
  const a = await scene.running('a')
  const b = await scene.running('b', machine)
  await a.sql(`INSERT INTO mqout (host, port, data) VALUES ('127.0.0.1', ${b.port}, 'one');`)
  await a.sentAll(10_000)
  fillDiskWhole(b.daemon.pid, directory)
  await a.sql(`INSERT INTO mqout (host, port, data) VALUES ('127.0.0.1', ${b.port},
    hex(randomblob(1000000)));`)
  await a.shows('SELECT reason FROM mqstatus;', /\(TINYMQ_PEER_STORE\)/, 30_000)
  const endMs = await stopMs(b)
  t.diagnostic(`SIGTERM ${endMs.toFixed(0)} ms`)
  ok(endMs < stopMsMax, `${endMs} ms`)
})
