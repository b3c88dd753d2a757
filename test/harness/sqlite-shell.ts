/**
 * The stock `sqlite3` command line, as users have it: what the tests insert and select with. Must
 * never block, for the other processes of a test are watched meanwhile.
 */
import { spawn } from 'node:child_process'
import { sqliteProgram } from '../../sdk/testing/sqlite-program.ts'
import { needs } from './needs.ts'

export type ShellOptions = {
  /** What is run before `sqlite3`, for a database in another mount namespace. */
  readonly prefix?: readonly string[]
  /** `.timeout`; 'none' as when somebody forgets it. */
  readonly timeoutMs?: number | 'none'
  readonly json?: boolean
}

// Where nothing may be skipped, nothing may stand in for it.
needs('sqlite3')

/** The words to run it by. */
export const sqliteShell = sqliteProgram

/** What it printed. @throws Error with what it complained about. */
export async function sql(
  database: string,
  statements: string,
  { prefix = [], timeoutMs = 5_000, json = false }: ShellOptions = {},
): Promise<string> {
  const [command = '', ...args] = [...prefix, ...sqliteShell, '-bail', ...(json ? ['-json'] : [])]
  const child = spawn(command, [...args, database], { stdio: ['pipe', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  const complaints: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk))
  // It may have ended before it has read all: what it said tells why.
  child.stdin.on('error', () => {})
  child.stdin.end(`${timeoutMs === 'none' ? '' : `.timeout ${timeoutMs}\n`}${statements}\n`)
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('close', resolve)
  const code = await promise
  if (code !== 0 || complaints.length > 0) {
    throw new Error(`sqlite3: ${Buffer.concat(complaints).toString().trim()}`)
  }
  return Buffer.concat(output).toString().trimEnd()
}

/** The rows that a SELECT gives. */
export async function rows<Row>(
  database: string,
  select: string,
  options: ShellOptions = {},
): Promise<Row[]> {
  const text = await sql(database, select, { ...options, json: true })
  return text === '' ? [] : (JSON.parse(text) as Row[])
}
