/** Files of a database that are removed or go away while the daemon uses them. */
import { deepEqual, equal, match } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Machine } from '../support/machine.ts'
import { needs } from '../support/needs.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { besideProcess } from '../support/small-disk.ts'
import { sql } from '../support/sqlite-shell.ts'
import { until } from '../support/until.ts'

const removed = { mayEndWith: 66 }
const logRemoved = { mayEndWith: 74 }

async function hasEnded({ name, daemon }: Machine): Promise<string> {
  await until({ what: `${name} to end`, withinMs: 10_000 }, () => daemon.hasEnded)
  return daemon.complaints.join('\n')
}

function removeLog({ database }: Machine): void {
  for (const suffix of ['-wal', '-shm']) rmSync(database + suffix)
}

test('P1, P3: a sender whose -wal and -shm are removed loses no row', async (t) => {
  const scene = new TestEnvironment(t)
  const a = await scene.running('a', logRemoved)
  const b = await scene.running('b')
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 200 }))
  await a.sentAll(10_000)
  await a.sql('PRAGMA wal_checkpoint(TRUNCATE);')
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 201, last: 210 }))
  await a.sentAll(10_000)
  removeLog(a)
  match(await hasEnded(a), /-wal or -shm .* was removed .*\(TINYMQ_LOG_REMOVED\)/)
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 211, last: 300 }))
  await a.start()
  await a.sentAll(10_000)
  checkInbox(b.database, { a: 300 })
  equal(await a.sql('PRAGMA integrity_check;'), 'ok')
})

test('P3, P5: a receiver whose -wal and -shm are removed loses no row', async (t) => {
  const scene = new TestEnvironment(t)
  const a = await scene.running('a')
  const b = await scene.running('b', logRemoved)
  const last = 60_000
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last }))
  await b.shows('SELECT count(*) > 2000 FROM mqin;', /1/)
  removeLog(b)
  match(await hasEnded(b), /\(TINYMQ_LOG_REMOVED\)/)
  await b.start()
  await a.sentAll(60_000)
  checkInbox(b.database, { a: last })
  equal(await b.sql('PRAGMA integrity_check;'), 'ok')
  equal(await b.sql('SELECT count(*) FROM mqevent;'), '0')
})

test('P1: a database that is removed under its daemon is saved, and none is made', async (t) => {
  const scene = new TestEnvironment(t)
  const a = await scene.running('a', removed)
  await a.sql(insertNumbered({ sender: 'a', to: await scene.nowhere(), first: 1, last: 10 }))
  for (const suffix of ['', '-wal', '-shm']) rmSync(a.database + suffix)
  const said = await hasEnded(a)
  match(said, /was removed while the daemon used it.*\(TINYMQ_DATABASE_REMOVED\)/)
  const files = readdirSync(scene.directory)
  deepEqual(
    files.filter((file) => /^a\.db(?:-wal|-shm)?$/.test(file)),
    [],
  )
  await a.start()
  const created = a.logged('database-created').at(-1)
  const saved = created?.['saved']
  equal(created?.level, 'warn')
  equal(said.includes(String(saved)), true)
  equal(await sql(join(scene.directory, String(saved)), 'SELECT count(*) FROM mqout;'), '10')
})

const skip = needs('root')

test('P5: a volume that goes away and returns has all its rows', { skip }, async (t) => {
  const scene = new TestEnvironment(t)
  const [volume, point] = [join(scene.directory, 'volume'), join(scene.directory, 'point')]
  mkdirSync(volume)
  mkdirSync(point)
  const script = 'mount --bind "$0" "$1" && shift && exec "$@"'
  const namespace = ['unshare', '--mount', '--propagation', 'private']
  const b = await scene.running('b', {
    ...removed,
    database: join(point, 'b.db'),
    prefix: [...namespace, 'sh', '-c', script, volume, point],
    shellPrefix: besideProcess,
  })
  const a = await scene.running('a')
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: 10 }))
  await a.sentAll(10_000)
  const [enter = '', ...words] = besideProcess(b.daemon.pid)
  execFileSync(enter, [...words, 'umount', '--lazy', point])
  match(await hasEnded(b), /volume was unmounted.*\(TINYMQ_VOLUME_GONE\)/)
  deepEqual(readdirSync(point), [])
  await a.sql(insertNumbered({ sender: 'a', to: b, first: 11, last: 20 }))
  await b.start('--create', 'never')
  await a.sentAll(30_000)
  checkInbox(join(volume, 'b.db'), { a: 20 })
  equal(await a.sql('SELECT count(*) FROM mqevent;'), '0')
})

test('nothing is begun where the operator wants no new database', async (t) => {
  const scene = new TestEnvironment(t)
  const a = await scene.machine('a', removed)
  a.launch('--create', 'never')
  match(await hasEnded(a), /There is no database .*\(TINYMQ_NO_DATABASE\)/)
  deepEqual(readdirSync(scene.directory), [])
})
