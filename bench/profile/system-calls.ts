/**
 * Counts the system calls of single threads with strace. Each is stopped at every call meanwhile:
 * rates that are measured next to it mean nothing.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'

const program = '/usr/bin/strace'

/** Whether this machine has what it takes. */
export function canCountSystemCalls(): boolean {
  return existsSync(program)
}

/** Calls by name. */
export type SystemCalls = ReadonlyMap<string, number>

/** Begins to count those of one thread; the function that is returned ends it. */
export async function countSystemCalls(
  thread: number,
  file: string,
): Promise<() => Promise<SystemCalls>> {
  const words = ['-c', '-o', file, '-p', String(thread)]
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  // It says so when it has attached itself.
  await Promise.race([once(child.stderr, 'data'), ended])
  return async () => {
    child.kill('SIGINT')
    await ended
    return parseSummary(readFileSync(file, 'utf8'))
  }
}

/** What `strace -c` prints: share, seconds, microseconds a call, calls, perhaps errors, name. */
export function parseSummary(text: string): SystemCalls {
  const calls = new Map<string, number>()
  for (const line of text.split('\n')) {
    const match = /^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$/.exec(line)
    if (match?.[2] !== undefined && match[2] !== 'total') calls.set(match[2], Number(match[1]))
  }
  return calls
}
