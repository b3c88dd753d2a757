/**
 * `tinymq demo`: two real daemons on two database files, and messages that go both ways by plain
 * SQL. It ends by itself, with 0 when every message has arrived. Must never leave a process behind,
 * nor a file that was not asked for.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import type { Command } from 'commander'
import { invalid } from './command-line.ts'
import type { Context } from './context.ts'
import { CommitWatch } from '../sdk/commit-watch.ts'
import { answered } from '../sdk/waiters.ts'
import { exitInterrupted, TinymqError } from '../sdk/schema/errors.ts'
import { defaultDatabase } from '../sdk/schema/database-files.ts'

type Flags = { readonly keep?: string; readonly keepRunning?: true }

export function addDemo(program: Command, { terminal, end }: Context): void {
  const { signal } = terminal
  // Who does not read it any more ends it.
  const out = (text: string): void => void Promise.resolve(terminal.out(text)).catch(() => {})
  program
    .command('demo')
    .description(
      'start two daemons on this machine, each with a SQLite file of its own, let messages cross' +
        ' between them, kill one and start it again; it takes some seconds and cleans up behind' +
        ' itself',
    )
    .option('--keep <directory>', 'leave the two databases there: it must be empty or not exist')
    .option('--keep-running', 'let the daemons run until Ctrl-C, for you to play with')
    .action(async (flags: Flags) => {
      try {
        await run(flags, { out, signal })
      } catch (error) {
        if (error instanceof TinymqError) throw error
        const why = error instanceof Error ? error.message : String(error)
        terminal.say(`tinymq demo: ${signal.aborted ? 'ended before its time.' : why}\n`)
        end(signal.aborted ? exitInterrupted : 1)
      }
    })
}

type DemoIo = {
  readonly out: (text: string) => void
  /** Ends it before its time; everything is cleaned up all the same. */
  readonly signal: AbortSignal
}

async function run({ keep, keepRunning }: Flags, { out, signal }: DemoIo): Promise<void> {
  const directory = keep === undefined ? mkdtempSync(join(tmpdir(), 'tinymq-demo-')) : place(keep)
  const machine = (name: string): DemoMachine =>
    new DemoMachine(name, join(directory, `${name}.db`), signal)
  using _ = {
    [Symbol.dispose]: () => {
      if (keep === undefined) rmSync(directory, { recursive: true })
    },
  }
  await using a = machine('MachineA')
  await using b = machine('MachineB')
  const show = new Show({ a, b, out, signal })
  await show.play()
  if (keepRunning === true) await show.keepRunning()
  else show.sayWhatIsNext(keep === undefined ? undefined : directory)
}

/** @throws TinymqError when something is there already: nothing of the user's is touched. */
function place(path: string): string {
  const directory = resolve(path)
  mkdirSync(directory, { recursive: true })
  if (readdirSync(directory).length === 0) return directory
  throw invalid(`--keep needs a directory that is empty, and ${directory} is not`)
}

// What the demo shows, in order: every statement as a person would type it, what came of it, and
// how long that took. Must never print what did not happen.

type ShowParts = {
  readonly a: DemoMachine
  readonly b: DemoMachine
  readonly out: (text: string) => void
  readonly signal: AbortSignal
}

type Arrived = {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly token: string
  readonly bytes: number
  readonly text: string
}

const newRowsSql = `
  SELECT id, host, port, token, length(CAST(data AS BLOB)) AS bytes, substr(data, 1, 60) AS text
  FROM mqin WHERE id > ? ORDER BY id`

export class Show {
  readonly #parts: ShowParts

  constructor(parts: ShowParts) {
    this.#parts = parts
  }

  async play(): Promise<void> {
    const { a, b } = this.#parts
    this.#say('Two machines, each with one SQLite file and one daemon:')
    for (const machine of [a, b]) {
      await machine.start()
      const { name, port, path, pid } = machine
      this.#say(`  ${name}: tinymq ${port} ${path}   (process ${pid})`)
    }
    await this.#send(a, b, insertSql(b, "'HelloMachineBFromMachineA'"))
    await this.#send(b, a, insertSql(a, "'HelloMachineAFromMachineB'"))
    await this.#send(a, b, insertSql(b, `'Newlines,\n"quotes", colons: and 🐦 arrive as they are'`))
    await this.#send(b, a, insertSql(a, 'randomblob(1048576)'))
    await this.#send(a, b, thousandSql(b), 1_000)
    await this.#showOutage()
    await this.#showEmptied()
  }

