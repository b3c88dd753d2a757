/** A receiver and a sender whose disk is full. */
import { equal, match, ok, rejects } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownEnvironment } from '../support/daemon-process.ts'
import { needs } from '../support/needs.ts'
import { checkInbox, insertNumbered } from '../support/numbered.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { fillDisk, fillDiskWhole, smallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'

const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'tinymq.js')
const messages = 30_000
const diskMebibytes = 80
const freeMebibytes = 8
const resumeMsMax = 10_000

const skip = needs('root')

test(
  'P5, P9: a full disk at the receiver is back-pressure, and it goes on by itself',
  { skip },
  async (t) => {
    const scene = new TestEnvironment(t)
    const { directory, machine } = smallDisk(scene.directory, 'b', diskMebibytes)
    const a = await scene.running('a')
    const b = await scene.running('b', machine)
    const empty = fillDisk(b.daemon.pid, directory, diskMebibytes - freeMebibytes)
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: messages, bytes: 500 }))
    const reason = await a.shows(
      'SELECT state, reason FROM mqstatus ORDER BY id LIMIT 1;',
      /\(TINYMQ_PEER_STORE\)/,
      30_000,
    )
    t.diagnostic(reason)
    const before = Number(await b.sql('SELECT count(*) FROM mqin;'))
    ok(before > 0 && before < messages)
    ok(Number(await a.sql('SELECT count(*) FROM mqout;')) >= messages - before)

    empty()
    const start = performance.now()
    const what = 'more to arrive after space has returned'
    await until({ what, withinMs: resumeMsMax }, async () => {
      return Number(await b.sql('SELECT count(*) FROM mqin;')) > before
    })
    const wentOnMs = performance.now() - start
    t.diagnostic(`${before} fitted; it went on ${wentOnMs.toFixed(0)} ms after there was space`)
    await a.sentAll(60_000)
    const copy = join(scene.directory, 'b-copy.db')
    await b.sql(`VACUUM INTO '${copy}';`)
    checkInbox(copy, { a: messages })
    equal(await b.sql('PRAGMA integrity_check;'), 'ok')
  },
)

test(
  'P1, P5, P9: a full disk at the sender loses nothing, and it goes on by itself',
  { skip },
  async (t) => {
    const scene = new TestEnvironment(t)
    const { directory, machine } = smallDisk(scene.directory, 'a', diskMebibytes)
    const a = await scene.running('a', machine)
    const b = await scene.machine('b')
    await a.sql(insertNumbered({ sender: 'a', to: b, first: 1, last: messages, bytes: 500 }))
    await a.shows('SELECT DISTINCT state FROM mqstatus LIMIT 1;', /^waiting$/)
    // Without this, what must be written would find room in the WAL.
    await a.shows('PRAGMA wal_checkpoint(TRUNCATE);', /^0\|0\|0$/)
    const empty = fillDiskWhole(a.daemon.pid, directory)
    await b.start()
    const another = insertNumbered({ sender: 'late', to: b, first: 1, last: 1 })
    await rejects(a.sql(another), /database or disk is full/)
    const warning = await a.logs('TINYMQ_DISK_FULL', 60_000)
    t.diagnostic(JSON.stringify(warning))
    equal(await b.sql('SELECT count(*) FROM mqin;'), '0')

    empty()
    const start = performance.now()
    await b.shows('SELECT count(*) > 0 FROM mqin;', /^1$/, resumeMsMax)
    const wentOnMs = performance.now() - start
    t.diagnostic(`It went on ${wentOnMs.toFixed(0)} ms after there was space`)
    await a.sql(another)
    await a.sentAll(60_000)
    checkInbox(b.database, { a: messages, late: 1 })
    equal(await a.sql('PRAGMA integrity_check;'), 'ok')
  },
)

test('without inodes a start says what is full, whichever file cannot be made', { skip }, (t) => {
  const { directory } = new TestEnvironment(t)
  for (const inodes of [2, 3, 4, 5]) {
    const script = `mount -t tmpfs -o size=8m,nr_inodes=${inodes} tmpfs "$0" && exec "$@"`
    const inside = ['--mount', '--propagation', 'private', 'sh', '-c', script, directory]
    const database = join(directory, 'db')
    const daemon = [process.execPath, program, '9000', database, '--http', 'off']
    const { status, stderr } = spawnSync('unshare', [...inside, ...daemon], {
      encoding: 'utf8',
      timeout: 20_000,
      env: ownEnvironment(),
    })
    equal(status, 74, stderr)
    match(stderr, /no space left on device.*df -i.*Free space.*TINYMQ_DISK_FULL/)
  }
})
