import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../sdk/index.ts'
import { runLine, type Ran } from '../test/support/command-run.ts'
import { startDaemon } from '../daemon/daemon.ts'
import { examine, healthText, type Health } from '../daemon/diagnostics/liveness.ts'
import { lockInstance } from '../daemon/platform/files/instance-lock.ts'

// It goes after the tests: a daemon whose files go first writes a copy of them.
const scratch = mkdtempSync(join(tmpdir(), 'tinymq-check-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

function directory(): string {
  return mkdtempSync(join(scratch, 'test-'))
}

/** Where no option names it, the database is that of the variable. */
async function run(args: readonly string[], variable?: string): Promise<Ran> {
  if (variable === undefined) return runLine(['check', ...args])
  process.env['TINYMQ_DATABASE'] = variable
  try {
    return await runLine(['check', ...args])
  } finally {
    delete process.env['TINYMQ_DATABASE']
  }
}

function codeOf(health: Health): string {
  return health.healthy ? 'healthy' : health.code
}

test('a daemon that runs is healthy, on every way to name its database', async (context) => {
  const database = join(directory(), 'db')
  const daemon = await startDaemon({ database, port: 0 })
  context.after(async () => daemon.stop())
  const { code, out } = await run([database])
  equal(code, 0)
  match(out, new RegExp(`^healthy: The daemon \\(process ${process.pid} on .*\\) answers on UDP`))
  match(out, new RegExp(` port ${daemon.address.port}\\.\n$`))
  deepEqual(await run([], database), { code: 0, out, said: '' })
  deepEqual(await run(['-d', database]), { code: 0, out, said: '' })
  const json = JSON.parse((await run(['--json', database])).out) as Health
  deepEqual([json.healthy, json.database], [true, database])
})

test('with --wait it waits for a daemon that is about to start', async (context) => {
  const place = directory()
  const database = join(place, 'db')
  const waiting = run([database, '--wait', '30'])
  await sleep(200)
  deepEqual(readdirSync(place), [])
  const daemon = await startDaemon({ database, port: 0 })
  context.after(async () => daemon.stop())
  const { code, out } = await waiting
  equal(code, 0)
  match(out, /^healthy: /)
})

test('--wait ends when the time is over, and must be a time', async () => {
  const database = join(directory(), 'db')
  const beginMs = performance.now()
  const { code, out } = await run([database, '--wait', '0.3'])
  equal(code, 1)
  match(out, /TINYMQ_NO_DATABASE/)
  ok(performance.now() - beginMs >= 300)
  for (const wait of ['', '-1', 'soon', '1e9']) {
    const wrong = await run([database, `--wait=${wait}`])
    equal(wrong.code, 64)
    match(wrong.said, /'--wait <seconds>'.*It must be a number of seconds/)
  }
})

test('a daemon on one address is asked there', async (context) => {
  const database = join(directory(), 'db')
  const daemon = await startDaemon({ database, port: 0, bind: '127.0.0.2' })
  context.after(async () => daemon.stop())
  equal((await run([database])).code, 0)
})

test('without a file or a daemon it is not healthy, and nothing is made', async () => {
  const place = directory()
  const database = join(place, 'db')
  const missing = await run([database])
  equal(missing.code, 1)
  match(missing.out, /^not healthy: There is no file .*: start the .*\(TINYMQ_NO_DATABASE\)\n$/)
  deepEqual(readdirSync(place), [])
  await (await startDaemon({ database, port: 0 })).stop()
  const before = readdirSync(place)
  const stopped = await run([database, '--json'])
  equal(stopped.code, 1)
  equal(codeOf(JSON.parse(stopped.out) as Health), 'TINYMQ_NOT_RUNNING')
  deepEqual(readdirSync(place), before)
})

test('a daemon that holds the database and does not answer is not healthy', async (context) => {
  const database = join(directory(), 'db')
  open(database).close()
  const lock = lockInstance(database)
  context.after(() => lock.release())
  equal(codeOf(await examine(database, 50)), 'TINYMQ_STARTING')
  const unwatched = createSocket('udp4').bind(0, '127.0.0.1')
  context.after(() => unwatched.close())
  await once(unwatched, 'listening')
  lock.announce({ ip: '127.0.0.1', port: unwatched.address().port })
  const health = await examine(database, 50)
  equal(codeOf(health), 'TINYMQ_NO_ANSWER')
  match(healthText(health), /does not answer on UDP port \d+ for 50 ms: it hangs or/)
})

test('what answers must be a daemon, and answer this question', async (context) => {
  const database = join(directory(), 'db')
  open(database).close()
  const lock = lockInstance(database)
  context.after(() => lock.release())
  const echo = createSocket('udp4').bind(0, '127.0.0.1')
  context.after(() => echo.close())
  echo.on('message', (bytes, { port, address }) => {
    echo.send(bytes, port, address)
    echo.send(Buffer.from([0x50, 0, 1, 2, 3, 4, 5, 6, 7, 1, 1]), port, address)
  })
  await once(echo, 'listening')
  lock.announce({ ip: '127.0.0.1', port: echo.address().port })
  equal(codeOf(await examine(database, 50)), 'TINYMQ_NO_ANSWER')
})

test('tables that are missing, and a file that is no database, are reported', async (context) => {
  for (const [content, code] of [
    ['', 'TINYMQ_NO_SCHEMA'],
    ['This is a diary.\n'.repeat(100), 'TINYMQ_NOT_A_DATABASE'],
  ] as const) {
    const database = join(directory(), 'db')
    writeFileSync(database, content)
    const lock = lockInstance(database)
    context.after(() => lock.release())
    equal(codeOf(await examine(database, 50)), code)
  }
})

test('a wrong call is reported, and how to learn more: 64', async () => {
  for (const args of [['--nope'], ['a', 'b'], ['']]) {
    const { code, out, said } = await run(args)
    equal(code, 64)
    equal(out, '')
    match(said, /^tinymq: .*--help says more/s)
  }
  const help = await run(['--help'])
  equal(help.code, 0)
  match(help.out, /^Usage: tinymq check /)
})
