/**
 * The stock `sqlite3` command line, as users have it: what the tests insert and select with. Must
 * never block, for the other processes of a test are watched meanwhile.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { sqliteProgram, sqliteStandIn } from './sqlite-program.ts'
import type { Call, Printed } from './sqlite-stand-in.ts'
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

/** Stand-ins that wait for their next call. */
const idle: ChildProcess[] = []

/** What it printed. @throws Error with what it complained about. */
export async function sql(
  database: string,
  statements: string,
  { prefix = [], timeoutMs = 5_000, json = false }: ShellOptions = {},
): Promise<string> {
  const args = ['-bail', ...(json ? ['-json'] : []), database]
  const script = `${timeoutMs === 'none' ? '' : `.timeout ${timeoutMs}\n`}${statements}\n`
  const isInside = prefix.length > 0
  const { output, complaint } =
    sqliteStandIn === undefined || isInside
      ? await runProgram([...prefix, ...sqliteShell, ...args], script)
      : await askStandIn(sqliteStandIn, { args, script })
  if (complaint !== '') throw new Error(`sqlite3: ${complaint.trim()}`)
  return output.trimEnd()
}

/** Several may be asked at once: each is a process, as each call of the program is. */
async function askStandIn(path: string, call: Call): Promise<Printed> {
  const child = idle.pop() ?? fork(path, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  child.ref()
  child.channel?.ref()
  const { promise, resolve, reject } = Promise.withResolvers<Printed>()
  const onExit = (): void => reject(new Error('The stand-in for sqlite3 has ended.'))
  child.once('exit', onExit)
  child.once('message', resolve)
  child.send(call)
  const printed = await promise
  child.off('exit', onExit)
  // A test that has ended does not wait for it, and it ends with the test's process.
  child.unref()
  child.channel?.unref()
  idle.push(child)
  return printed
}

async function runProgram(words: readonly string[], script: string): Promise<Printed> {
  const [command = '', ...args] = words
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  const complaints: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk))
  // It may have ended before it has read all: what it said shows why.
  child.stdin.on('error', () => {})
  child.stdin.end(script)
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('close', resolve)
  const code = await promise
  const complaint = Buffer.concat(complaints).toString()
  return {
    output: Buffer.concat(output).toString(),
    complaint: code === 0 ? complaint : complaint || `it ended with ${code}`,
  }
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
