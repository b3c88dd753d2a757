/** A name service that takes questions and never answers, and what else keeps threads busy. */
import { equal, ok } from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import Database from 'better-sqlite3'
import type { Machine } from './harness/machine.ts'
import { needs } from './harness/needs.ts'
import { Scene } from './harness/scene.ts'
import { fillDiskWhole, smallDisk } from './harness/small-disk.ts'

const skip = needs('root')
/** Three of them, as /etc/resolv.conf takes at most: the system asks one after the other. */
const silentServers = ['127.0.0.71', '127.0.0.72', '127.0.0.73']
/** More than are looked up at a time. */
const hanging = 60
/** On a busy machine; alone it takes a tenth of it. */
const goodMsMax = 5_000
const stopMsMax = 5_000

/** A machine with a name service that hangs; `good.test` is in its /etc/hosts. */
async function withHangingNames(t: TestContext, scene: Scene): Promise<Machine> {
  const resolve = join(scene.directory, 'resolv.conf')
  const hosts = join(scene.directory, 'hosts')
  writeFileSync(resolve, silentServers.map((ip) => `nameserver ${ip}\n`).join(''))
  writeFileSync(hosts, '127.0.0.1 localhost good.test\n')
  for (const ip of silentServers) {
    const socket = createSocket('udp4').bind(53, ip)
    t.after(() => socket.close())
    await once(socket, 'listening')
  }
  const script =
    'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/hosts && shift && exec "$@"'
  const prefix = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script]
  return scene.running('a', { prefix: [...prefix, resolve, hosts] })
}

async function stopMs(machine: Machine): Promise<number> {
  const start = performance.now()
  equal(await machine.daemon.stop(), '0')
  return performance.now() - start
}

test('P6: names that hang delay neither other names nor the end', { skip }, async (t) => {
  const scene = new Scene(t)
  const a = await withHangingNames(t, scene)
  const b = await scene.running('b')
  const slow = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${hanging})
    INSERT INTO mqout (host, data) SELECT 'host' || i || '.slow.test', 'x' FROM n;`
  await a.sql(slow)
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
  const scene = new Scene(t)
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
  const scene = new Scene(t)
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
