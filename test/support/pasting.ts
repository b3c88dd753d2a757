/** Pastes a block of the documentation: runs it as it stands, and keeps what it prints. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { until } from './until.ts'

type Pasted = {
  /** What comes before the program: a namespace. */
  readonly prefix: readonly string[]
  readonly cwd: string
  readonly environment: NodeJS.ProcessEnv
  /** What somebody pastes or types while it runs. */
  readonly input?: string | undefined
}

const endMs = 60_000

export class PastedProcess implements AsyncDisposable {
  #output = ''
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>

  constructor(words: readonly string[], { prefix, cwd, environment: env, input = '' }: Pasted) {
    const [command = '', ...args] = [...prefix, ...words]
    // A group of its own: what a shell started ends with it.
    this.#child = spawn(command, args, { cwd, env, detached: true, stdio: 'pipe' })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.#output += chunk.toString()))
    }
    this.#child.stdin?.on('error', () => {})
    this.#child.stdin?.end(input)
    this.#closed = once(this.#child, 'close')
  }

  get output(): string {
    return this.#output
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Resolves when its output is like this. @throws Error when it ends before. */
  async prints(expected: RegExp): Promise<void> {
    await until({ what: `${expected} to be printed`, withinMs: endMs, everyMs: 20 }, () => {
      if (expected.test(this.#output)) return true
      if (this.hasEnded) throw new Error(`It ended before it printed ${expected}: ${this.#output}`)
      return false
    })
  }

  /** As Ctrl-C does, or a supervisor. */
  signal(signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL'): void {
    if (!this.hasEnded) process.kill(-(this.#child.pid ?? 0), signal)
  }

  /** Resolves when it has ended with 0. @throws Error with what it printed. */
  async succeeds(): Promise<void> {
    const kill = setTimeout(() => this.signal('SIGKILL'), endMs)
    await this.#closed
    clearTimeout(kill)
    const { exitCode, signalCode } = this.#child
    if (exitCode !== 0) throw new Error(`It ended with ${exitCode ?? signalCode}: ${this.#output}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL')
    await this.#closed
  }
}
