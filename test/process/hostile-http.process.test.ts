/**
 * Attackers at the HTTP port of a daemon with a small heap: rows of an honest peer go on beside
 * them, memory is bounded, signs of life are served, and a password cannot be guessed at a pace.
 */
import { equal, ok } from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HonestRows } from '../support/honest-rows.ts'
import { HttpAttack, type AttackOrder } from '../support/http-attack.ts'
import type { Machine } from '../support/machine.ts'
import { PageClient } from '../support/page-client.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const password = 'correct horse battery'
const smallHeap = ['--max-old-space-size=64']
const growthMebibytesMax = 64
/** Of the rate alone. The attacker takes a processor of this machine too. */
const shareMin = 0.3
const aloneMs = 1_500
const besideMs = 3_000

const basic = (text: string): string => `Basic ${Buffer.from(`x:${text}`).toString('base64')}`
const own = { authorization: basic(password) }
const request = (path: string, guess: string): string =>
  `GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: ${basic(guess)}\r\n\r\n`

function residentMebibytes({ daemon }: Machine): number {
  const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024
}

type Target = { readonly machine: Machine; readonly rows: HonestRows; readonly page: PageClient }

async function target(context: TestContext): Promise<Target> {
  const scene = new TestEnvironment(context)
  const passwordFile = join(scene.directory, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  const peer = await scene.running('peer')
  const machine = await scene.machine('machine', { nodeArgs: smallHeap })
  await machine.start('--http-password-file', passwordFile)
  const page = new PageClient(machine.port)
  // What answers HTTP is loaded with the first question.
  equal((await page.ask('/api/overview', { headers: own })).status, 200)
  return { machine, rows: new HonestRows(peer, machine), page }
}

async function healthzMs(page: PageClient): Promise<number> {
  const { text, tookMs } = await page.ask('/healthz')
  equal(text, 'ok\n')
  return tookMs
}

const attacks: readonly { readonly name: string; readonly order: Omit<AttackOrder, 'port'> }[] = [
  {
    name: 'guesses of the password in one burst after the other',
    order: {
      connections: 60,
      burst: Array.from({ length: 200 }, (_, at) => request('/metrics', `guess ${at}`)).join(''),
      everyMs: 50,
      pauseMs: 50,
    },
  },
  {
    name: 'requests without a password, a thousand at a time',
    order: {
      connections: 60,
      burst: 'GET /api/overview HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(1_000),
      everyMs: 50,
      pauseMs: 50,
    },
  },
  {
    name: 'connections that are made and left',
    order: { connections: 200, burst: 'GET / HTTP/1.1\r\n', everyMs: undefined, pauseMs: 50 },
  },
]

for (const { name, order } of attacks) {
  test(`rows go on and memory is bounded beside ${name}`, async (t) => {
    const { machine, rows } = await target(t)
    await rows.rateFor(500)
    const alone = await rows.rateFor(aloneMs)
    const before = residentMebibytes(machine)
    const attack = new HttpAttack({ port: machine.port, ...order })
    t.after(async () => attack.terminate())
    const beside = await rows.rateFor(besideMs)
    const grown = residentMebibytes(machine) - before
    const { opened, bytesSent } = await attack.end()
    t.diagnostic(
      `${alone.toFixed(0)} rows/s alone, ${beside.toFixed(0)} beside ${opened} connections with ` +
        `${(bytesSent / 1_048_576).toFixed(1)} MiB; the daemon grew by ${grown.toFixed(1)} MiB`,
    )
    rows.check()
    ok(beside >= shareMin * alone, `${beside} rows/s, alone ${alone}`)
    ok(grown < growthMebibytesMax, `It grew by ${grown} MiB.`)
  })
}

test('a few guesses are compared, whatever is sent at once', async (t) => {
  const { machine, page } = await target(t)
  let reported = ''
  for (let at = 0; at < 20; at++) {
    const socket = connect({ host: '127.0.0.1', port: machine.port })
    socket
      .on('error', () => {})
      .on('data', (bytes: Buffer) => (reported += bytes.toString('latin1')))
    const guesses = Array.from({ length: 1_000 }, (_, one) => `guess ${at} ${one}`)
    if (at === 7) guesses[500] = password
    socket.write(guesses.map((guess) => request('/metrics', guess)).join(''))
    t.after(() => socket.destroy())
  }
  await sleep(3_000)
  ok(!reported.includes('HTTP/1.1 200'), 'The right one among them is not answered.')
  // Another address is not held up by this one.
  const other = new PageClient(machine.port, { from: '127.0.0.2' })
  const { status, text } = await other.ask('/metrics', { headers: own })
  equal(status, 200)
  const compared = Number(/HTTP_PASSWORD"\} (\d+)/.exec(text)?.[1] ?? 0)
  t.diagnostic(`${compared} of 20,000 guesses were compared in 3 s`)
  ok(compared <= 12, `${compared} were compared.`)
  await healthzMs(page)
})

test('signs of life are served whoever holds the connections', async (t) => {
  const { machine, page, rows } = await target(t)
  const holds = [
    { connections: 80, burst: request('/api/events', password) },
    { connections: 200, burst: '' },
  ].map(
    (order) => new HttpAttack({ port: machine.port, ...order, everyMs: undefined, pauseMs: 500 }),
  )
  for (const hold of holds) t.after(async () => hold.terminate())
  await sleep(1_000)
  const times: number[] = []
  for (let at = 0; at < 20; at++) {
    times.push(await healthzMs(page))
    await sleep(50)
  }
  equal((await page.ask('/readyz')).text, 'ok\n')
  equal(
    (await new PageClient(machine.port, { from: '127.0.0.2' }).ask('/metrics', { headers: own }))
      .status,
    200,
  )
  for (const hold of holds) await hold.end()
  t.diagnostic(`/healthz took ${Math.max(...times).toFixed(0)} ms at most`)
  await rows.rateFor(100)
  rows.check()
})
