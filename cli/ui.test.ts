import { deepEqual, equal, match } from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { startDaemon, type DaemonOptions } from '../daemon/daemon.ts'
import { lockInstance } from '../daemon/platform/files/instance-lock.ts'
import { runLine, type Ran } from '../test/support/command-run.ts'

// It goes after the tests: a daemon whose files go first writes a copy of them.
const scratch = mkdtempSync(join(tmpdir(), 'tinymq-ui-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

const run = async (...args: readonly string[]): Promise<Ran> => runLine(['ui', ...args])

function databasePath(): string {
  return join(mkdtempSync(join(scratch, 'test-')), 'db')
}

/** The path of a database on which a daemon runs. */
async function served(context: TestContext, options: Partial<DaemonOptions>): Promise<string> {
  const database = databasePath()
  const daemon = await startDaemon({ database, port: 0, bind: '127.0.0.1', ...options })
  context.after(async () => daemon.stop())
  return database
}

test('the address of the page is that of the daemon, and leads to it', async (context) => {
  const database = await served(context, { http: { ip: '127.0.0.1', port: 0 } })
  const { code, out, said } = await run(database)
  deepEqual([code, said], [0, ''])
  match(out, /^http:\/\/127\.0\.0\.1:\d+\/#token=[\da-f]{48}\n$/)
  // What needs no build: the sources have no page before there is one.
  const token = new URL(out.trim()).hash.replace('#token=', '')
  const headers = { authorization: `Bearer ${token}` }
  equal((await fetch(new URL('api/overview', out.trim()))).status, 401)
  const overview = await fetch(new URL('api/overview', out.trim()), { headers })
  equal(overview.status, 200)
  const { node } = (await overview.json()) as { node: { database: string } }
  equal(node.database, database)
  const json = await run(database, '--json')
  deepEqual(JSON.parse(json.out), { url: out.trim() })
})

test('no page is distinguished from no daemon, and each says what to do', async (context) => {
  const off = await run(await served(context, { http: 'off' }))
  deepEqual([off.code, off.out], [1, ''])
  match(off.said, /has .*db, and its status page is off, .*: start it with --http/)
  const none = await run(databasePath(), '--json')
  equal(none.code, 1)
  const { url, sentence } = JSON.parse(none.out) as { url: null; sentence: string }
  equal(url, null)
  match(sentence, /no daemon has .*: start it \(tinymq 9000/)
})

test('a page that does not answer is no page', async (context) => {
  const path = databasePath()
  writeFileSync(path, '')
  const lock = lockInstance(path)
  context.after(() => lock.release())
  // Port 9 discards what comes, where anybody listens there at all.
  lock.announce({ ip: '127.0.0.1', port: 9 }, { ip: '127.0.0.1', port: 9 })
  const { code, said } = await run(path)
  equal(code, 1)
  match(said, /nothing answers at http:\/\/127\.0\.0\.1:9\/, where the daemon .*: it hangs/)
})

test('wrong options are reported, and help is help', async () => {
  equal((await run('a', 'b')).code, 64)
  match((await run('--bogus')).said, /bogus/)
  match((await run('--help')).out, /^Usage: tinymq ui/)
})