  async keepRunning(): Promise<void> {
    const { a, b, signal } = this.#parts
    this.#say(
      `\nBoth daemons keep running. In another terminal:\n${nextLines(a, b)}\nCtrl-C ends them.`,
    )
    const { promise, resolve } = Promise.withResolvers<void>()
    if (signal.aborted) return
    signal.addEventListener('abort', () => resolve(), { once: true })
    await promise
  }

  /** `kept`: where the files are. */
  sayWhatIsNext(kept: string | undefined): void {
    const files = kept === undefined ? 'their files removed' : `their files are in ${kept}`
    this.#say(
      `\nBoth daemons are stopped now, and ${files}. To play with them: tinymq demo --keep-running`,
    )
    const directory = `sudo install -d -o "$(id -u)" ${dirname(defaultDatabase)}`
    const lines = `  ${directory}\n  tinymq 9000 ${defaultDatabase}\n`
    this.#say(`On your own machines, and on each of them:\n\n${lines}`)
  }

  /** Inserts at one machine, and shows what has come at the other and how long it took. */
  async #send(from: DemoMachine, to: DemoMachine, statement: string, count = 1): Promise<void> {
    const before = lastId(to)
    this.#say(`\n${from.name}> ${statement};`)
    from.exec(statement)
    const took = await this.#arrivals(to, before, count)
    this.#say(`${to.name}> SELECT * FROM mqin;   -- ${took} after the commit`)
    this.#print(to, before)
  }

  async #arrivals(to: DemoMachine, before: number, count: number): Promise<string> {
    const start = performance.now()
    await to.until(`the arrival of ${count} messages`, () => lastId(to) >= before + count)
    return `${(performance.now() - start).toFixed(1)} ms`
  }

  #print(to: DemoMachine, before: number): void {
    const rows = to.rows<Arrived>(newRowsSql, before)
    for (const { id, host, port, token, bytes, text } of rows.slice(0, 1)) {
      const shown = bytes > 60 ? `… (${bytes.toLocaleString('en')} bytes)` : JSON.stringify(text)
      this.#say(`  ${[id, host, port, token, shown].join(' | ')}`)
    }
    if (rows.length > 1) this.#say(`  … ${rows.length} rows, in order, each once`)
  }

  /** One is killed, as if its power had failed; nothing is lost, and what waits says why. */
  async #showOutage(): Promise<void> {
    const { a, b } = this.#parts
    const { pid } = b
    await b.kill()
    this.#say(`\n$ kill -9 ${pid}   # the daemon of ${b.name} is dead`)
    const statement = insertSql(b, "'sent while MachineB was dead'")
    this.#say(`${a.name}> ${statement};`)
    a.exec(statement)
    const query = 'SELECT state, reason FROM mqstatus'
    const [row] = await a.until('a word about what waits', () => {
      const rows = a.rows<{ state: string; reason: string }>(query)
      return rows.some(({ state }) => state === 'in flight') ? rows : undefined
    })
    this.#say(`${a.name}> ${query};\n  ${row?.state} | ${row?.reason}`)
    const before = lastId(b)
    await b.start()
    this.#say(`$ tinymq ${b.port} ${b.path}   # ${b.name} is back (process ${b.pid})`)
    const took = await this.#arrivals(b, before, 1)
    this.#say(`${b.name}> SELECT * FROM mqin;   -- ${took} after its start`)
    this.#print(b, before)
  }

  /** What is delivered leaves the outbox a moment later, when the peer's confirm has come. */
  async #showEmptied(): Promise<void> {
    for (const machine of [this.#parts.a, this.#parts.b]) {
      const sql = 'SELECT count(*) FROM mqout'
      await machine.until('the outbox to be empty', () => machine.count(sql) === 0)
      this.#say(`\n${machine.name}> ${sql};   -- what is delivered has left\n  0`)
    }
  }

  #say(line: string): void {
    this.#parts.out(`${line}\n`)
  }
}

function insertSql(to: DemoMachine, data: string): string {
  const columns = '(host, port, token, data)'
  return `INSERT INTO mqout ${columns} VALUES ('localhost', '${to.port}', 'token', ${data})`
}

function thousandSql({ port }: DemoMachine): string {
  const numbers = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)'
  const rows = `SELECT 'localhost', ${port}, 'token', 'message ' || i FROM n`
  return `${numbers} INSERT INTO mqout (host, port, token, data) ${rows}`
}

function lastId(machine: DemoMachine): number {
  return machine.count('SELECT coalesce(max(id), 0) FROM mqin')
}

function nextLines(a: DemoMachine, b: DemoMachine): string {
  const shell = "sqlite3 -cmd '.timeout 5000'"
  return `
  ${shell} ${a.path} "${insertSql(b, "'Hello'")}"
  ${shell} ${b.path} "SELECT * FROM mqin"
  tinymq top --database ${a.path}
`
}

// One machine of the demo: a database file, the daemon on it, and a connection to look at both.
// Must never outlive the demo.

const waitMsMax = 20_000

