/**
 * A narrow, long and lossy link between two network namespaces of this machine, whatever makes it:
 * our emulator, or the kernel's netem. Must never touch a network that is not its own.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'

/** The same in both directions; bytes are those of IP. */
export type LinkConditions = {
  readonly bytesPerSecond: number
  /** What the queue before the narrow place holds. */
  readonly bufferBytes: number
  /** One way. */
  readonly delayUs: number
  /**
   * Each packet takes up to so much more or less, by a chance of its own, and overtakes others.
   * Left out: none does.
   */
  readonly jitterUs?: number
  /** Part of the packets that the wire loses, each by its own chance. */
  readonly loss: number
}

export type End = {
  readonly ip: string
  /** What a program is run by to be at this end; it is replaced by the program. */
  readonly prefix: readonly string[]
}

/** Packets of the direction from the first end to the second. */
export type LinkCounters = {
  readonly taken: number
  /** The queue had no room for them. */
  readonly dropped: number
}

export interface Link extends AsyncDisposable {
  readonly kind: 'emulator' | 'netem'
  readonly ends: readonly [End, End]
  counters(): Promise<LinkCounters>
  /** How well it keeps its promises, as a sentence. */
  reported(): Promise<string>
}

export const ips = ['10.77.0.1', '10.77.0.2'] as const

/** Runs a program in a namespace, which a process holds open, and waits for it. */
export function runAt(prefix: readonly string[], ...words: readonly string[]): string {
  const [command = '', ...rest] = [...prefix, ...words]
  return execFileSync(command, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** The kernel kills the program when this process has ended, however that comes. */
const leash = ['setpriv', '--pdeathsig', 'KILL', '--']

/** Starts a Node program of ours at this end; what it says comes on its stdout, line by line. */
export function startAt(
  { prefix }: End,
  program: string,
  ...args: readonly string[]
): ChildProcess {
  const [command = '', ...words] = [...leash, ...prefix, process.execPath, program, ...args]
  return spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] })
}
