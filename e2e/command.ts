/**
 * Runs the programs that the runner needs. Must never leave one behind: when the runner gets a
 * signal, they end first.
 */

import { execFile, spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { constants } from 'node:os'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const quietMs = 120_000

/** How a program ended, and what it said. */
export type Outcome = { readonly status: number; readonly output: string }

/** What `run` may change. */
export type RunOptions = {
  /** Where its output goes; to the terminal when left out. */
  readonly stdio?: StdioOptions
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>
}

/** Runs a program to its end, for 2 minutes at most, and keeps what it says. */
export async function ask(program: string, ...words: readonly string[]): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  execFile(program, words, { timeout: quietMs }, (error, stdout, stderr) => {
    const status = error === null ? 0 : Number(error.code ?? 1)
    resolve({ status: Number.isNaN(status) ? 1 : status, output: stdout + stderr })
  })
  return promise
}

/** Runs a program to its end and gives its status; one that ends by a signal has 128 and more. */
export async function run(
  program: string,
  words: readonly string[],
  { stdio = ['ignore', 'inherit', 'inherit'], environment = {} }: RunOptions = {},
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const child = spawn(program, words, { stdio, env: { ...process.env, ...environment } })
  const release = tellWhenTold(child)
  child.on('error', reject)
  child.on('exit', (code, signal) => {
    resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL'])
  })
  return promise.finally(release)
}

/** Hands the runner's signals on, after which the program's status shows how it ended. */
function tellWhenTold(child: ChildProcess): () => void {
  const tell = (): void => void child.kill('SIGTERM')
  for (const signal of signals) process.on(signal, tell)
  return () => {
    for (const signal of signals) process.off(signal, tell)
  }
}
