/**
 * A daemon in a process of its own, started as an operator starts it, and its log. Must never
 * outlive the test that started it, however that ends.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { until } from './until.ts'

/** A line of the log. */
export type LogRecord = {
  readonly level: string
  readonly event: string
  readonly message: string
  readonly [field: string]: unknown
}

export type DaemonOptions = {
  readonly port: number
  readonly database: string
  readonly args?: readonly string[]
  /** Another Node, and its tinymq. */
  readonly node?: readonly string[]
  /** What Node itself is informed. */
  readonly nodeArgs?: readonly string[]
  /** What is run before it, for a namespace of its own. It must replace itself by the daemon. */
  readonly prefix?: readonly string[]
  /** What it may end with by itself, when it is right to give up and be started again. */
  readonly mayEndWith?: number
}

// What is published, and what people run; `npm run build` makes it of the tree as it stands.
const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'tinymq.js')
const startMs = 60_000
const stopMs = 20_000

/** The kernel kills the daemon when the process of the test has ended, even by SIGKILL. */
const setpriv = '/usr/bin/setpriv'
const leash = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--'] : []

export class DaemonProcess {
  readonly records: LogRecord[] = []
  /** What it wrote to stderr that is not a line of the log: why it could not go on. */
  readonly complaints: string[] = []
  /** When the process was made, and when its log said that it runs: milliseconds since 1970. */
  readonly spawnedAtMs = Date.now()
  startedAtMs = Number.NaN
  readonly #child: ChildProcess
  readonly #exited: Promise<string>
  readonly #mayEndWith: number | undefined
  #isEndWanted = false

  constructor({ port, database, mayEndWith, ...words }: DaemonOptions) {
    const { args = [], nodeArgs = [], prefix = [] } = words
    const node = words.node ?? [process.execPath, ...nodeArgs, program]
    this.#mayEndWith = mayEndWith
    const daemon = [...node, String(port), database, ...args]
    const [command = '', ...rest] = [...leash, ...prefix, ...daemon]
    this.#child = spawn(command, rest, {
      stdio: ['ignore', 'inherit', 'pipe'],
      env: { ...ownEnvironment(), TINYMQ_LOG_FORMAT: 'json' },
    })
    const { promise, resolve } = Promise.withResolvers<string>()
    this.#child.on('close', (code, signal) => resolve(String(code ?? signal)))
    this.#exited = promise
    if (this.#child.stderr !== null) {
      createInterface(this.#child.stderr).on('line', (line) => this.#onLine(line))
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Why it has ended without being asked to; undefined when it has not. */
  get accident(): string | undefined {
    if (!this.hasEnded || this.#isEndWanted) return undefined
    if (this.#child.exitCode !== null && this.#child.exitCode === this.#mayEndWith) return undefined
    const end = String(this.#child.exitCode ?? this.#child.signalCode)
    return `A daemon ended by itself (${end}): ${this.complaints.join('\n')}`
  }

  /** Resolves when the log says that it runs. */
  async started(): Promise<void> {
    await until({ what: 'the daemon to start', withinMs: startMs, everyMs: 5 }, () => {
      if (this.accident !== undefined) throw new Error(this.accident)
      return this.hasEnded || !Number.isNaN(this.startedAtMs)
    })
  }

  /** As a power cut would, as far as a process can tell. */
  async kill9(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exited
  }

  /** As a supervisor does; what it ended with. */
  async stop(): Promise<string> {
    this.signal('SIGTERM')
    await until({ what: 'the daemon to stop', withinMs: stopMs, everyMs: 10 }, () => this.hasEnded)
    return this.#exited
  }

  signal(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT' | 'SIGHUP'): void {
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.#isEndWanted = true
    this.#child.kill(signal)
  }

  #onLine(line: string): void {
    try {
      const record = JSON.parse(line) as LogRecord
      this.records.push(record)
      if (record.event === 'started') this.startedAtMs = Date.parse(String(record['time']))
    } catch {
      this.complaints.push(line)
    }
  }
}

/** No option of the shell that runs the tests may change what a daemon does. */
/** That of this process, without what is meant for the tests. */
export function ownEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env)
  return Object.fromEntries(entries.filter(([name]) => !name.startsWith('TINYMQ_')))
}
