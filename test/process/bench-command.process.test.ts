/** `tinymq bench` between two daemons: what it prints, leaves, and never touches. */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Machine } from '../support/machine.ts'
import { TestEnvironment } from '../support/test-environment.ts'

const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'tinymq.js')

type Ran = { readonly code: number | null; readonly out: string; readonly err: string }

class Command {
  out = ''
  err = ''
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown[]>

  constructor(machine: Machine, ...args: readonly string[]) {
    const all = [program, 'bench', '--database', machine.database, ...args]
    this.#child = spawn(process.execPath, all)
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()))
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.err += chunk.toString()))
    this.#ended = once(this.#child, 'close')
  }

  /** Resolves when it has said something. */
  async said(): Promise<void> {
    if (this.err === '' && this.#child.stderr !== null) await once(this.#child.stderr, 'data')
  }

  async end(signal?: NodeJS.Signals): Promise<Ran> {
    if (signal !== undefined) this.#child.kill(signal)
    const [code] = (await this.#ended) as [number | null]
    return { code, out: this.out, err: this.err }
  }
}

async function pair(t: TestContext): Promise<readonly [Machine, Machine]> {
  const scene = new TestEnvironment(t)
  return [await scene.running('a'), await scene.running('b')]
}

const count = async (machine: Machine, table: string): Promise<string> =>
  machine.sql(`SELECT count(*) FROM ${table};`)

test('with somebody who serves, it measures and nothing is left on either side', async (t) => {
  const [a, b] = await pair(t)
  await b.sql(`INSERT INTO mqin (token, arrived_at, headers, data) VALUES
    ('tinymq-bench', 1, NULL, 'not marked'), ('other', 1, '{"tinymq-bench":"row"}', 'other');`)
  const serving = new Command(b, '--serve')
  await serving.said()
  const words = ['localhost', '-p', String(b.port), '--rows', '3000', '--messages', '20']
  const { code, out, err } = await new Command(a, ...words, '--json').end()
  deepEqual([code, err], [0, ''])
  t.diagnostic(out.trim())
  const figures = JSON.parse(out) as Record<string, unknown>
  for (const name of ['rowsPerSecond', 'bytesPerSecond', 'localRowsPerSecond']) {
    ok(Number(figures[name]) > 0, `${name}: ${String(figures[name])}`)
  }
  for (const name of ['deliveredMs', 'answeredMs', 'localCommitMs']) {
    const { p50, p99 } = figures[name] as { p50: number; p99: number }
    ok(p50 > 0 && p99 >= p50, name)
  }
  const text = await new Command(a, ...words).end()
  match(
    text.out,
    /^3,000 rows of 100 B to localhost:\d+\n {2}on the disk at the receiver +[\d,]+ rows/,
  )
  equal((await serving.end('SIGINT')).out, '6,082 rows taken\n')
  deepEqual([await count(a, 'mqout'), await count(a, 'mqin')], ['0', '0'])
  equal(await b.sql('SELECT group_concat(data) FROM mqin;'), 'not marked,other')
})

test('a host where nobody serves gets one row and no more, unless that is wanted', async (t) => {
  const [a, b] = await pair(t)
  const words = ['localhost', '-p', String(b.port), '--rows', '50', '--messages', '5']
  const refused = await new Command(a, ...words).end()
  equal(refused.code, 1)
  match(refused.err, /nobody takes the rows away .*tinymq bench --serve/)
  equal(await count(b, 'mqin'), '1')
  const left = await new Command(a, ...words, '--leave').end()
  equal(left.code, 0, left.err)
  match(left.err, /^tinymq: 56 rows are in mqin at the receiver now\. To remove them there: DELETE/)
  equal(await count(b, 'mqin'), '57')
  await b.sql(`${/DELETE.*;/.exec(left.err)?.[0]}`)
  deepEqual([await count(b, 'mqin'), await count(a, 'mqout')], ['0', '0'])
})

test('a host that is not there, and one that other rows wait for, are not measured', async (t) => {
  const scene = new TestEnvironment(t)
  const a = await scene.running('a')
  const nowhere = await scene.nowhere()
  const words = ['127.0.0.1', '-p', String(nowhere.port)]
  const unreachable = await new Command(a, ...words).end()
  equal(unreachable.code, 1)
  match(unreachable.err, /no row reaches 127\.0\.0\.1:\d+: .*tinymq doctor says more/)
  equal(await count(a, 'mqout'), '0')
  await a.sql(`INSERT INTO mqout (host, port, data) VALUES ('127.0.0.1', ${nowhere.port}, 'x');`)
  const busy = await new Command(a, ...words).end()
  equal(busy.code, 64)
  match(busy.err, /rows wait for .* already, and would be measured too/)
  equal((await new Command(a).end()).code, 64)
  equal((await new Command(a, 'b', '--serve').end()).code, 64)
})

test('Ctrl-C takes back what has not left', async (t) => {
  const [a, b] = await pair(t)
  const command = new Command(a, 'localhost', '-p', String(b.port), '--leave', '--rows', '9000000')
  await a.shows('SELECT count(*) > 5000 FROM mqout;', /^1$/, 60_000)
  const { code, err } = await command.end('SIGINT')
  equal(code, 130)
  match(err, /ended before its time/)
  equal(await count(a, 'mqout'), '0')
})
