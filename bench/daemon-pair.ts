/**
 * Two daemons in processes of their own, as users have them: one that sends, one that receives.
 * Must never outlive the benchmark.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { open } from '../sdk/index.ts'
import { DaemonProcess } from '../test/support/daemon-process.ts'
import { freePort } from '../test/support/free-port.ts'

/** A daemon in a process of its own, whatever it is. */
export type Drainer = Pick<DaemonProcess, 'pid' | 'started'> & { stop(): Promise<unknown> }

export type Role = 'sender' | 'receiver'

export type Launch = (port: number, database: string, role: Role) => Drainer

function launchDaemon(port: number, database: string): DaemonProcess {
  return new DaemonProcess({ port, database })
}

export type Member = { readonly database: string; readonly port: number }

export class DaemonPair implements AsyncDisposable {
  readonly sender: Member
  readonly receiver: Member
  readonly #launch: Launch
  readonly #running = new Map<Member, Drainer>()

  private constructor(sender: Member, receiver: Member, launch: Launch) {
    this.sender = sender
    this.receiver = receiver
    this.#launch = launch
  }

  /** Both files are in `directory`, which is made; nothing runs yet. */
  static async prepare(directory: string, launch: Launch = launchDaemon): Promise<DaemonPair> {
    mkdirSync(directory, { recursive: true })
    const [sender, receiver] = [
      { database: join(directory, 'a.db'), port: await freePort() },
      { database: join(directory, 'b.db'), port: await freePort() },
    ]
    return new DaemonPair(sender, receiver, launch)
  }

  static async start(directory: string, launch: Launch = launchDaemon): Promise<DaemonPair> {
    const pair = await DaemonPair.prepare(directory, launch)
    await pair.start(pair.sender)
    await pair.start(pair.receiver)
    return pair
  }

  /** @returns what has been started, when it runs. */
  async start(member: Member): Promise<Drainer> {
    const role = member === this.sender ? 'sender' : 'receiver'
    const daemon = this.#launch(member.port, member.database, role)
    this.#running.set(member, daemon)
    await daemon.started()
    return daemon
  }

  async stop(member: Member): Promise<void> {
    const daemon = this.#running.get(member)
    this.#running.delete(member)
    await daemon?.stop()
  }

  pidOf(member: Member): number {
    return this.#running.get(member)?.pid ?? 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of Array.from(this.#running.keys())) await this.stop(member)
  }
}

export type Backlog = {
  readonly rows: number
  readonly host?: string
  readonly port: number
  readonly token?: string
  /** Of each message. */
  readonly bytes?: number
}

/** Brings rows into an outbox by one statement; the tables are made when they are not there. */
export function fillOutbox(database: string, backlog: Backlog): void {
  const { rows, host = '127.0.0.1', port, token = 'bench', bytes = 100 } = backlog
  open(database).close()
  const db = new Database(database, { timeout: 5_000 })
  db.prepare(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO mqout (host, port, token, data) SELECT ?, ?, ?, ? FROM n`,
  ).run(rows, host, port, token, 'x'.repeat(bytes))
  db.close()
}

const deadlineMs = 600_000
const lookEveryMs = 5

/** Looks into an inbox that a daemon fills. */
export class InboxWatch implements Disposable {
  readonly #db: Database.Database
  readonly #newest: Database.Statement<[], number>

  constructor(database: string) {
    this.#db = new Database(database, { readonly: true, timeout: 5_000 })
    this.#newest = this.#db.prepare<[], number>('SELECT coalesce(max(id), 0) FROM mqin').pluck()
  }

  /** How many rows have come so far. */
  get arrived(): number {
    return this.#newest.get() ?? 0
  }

  /** @returns when so many had come: milliseconds of `performance.now`. */
  async reaches(rows: number, everyMs = lookEveryMs): Promise<number> {
    const startMs = performance.now()
    while (this.arrived < rows) {
      if (performance.now() - startMs > deadlineMs) {
        throw new Error(`Only ${this.arrived} of ${rows} rows came within ${deadlineMs} ms.`)
      }
      await sleep(everyMs)
    }
    return performance.now()
  }

  /**
   * Every row of the inbox is such a row, and they are so many. Not while the clock runs.
   * @throws when the daemons moved something else: then their rate says nothing.
   */
  expectAll(rows: number, { data, token }: { data: string | Uint8Array; token?: string }): void {
    const sql = `SELECT count(*) AS arrived, count(DISTINCT sender || ' ' || sender_row) AS once,
        sum(data = ? AND typeof(data) = ? AND coalesce(token = ?, true) AND headers IS NULL) AS same
      FROM mqin`
    const type = typeof data === 'string' ? 'text' : 'blob'
    type Sums = { readonly arrived: number; readonly once: number; readonly same: number }
    const sums = this.#db.prepare<unknown[], Sums>(sql).get(data, type, token ?? null)
    if (sums?.arrived !== rows || sums.once !== rows || sums.same !== rows) {
      throw new Error(`Of ${rows} rows that were sent the inbox has ${JSON.stringify(sums)}.`)
    }
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}

/** Megabytes of 10^6 bytes, now and at most so far. */
export function memoryOf(pid: number): { readonly nowMb: number; readonly peakMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const megabytes = (field: string): number =>
    (Number(new RegExp(`${field}:\\s*(\\d+) kB`).exec(status)?.[1]) * 1_024) / 1e6
  return { nowMb: megabytes('VmRSS'), peakMb: megabytes('VmHWM') }
}
