/**
 * Another user of the machine, who may enter the directory of the database and read none of its
 * files: what he gets of messages, and what he can keep the daemon from.
 */
import { equal, match, ok } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { test as testOf, type TestContext } from 'node:test'
import { pageTokenPath } from '../../daemon/platform/files/page-token.ts'
import type { Machine } from '../support/machine.ts'
import { needs } from '../support/needs.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const skip = needs('root', 'curl', 'sqlite3')
const test = (name: string, run: (t: TestContext) => Promise<void>): void =>
  void testOf(name, { skip }, run)

const asNobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']

type Ran = { readonly code: number; readonly text: string }

async function run(...words: readonly string[]): Promise<Ran> {
  const [command = '', ...args] = words
  const { promise, resolve } = Promise.withResolvers<Ran>()
  execFile(command, args, { timeout: 10_000 }, (error, stdout, stderr) => {
    resolve({ code: Number(error?.code ?? 0), text: stdout + stderr })
  })
  return promise
}

/** A daemon with a message in its inbox, in a directory that everybody may enter. */
async function shared(context: TestContext): Promise<{ scene: TestEnvironment; machine: Machine }> {
  const scene = new TestEnvironment(context)
  chmodSync(scene.directory, 0o755)
  const machine = await scene.running('machine')
  const to = `'127.0.0.1', ${machine.port}`
  await machine.sql(`INSERT INTO mqout (host, port, data) VALUES (${to}, 'card 4111-1111');`)
  await machine.sentAll(10_000)
  return { scene, machine }
}

test('he reads no message: not in a file, not over HTTP', async (t) => {
  const { scene, machine } = await shared(t)
  for (const name of readdirSync(scene.directory)) {
    const path = join(scene.directory, name)
    equal(statSync(path).mode & 0o007, 0, `${name} is nobody else's`)
    equal((await run(...asNobody, 'cat', path)).code, 1, name)
  }
  const page = `http://127.0.0.1:${machine.port}`
  for (const path of ['/api/inbox/1', '/api/inbox?search=4111&by=text', '/api/overview']) {
    const { text } = await run(...asNobody, 'curl', '--silent', page + path)
    ok(!text.includes('card'), text)
    match(text, /"HTTP_TOKEN".*tinymq ui opens the page.*curl -H @/)
  }
  const act = ['--request', 'POST', '--header', 'x-tinymq: 1']
  match(
    (await run(...asNobody, 'curl', '--silent', ...act, `${page}/api/inbox/1/redrive`)).text,
    /403|HTTP_/,
  )
  // The owner does what the answer says.
  const token = `@${pageTokenPath(machine.database)}`
  const { text } = await run('curl', '--silent', '-H', token, `${page}/api/inbox/1`)
  match(text, /card 4111-1111/)
  equal((await run(...asNobody, 'curl', '--silent', `${page}/healthz`)).text, 'ok\n')
})

const nobody = 65_534
const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'tinymq.js')

test('he keeps no daemon from starting', async (t) => {
  const { machine } = await shared(t)
  await machine.daemon.stop()
  const lock = `${machine.database}-daemon`
  // As a version before has left it.
  chmodSync(lock, 0o644)
  await machine.start()
  await machine.daemon.stop()
  const held = await run(...asNobody, 'sqlite3', '-readonly', lock, 'BEGIN; SELECT * FROM holder;')
  match(held.text, /unable to open/)
})

test('a link that he has put in a shared place is not followed', async (t) => {
  const scene = new TestEnvironment(t)
  chmodSync(scene.directory, 0o1777)
  const link = join(scene.directory, 'link')
  symlinkSync(join(scene.directory, 'made'), link)
  const { text } = await run(process.execPath, program, '0', link)
  match(text, /link is a link, in a directory where everybody may/)
  ok(!existsSync(join(scene.directory, 'made')))
})

test('tinymq keys as root writes no ring of his', async (t) => {
  const scene = new TestEnvironment(t)
  const folder = join(scene.directory, 'his')
  const ring = join(folder, 'keys')
  const make = async (name = 'second'): Promise<Ran> =>
    run(process.execPath, program, 'keys', 'new', name, '--keys', ring)
  mkdirSync(folder)
  equal((await make('first')).code, 0)
  const before = readFileSync(ring, 'utf8')
  chownSync(ring, nobody, nobody)
  match((await make()).text, /not written: it belongs to uid 65534.*sudo -u '#65534' tinymq keys/)
  chownSync(ring, 0, 0)
  chownSync(folder, nobody, nobody)
  match((await make()).text, /not written: its directory .*his belongs to uid 65534/)
  equal(readFileSync(ring, 'utf8'), before)
  equal(readdirSync(folder).length, 1)
})
