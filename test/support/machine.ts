/**
 * One machine of a test: a database, an address and, most of the time, a daemon. The database is
 * used as users use it: through the `sqlite3` command line.
 */
import { DaemonProcess, type LogRecord } from './daemon-process.ts'
import { rows, sql, type ShellOptions } from './sqlite-shell.ts'
import { until } from './until.ts'

export type MachineOptions = {
  readonly name: string
  /** Where the others reach it. */
  readonly host: string
  readonly port: number
  readonly database: string
  /** What its daemon is run by, for a namespace of its own. */
  readonly prefix?: readonly string[]
  /** What `sqlite3` is run by then, for the process of the daemon. */
  readonly shellPrefix?: (pid: number) => readonly string[]
  /** What Node itself is given for its daemon. */
  readonly nodeArgs?: readonly string[]
  /** What its daemon may end with by itself. */
  readonly mayEndWith?: number
}

/** A destination: a machine, or a relay in front of it. */
export type Destination = { readonly host: string; readonly port: number }

export class Machine implements AsyncDisposable {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly database: string
  readonly #options: MachineOptions
  readonly #daemons: DaemonProcess[] = []

  constructor(options: MachineOptions) {
    this.name = options.name
    this.host = options.host
    this.port = options.port
    this.database = options.database
    this.#options = options
  }

  /** The daemon that runs, or ran last. */
  get daemon(): DaemonProcess {
    const daemon = this.#daemons.at(-1)
    if (daemon === undefined) throw new Error(`${this.name} has no daemon yet.`)
    return daemon
  }

  /** How many daemons it has had so far. */
  get lives(): number {
    return this.#daemons.length
  }

  /** Makes the process and does not wait for it. */
  launch(...args: readonly string[]): DaemonProcess {
    const daemon = new DaemonProcess({ ...this.#options, args })
    this.#daemons.push(daemon)
    return daemon
  }

  async start(...args: readonly string[]): Promise<void> {
    await this.launch(...args).started()
  }

  /** What a supervisor does when the daemon has given up. */
  async startAgainIfEnded(): Promise<void> {
    this.#refuseAccidents()
    if (this.daemon.hasEnded) await this.start()
  }

  async sql(statements: string, options: ShellOptions = {}): Promise<string> {
    return sql(this.database, statements, { ...this.#shellOptions(), ...options })
  }

  async rows<Row>(select: string): Promise<Row[]> {
    return rows<Row>(this.database, select, this.#shellOptions())
  }

  /** Resolves when every row has left the outbox: P5 says that the receivers have them then. */
  async sentAll(withinMs: number): Promise<void> {
    await until({ what: `the outbox of ${this.name} to be empty`, withinMs }, async () => {
      this.#refuseAccidents()
      return (await this.sql('SELECT NOT EXISTS (SELECT 1 FROM mqout);')) === '1'
    })
  }

  /** Resolves with the first value of `select` that `isIt`. */
  async shows(select: string, expected: RegExp, withinMs = 10_000): Promise<string> {
    let last = ''
    const what = `${select} of ${this.name} to give ${expected}`
    try {
      return await until({ what, withinMs }, async () => {
        this.#refuseAccidents()
        last = await this.sql(select)
        return expected.test(last) ? { last } : false
      }).then((found) => found.last)
    } catch (error) {
      throw new Error(`${(error as Error).message} It gave: ${last}`, { cause: error })
    }
  }

  /** The lines of all its daemons so far whose event or code is this. */
  logged(name: string): LogRecord[] {
    return this.#daemons
      .flatMap(({ records }) => records)
      .filter(({ event, ['code']: code }) => event === name || code === name)
  }

  /** What its daemons wrote to stderr next to their logs. */
  complaints(): string[] {
    return this.#daemons.flatMap(({ complaints }) => complaints)
  }

  /** Resolves with the first line whose event or code is this. */
  async logs(name: string, withinMs = 10_000): Promise<LogRecord> {
    return until({ what: `the log of ${this.name} to say ${name}`, withinMs }, () =>
      this.logged(name).at(0),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const last = this.#daemons.at(-1)
    const accidents = this.#accidents()
    if (last !== undefined && !last.hasEnded) await last.kill9()
    if (accidents !== '') throw new Error(accidents)
  }

  #shellOptions(): ShellOptions {
    const prefix = this.#options.shellPrefix?.(this.daemon.pid)
    return prefix === undefined ? {} : { prefix }
  }

  #accidents(): string {
    return this.#daemons.flatMap(({ accident }) => accident ?? []).join('\n')
  }

  #refuseAccidents(): void {
    const accidents = this.#accidents()
    if (accidents !== '') throw new Error(accidents)
  }
}
