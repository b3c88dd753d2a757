/**
 * One machine of the demo: a database file, the daemon on it, and a connection to look at both.
 * Must never outlive the demo.
 */
import Database from 'better-sqlite3'
import { answered } from '../sdk/answer.ts'
import { CommitWatch } from '../sdk/commit-watch.ts'
import { DaemonProcess, program } from './daemon-process.ts'

const waitMsMax = 20_000

export class DemoMachine implements AsyncDisposable {
  readonly name: string
  readonly path: string
  readonly #signal: AbortSignal
  #daemon: DaemonProcess | undefined
  #port = 0
  #db: Database.Database | undefined
  #watch: CommitWatch | undefined

  /** `start` must follow. */
  constructor(name: string, path: string, signal: AbortSignal) {
    this.name = name
    this.path = path
    this.#signal = signal
  }

  get port(): number {
    return this.#port
  }

  get pid(): number {
    return this.#daemon?.pid ?? 0
  }

  /** Starts the daemon, on the same port as before if there was one. */
  async start(): Promise<void> {
    this.#signal.throwIfAborted()
    this.#daemon = new DaemonProcess(program, String(this.#port), this.path)
    this.#port = await this.#daemon.started()
    if (this.#db !== undefined) return
    this.#db = new Database(this.path, { timeout: 5_000 })
    this.#watch = new CommitWatch(this.#db)
  }

  /** As a power cut would, as far as a process can tell. */
  async kill(): Promise<void> {
    this.#daemon?.kill('SIGKILL')
    await this.#daemon?.exited
    this.#daemon = undefined
  }

  exec(sql: string): void {
    this.#opened().exec(sql)
  }

  /** The number that the query gives. */
  count(sql: string): number {
    return this.#opened().prepare<[], number>(sql).pluck().get() ?? 0
  }

  rows<Row>(sql: string, ...values: unknown[]): Row[] {
    return this.#opened()
      .prepare<unknown[], Row>(sql)
      .all(...values)
  }

  /** Resolves when `ask` has an answer, looked for after each commit. */
  async until<Value>(what: string, ask: () => Value): Promise<NonNullable<Value>> {
    if (this.#watch === undefined) throw new Error(`${this.name} was never started.`)
    const late = AbortSignal.timeout(waitMsMax)
    try {
      return await answered(this.#watch, ask, AbortSignal.any([this.#signal, late]))
    } catch (error) {
      if (!late.aborted) throw error
      const sentence = `${what} took longer than ${waitMsMax / 1_000} s at ${this.name}`
      throw new Error(`${sentence}: is the machine very busy?`, { cause: error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.end(new Error('The demo is over.'))
    this.#db?.close()
    this.#daemon?.kill('SIGTERM')
    await this.#daemon?.exited
  }

  #opened(): Database.Database {
    if (this.#db === undefined) throw new Error(`${this.name} was never started.`)
    return this.#db
  }
}
