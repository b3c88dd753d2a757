/** `tinymq demo` as somebody sees it who has just installed the package. */
import { deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import Database from 'better-sqlite3'

const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'tinymq.js')

type Ran = { readonly code: number | null; readonly out: string; readonly err: string }

/** Runs the demo with a directory of its own for what is temporary. */
class Stage {
  readonly directory = mkdtempSync(join(tmpdir(), 'tinymq-stage-'))
  readonly temporary = join(this.directory, 'tmp')

  constructor(t: TestContext) {
    mkdirSync(this.temporary)
    t.after(() => rmSync(this.directory, { recursive: true }))
  }

  /** @param onOut gets all of stdout so far; what it returns is sent as a signal. */
  async run(
    args: readonly string[],
    onOut: (out: string) => NodeJS.Signals | 'hang up' | undefined = () => undefined,
  ): Promise<Ran> {
    const env = { ...process.env, TMPDIR: this.temporary }
    const child = spawn(process.execPath, [program, 'demo', ...args], { env })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString()
      const signal = onOut(out)
      if (signal === 'hang up') child.stdout.destroy()
      else if (signal !== undefined) child.kill(signal)
    })
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, out, err }
  }
}

/** Every process that it says it has started is gone. */
function allGone(out: string): void {
  const pids = Array.from(out.matchAll(/process (\d+)/g), ([, pid]) => Number(pid))
  ok(pids.length >= 2)
  for (const pid of pids) throws(() => process.kill(pid, 0), /ESRCH/)
}

test('the demo lets messages cross, through the death of a daemon, and cleans up', async (t) => {
  const stage = new Stage(t)
  const startMs = performance.now()
  const { code, out, err } = await stage.run([])
  deepEqual([code, err], [0, ''])
  ok(performance.now() - startMs < 120_000)
  match(out, /MachineB> SELECT \* FROM mqin; .*\n {2}1 \| \S+ \| \d+ \| token \| "HelloMachineB/)
  match(out, /1000 rows, in order, each once/)
  match(out, /kill -9 .*\n.*\n.*\n {2}in flight \| on its way; the peer has not confirmed it/)
  match(out, /"sent while MachineB was dead"/)
  allGone(out)
  deepEqual(readdirSync(stage.temporary), [])
})

test('--keep leaves the databases in its directory, and never among other files', async (t) => {
  const stage = new Stage(t)
  const place = join(stage.directory, 'kept')
  const { code, out } = await stage.run(['--keep', place])
  equal(code, 0)
  allGone(out)
  const db = new Database(join(place, 'MachineB.db'))
  equal(db.prepare('SELECT count(*) FROM mqin').pluck().get(), 1_003)
  db.close()
  const again = await stage.run(['--keep', place])
  deepEqual([again.code, again.out], [64, ''])
  match(again.err, /is empty, and .*kept is not/)
})

test('Ctrl-C in the middle of it leaves nothing behind', async (t) => {
  const stage = new Stage(t)
  let isEnded = false
  const { code, out, err } = await stage.run([], (sofar) => {
    if (isEnded || !sofar.includes('HelloMachineA')) return undefined
    isEnded = true
    return 'SIGINT'
  })
  equal(code, 130)
  match(err, /ended before its time/)
  allGone(out)
  deepEqual(readdirSync(stage.temporary), [])
})

test('whoever stops reading, or closes the terminal, leaves nothing behind', async (t) => {
  for (const end of ['hang up', 'SIGHUP'] as const) {
    const stage = new Stage(t)
    const { code, out } = await stage.run([], (sofar) =>
      sofar.includes('HelloMachineA') ? end : undefined,
    )
    equal(code, 130, end)
    allGone(out)
    deepEqual(readdirSync(stage.temporary), [])
  }
})

test('--keep-running lets the daemons run until it is ended', async (t) => {
  const stage = new Stage(t)
  const { code, out } = await stage.run(['--keep-running'], (sofar) =>
    sofar.includes('Ctrl-C ends them') ? 'SIGTERM' : undefined,
  )
  equal(code, 0)
  allGone(out)
})

test('wrong options are reported', async (t) => {
  const { code, err } = await new Stage(t).run(['--bogus'])
  equal(code, 64)
  match(err, /bogus[^]*--help says more/)
})
