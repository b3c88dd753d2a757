/**
 * Does what these tests ask of the `sqlite3` command line, in a process of its own, where that is
 * not installed: statements from standard input, rows as it prints them, `.timeout`, `.restore`.
 * With a channel to its parent it does so for one script after the other: no start for each look.
 * Must never be used where the stock program is there: that one is what users have.
 */
import { text } from 'node:stream/consumers'
import Database from 'better-sqlite3'

type Value = number | bigint | string | Buffer | null

const inQuotes = /'[^']*'|"[^"]*"|--[^\n]*|\/\*[^]*?\*\//y
const triggerHead = /^\s*CREATE\s+(?:TEMP\s+)?TRIGGER\b/i

/** The statements of a script, each with its semicolon. */
export function splitStatements(script: string): string[] {
  const statements: string[] = []
  let start = 0
  for (let at = 0; at < script.length;) {
    inQuotes.lastIndex = at
    const quoted = inQuotes.exec(script)?.[0]
    at += quoted?.length ?? 1
    if (quoted !== undefined || script[at - 1] !== ';') continue
    const statement = script.slice(start, at)
    if (triggerHead.test(statement) && !/\bEND\s*;$/i.test(statement)) continue
    statements.push(statement)
    start = at
  }
  return [...statements, script.slice(start)].filter((statement) => /[^\s;]/.test(statement))
}

function shown(value: Value): string {
  if (value === null) return ''
  if (typeof value === 'number') return Number.isInteger(value) ? `${value}.0` : String(value)
  return value.toString()
}

function jsonOf(names: readonly string[], row: readonly Value[]): string {
  const plain = row.map((value) => {
    if (typeof value === 'bigint') return Number(value)
    return Buffer.isBuffer(value) ? value.toString('latin1') : value
  })
  return JSON.stringify(Object.fromEntries(names.map((name, i) => [name, plain[i]])))
}

function run(db: Database.Database, statement: string, json: boolean): string {
  // It cannot say whether a statement gives rows before it is compiled.
  const prepared = db.prepare<[], Value[]>(statement)
  if (!prepared.reader) {
    prepared.run()
    return ''
  }
  const rows = prepared.raw().safeIntegers().all()
  if (!json) return rows.map((row) => `${row.map(shown).join('|')}\n`).join('')
  if (rows.length === 0) return ''
  const names = prepared.columns().map(({ name }) => name)
  return `[${rows.map((row) => jsonOf(names, row)).join(',\n')}]\n`
}

/** `.timeout MS` or `.restore 'FILE'`. */
async function command(db: Database.Database, line: string): Promise<void> {
  const [, name, value = ''] = /^\.(\w+)\s+'?([^']*)'?$/.exec(line) ?? []
  if (name === 'timeout') db.pragma(`busy_timeout = ${Number(value)}`)
  else if (name === 'restore') {
    using source = new Source(value)
    await source.copyTo(db.name)
  } else throw new Error(`the stand-in for sqlite3 does not know ${line}: install sqlite3`)
}

class Source {
  readonly #db: Database.Database

  constructor(path: string) {
    this.#db = new Database(path, { fileMustExist: true })
  }

  async copyTo(path: string): Promise<void> {
    await this.#db.backup(path)
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

/** One call of the program: its options, the database as the last of them, and its input. */
export type Call = { readonly args: readonly string[]; readonly script: string }

/** What it prints. */
export type Printed = { readonly output: string; readonly complaint: string }

async function answer({ args, script }: Call): Promise<Printed> {
  let [output, complaint] = ['', '']
  const complain = (error: unknown): void => {
    complaint += `Runtime error: ${error instanceof Error ? error.message : String(error)}\n`
  }
  let db: Database.Database | undefined
  try {
    db = new Database(args.at(-1) ?? '')
    db.pragma('busy_timeout = 0')
    // Those two are the defaults of the library, not of the shell.
    db.pragma('foreign_keys = OFF')
    const lines = script.split('\n')
    while (lines[0]?.startsWith('.') === true) await command(db, lines.shift() ?? '')
    for (const statement of splitStatements(lines.join('\n'))) {
      try {
        output += run(db, statement, args.includes('-json'))
      } catch (error) {
        if (args.includes('-bail')) throw error
        complain(error)
      }
    }
  } catch (error) {
    complain(error)
  }
  db?.close()
  return { output, complaint }
}

async function main(args: readonly string[]): Promise<void> {
  if (process.send !== undefined) {
    process.on('message', (call: Call) => {
      void answer(call).then((printed) => process.send?.(printed))
    })
    return
  }
  const { output, complaint } = await answer({ args, script: await text(process.stdin) })
  process.stdout.write(output)
  process.stderr.write(complaint)
  if (complaint !== '') process.exitCode = 1
}

if (import.meta.main) await main(process.argv.slice(2))
