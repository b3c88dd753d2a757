/**
 * A daemon in a process of its own, started as an operator starts it: what the demo shows and the
 * process tests check.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A line of the log, in JSON. */
export type LogRecord = {
  readonly level: string
  readonly event: string
  readonly message: string
  readonly [field: string]: unknown
}

export const program = fileURLToPath(new URL('../bin/tinymq.js', import.meta.url))

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
