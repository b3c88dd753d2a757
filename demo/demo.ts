/**
 * `npm run demo`: two real daemons on two database files, and messages that go both ways by plain
 * SQL. Ends with 0 when every message has arrived; `--stay` keeps the daemons until Ctrl-C.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setTimeout as wait } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { DaemonProcess, program } from './daemon-process.ts'

const arrivalMsMax = 10_000

type Machine = {
  readonly name: string
  readonly path: string
  readonly daemon: DaemonProcess
  readonly port: number
  readonly db: Database.Database
}

type Arrived = { readonly id: number; readonly bytes: number; readonly text: string }

async function startMachine(name: string, directory: string): Promise<Machine> {
  const path = join(directory, name)
  const daemon = new DaemonProcess(program, '0', path)
  const port = await daemon.started()
  const db = new Database(path, { timeout: 5_000 })
  console.log(`  ${name}: tinymq ${port} ${path}   (process ${daemon.pid})`)
  return { name, path, daemon, port, db }
}

function insertSql(to: Machine, data: string): string {
  const columns = '(host, port, token, data)'
  return `INSERT INTO mqout ${columns} VALUES ('localhost', '${to.port}', 'token', ${data})`
}

const newRowsSql = `SELECT id, length(CAST(data AS BLOB)) AS bytes, substr(data, 1, 60) AS text
  FROM mqin WHERE id > ? ORDER BY id`

/** Looks until `count` rows more have come; the look itself costs a few microseconds. */
async function arrivals({ name, db }: Machine, after: number, count: number): Promise<Arrived[]> {
  const newRows = db.prepare<[number], Arrived>(newRowsSql)
  const untilMs = performance.now() + arrivalMsMax
  for (;;) {
    const rows = newRows.all(after)
    if (rows.length >= count) return rows
    if (performance.now() > untilMs) {
      throw new Error(`${rows.length} of ${count} messages have reached ${name} within 10 s.`)
    }
    await wait(1)
  }
}

function lastId({ db }: Machine): number {
  return db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM mqin').pluck().get() ?? 0
}

/** Inserts at one machine, and shows what has come at the other and how long it took. */
async function send(from: Machine, to: Machine, statement: string, count = 1): Promise<void> {
  const before = lastId(to)
  console.log(`\n${from.name}> ${statement};`)
  from.db.exec(statement)
  const start = performance.now()
  const rows = await arrivals(to, before, count)
  const took = `${(performance.now() - start).toFixed(1)} ms`
  console.log(`${to.name}> SELECT * FROM mqin;   -- ${took} after the commit`)
  for (const { id, bytes, text } of rows.slice(0, 1)) {
    const shown = bytes > 60 ? `… (${bytes.toLocaleString('en')} bytes)` : JSON.stringify(text)
    console.log(`  ${id} | localhost | ${from.port} | token | ${shown}`)
  }
  if (rows.length > 1) console.log(`  … ${rows.length} rows, in order, each once`)
}

function thousandSql({ port }: Machine): string {
  const numbers = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)'
  const rows = `SELECT 'localhost', ${port}, 'token', 'message ' || i FROM n`
  return `${numbers} INSERT INTO mqout (host, port, token, data) ${rows}`
}

/** What is delivered leaves the outbox a moment later, when the peer's confirm has come. */
async function emptied({ name, db }: Machine): Promise<void> {
  const count = db.prepare<[], number>('SELECT count(*) FROM mqout').pluck()
  const untilMs = performance.now() + arrivalMsMax
  while (count.get() !== 0) {
    if (performance.now() > untilMs) throw new Error(`The outbox of ${name} is not empty.`)
    await wait(1)
  }
  console.log(`\n${name}> SELECT count(*) FROM mqout;   -- what is delivered has left\n  0`)
}

async function showMessages(a: Machine, b: Machine): Promise<void> {
  await send(a, b, insertSql(b, "'HelloMachineBFromMachineA'"))
  await send(b, a, insertSql(a, "'HelloMachineAFromMachineB'"))
  await send(a, b, insertSql(b, `'Newlines,\n"quotes", colons: and 🐦 arrive as they are'`))
  await send(b, a, insertSql(a, 'randomblob(1048576)'))
  await send(a, b, thousandSql(b), 1_000)
  await emptied(a)
  await emptied(b)
}

function nextLines(a: Machine, b: Machine): string {
  const shell = "sqlite3 -cmd '.timeout 5000'"
  return `
  ${shell} ${a.path} "${insertSql(b, "'Hello'")}"
  ${shell} ${b.path} "SELECT * FROM mqin"
`
}

async function stay(a: Machine, b: Machine): Promise<void> {
  console.log(`\nBoth daemons stay. In another terminal:\n${nextLines(a, b)}\nCtrl-C ends them.`)
  const { promise, resolve } = Promise.withResolvers<void>()
  process.once('SIGINT', () => resolve())
  process.once('SIGTERM', () => resolve())
  await promise
}

async function stopMachine({ db, daemon }: Machine): Promise<void> {
  db.close()
  daemon.kill('SIGTERM')
  await daemon.exited
}

async function demo(isStaying: boolean): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-demo-'))
  const machines: Machine[] = []
  try {
    console.log('Two machines, each with one SQLite file and one daemon:')
    const a = await startMachine('MachineA', directory)
    machines.push(a)
    const b = await startMachine('MachineB', directory)
    machines.push(b)
    await showMessages(a, b)
    if (isStaying) await stay(a, b)
    else {
      console.log(
        '\nBoth daemons are stopped now, and their files removed. To try it by hand, keep',
      )
      console.log(
        `them with npm run demo -- --stay, which prints two lines like these:\n${nextLines(a, b)}`,
      )
    }
  } finally {
    await Promise.all(machines.map(stopMachine))
    rmSync(directory, { recursive: true })
  }
}

const { values } = parseArgs({ options: { stay: { type: 'boolean', default: false } } })
try {
  await demo(values.stay)
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
