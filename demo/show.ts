/**
 * What the demo shows, in order: every statement as a person would type it, what came of it, and
 * how long that took. Must never print what did not happen.
 */
import { dirname } from 'node:path'
import { defaultDatabase } from '../sdk/default-database.ts'
import type { DemoMachine } from './demo-machine.ts'

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

  async stay(): Promise<void> {
    const { a, b, signal } = this.#parts
    this.#say(`\nBoth daemons stay. In another terminal:\n${nextLines(a, b)}\nCtrl-C ends them.`)
    const { promise, resolve } = Promise.withResolvers<void>()
    if (signal.aborted) return
    signal.addEventListener('abort', () => resolve(), { once: true })
    await promise
  }

  /** `kept`: where the files are. */
  sayWhatIsNext(kept: string | undefined): void {
    const files = kept === undefined ? 'their files removed' : `their files are in ${kept}`
    this.#say(`\nBoth daemons are stopped now, and ${files}. To play with them: tinymq demo --stay`)
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