class DemoMachine implements AsyncDisposable {
  readonly name: string
  readonly path: string
  readonly #signal: AbortSignal
  #daemon: DaemonProcess | undefined
  #port = 0
  #db: Database.Database | undefined
  #watch: CommitWatch | undefined

  /** `start` must follow. */
  constructor(name: string, path: string, signal: AbortSignal) {
    this.name = name
    this.path = path
    this.#signal = signal
  }

  get port(): number {
    return this.#port
  }

  get pid(): number {
    return this.#daemon?.pid ?? 0
  }

  /** Starts the daemon, on the same port as before if there was one. */
  async start(): Promise<void> {
    this.#signal.throwIfAborted()
    this.#daemon = new DaemonProcess(program, String(this.#port), this.path)
    this.#port = await this.#daemon.started()
    if (this.#db !== undefined) return
    this.#db = new Database(this.path, { timeout: 5_000 })
    this.#watch = new CommitWatch(this.#db)
  }

  /** As a power cut would, as far as a process can tell. */
  async kill(): Promise<void> {
    this.#daemon?.kill('SIGKILL')
    await this.#daemon?.exited
    this.#daemon = undefined
  }

  exec(sql: string): void {
    this.#opened().exec(sql)
  }

  /** The number that the query gives. */
  count(sql: string): number {
    return this.#opened().prepare<[], number>(sql).pluck().get() ?? 0
  }

  rows<Row>(sql: string, ...values: unknown[]): Row[] {
    return this.#opened()
      .prepare<unknown[], Row>(sql)
      .all(...values)
  }

  /** Resolves when `ask` has an answer, looked for after each commit. */
  async until<Value>(what: string, ask: () => Value): Promise<NonNullable<Value>> {
    if (this.#watch === undefined) throw new Error(`${this.name} was never started.`)
    const late = AbortSignal.timeout(waitMsMax)
    try {
      return await answered(this.#watch, ask, AbortSignal.any([this.#signal, late]))
    } catch (error) {
      if (!late.aborted) throw error
      const sentence = `${what} took longer than ${waitMsMax / 1_000} s at ${this.name}`
      throw new Error(`${sentence}: is the machine very busy?`, { cause: error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.end(new Error('The demo is over.'))
    this.#db?.close()
    this.#daemon?.kill('SIGTERM')
    await this.#daemon?.exited
  }

  #opened(): Database.Database {
    if (this.#db === undefined) throw new Error(`${this.name} was never started.`)
    return this.#db
  }
}

// A daemon in a process of its own, started as an operator starts it: what the demo shows and the
// process tests check.

/** A line of the log, in JSON. */
export type LogRecord = {
  readonly level: string
  readonly event: string
  readonly message: string
  readonly [field: string]: unknown
}

export const program = fileURLToPath(new URL('./tinymq.js', import.meta.url))

export class DaemonProcess {
  readonly records: LogRecord[] = []
  /** What it wrote to stderr that is not a line of the log: why it could not start. */
  readonly complaints: string[] = []
  /** The number that it ended with, or the signal. */
  readonly exited: Promise<number | NodeJS.Signals | null>
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()

  /** @param words what `node` is given: `program` and its arguments. */
  constructor(...words: readonly string[]) {
    // No option of this shell's may change what the daemon does.
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TINYMQ_'))
    this.#child = spawn(process.execPath, words, {
      stdio: ['ignore', 'inherit', 'pipe'],
      env: { ...Object.fromEntries(inherited), TINYMQ_LOG_FORMAT: 'json' },
    })
    const { promise, resolve } = Promise.withResolvers<number | NodeJS.Signals | null>()
    this.#child.on('close', (code, signal) => resolve(code ?? signal))
    this.exited = promise
    if (this.#child.stderr !== null) {
      createInterface(this.#child.stderr).on('line', (line) => this.#onLine(line))
    }
  }

  /** The first line of the log with this event; fails when the process ends without one. */
  async logged(event: string): Promise<LogRecord> {
    const found = this.records.find((record) => record.event === event)
    if (found !== undefined) return found
    const { promise, resolve } = Promise.withResolvers<'line'>()
    const onLine = (): void => resolve('line')
    this.#waiting.add(onLine)
    const next = await Promise.race([promise, this.exited])
    this.#waiting.delete(onLine)
    if (next === 'line') return this.logged(event)
    throw new Error(`The daemon ended (${next}) before ${event}: ${this.complaints.join('\n')}`)
  }

  /** Resolves with the UDP port when the daemon runs. */
  async started(): Promise<number> {
    const { address } = await this.logged('started')
    return Number(String(address).replace(/^.*:/, ''))
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  #onLine(line: string): void {
    try {
      this.records.push(JSON.parse(line) as LogRecord)
    } catch {
      this.complaints.push(line)
    }
    for (const onLine of this.#waiting) onLine()
  }
}
