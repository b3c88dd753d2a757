/**
 * What the stories of one file share: a lab, the counting of what was sent, and the verdict that
 * ends each of them. Databases are read as a user of the machine reads them, by opening the file,
 * which takes Linux and root. Must never let a story end without the verdict.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import {
  describeLink,
  type Lab,
  type LinkState,
  type MachineOptions,
  startLab,
} from './lab/index.ts'

import { range } from '../test/support/numbered.ts'
import { until } from '../test/support/until.ts'
import {
  arrivedAt,
  type Expected,
  type Arrived,
  type Hosts,
  insertMessages,
  Ledger,
  mediumBoundaries,
  type Message,
  problemsOf,
} from './messages.ts'

/** A guest kernel is slow, and the machine under it may be busy. */
const settleMsMax = Number(process.env['TINYMQ_E2E_PATIENCE_S'] ?? 480) * 1_000
const lookMs = 200
const busyTimeoutMs = 30_000

const countPauseMs = 1_500
const countLooksMax = 10

const nodePort = 9_000
const problemsShown = 10
const bytesDefault = 100
/** A batch of fewer has no large message in it. */
const countWithLarge = 90

export type Machines = Readonly<Record<string, MachineOptions>>

const advertising = (name: string): MachineOptions => ({ environment: { TINYMQ_ADVERTISE: name } })

/** A and B can be answered by name, and C by its address only. */
export const defaultMachines: Machines = {
  MachineA: advertising('MachineA'),
  MachineB: advertising('MachineB'),
  MachineC: {},
}

/** What is sent from one machine to another, for what must arrive at a third. */
export const laneOf = (from: string, to: string): string => `${from}_to_${to}`

/** What a receiver must have in the end: by machine, then by sender or by lane. */
export type Delivered = { readonly [machine: string]: Expected }

/** Messages to send. */
export type Batch = {
  readonly from: string
  readonly to: string
  readonly first: number
  readonly last: number
  /** Of most messages, in bytes; the others have boundary sizes. */
  readonly bytes?: number
  /** Of some in the second half: around 16,384 and 65,536 when left out. */
  readonly large?: readonly number[]
}

type Counts = { readonly packets: number; readonly lost: number }

/** The lab of one file of stories, and its machines' databases. */
export class Stage {
  readonly lab: Lab
  readonly #paths: ReadonlyMap<string, string>
  readonly #advertised: ReadonlySet<string>
  #link: readonly LinkState[] = []
  #ledger = new Ledger()
  #allowed: readonly string[] = []

  private constructor(
    lab: Lab,
    paths: ReadonlyMap<string, string>,
    advertised: ReadonlySet<string>,
  ) {
    this.lab = lab
    this.#paths = paths
    this.#advertised = advertised
  }

  static async start(machines: Machines = defaultMachines): Promise<Stage> {
    const { TINYMQ_E2E_IMAGE: image, TINYMQ_E2E_TOOLS: toolsImage } = process.env
    const lab = await startLab({
      ...(image === undefined ? {} : { image }),
      ...(toolsImage === undefined ? {} : { toolsImage }),
      machines,
    })
    const advertised = Object.keys(machines).filter(
      (name) => machines[name]?.environment?.['TINYMQ_ADVERTISE'] === name,
    )
    const paths = lab.machines.map(
      async (machine) => [machine.name, await machine.databasePath()] as const,
    )
    return new Stage(lab, new Map(await Promise.all(paths)), new Set(advertised))
  }

  /** The path of a machine's database on this host. */
  path(machine: string): string {
    const path = this.#paths.get(machine)
    if (path === undefined) throw new Error(`There is no ${machine} on this stage.`)
    return path
  }

  /** The first column of the first row of `select`. */
  value(machine: string, select: string): unknown {
    return this.#with(machine, (db) => db.prepare(select).pluck().get())
  }

  /** The first column of all rows of `select`. */
  values(machine: string, select: string): unknown[] {
    return this.#with(machine, (db) => db.prepare(select).pluck().all())
  }

  count(machine: string, table: string): number {
    return Number(this.value(machine, `SELECT count(*) FROM ${table}`))
  }

  /** Makes the messages of a batch: what must arrive is known from here on. */
  make({ from, to, first, last, bytes = bytesDefault, large }: Batch): Message[] {
    const count = last - first + 1
    // A guest carries a megabit a second: over a narrow link these would be most of the bytes.
    const isNarrow = this.#link.length > 0
    const exact = large ?? (isNarrow || count < countWithLarge ? [] : mediumBoundaries)
    const step = count / 2 / (exact.length + 1)
    const places = exact.map((size, index) => {
      return [first + Math.floor(count / 2 + step * index), size] as const
    })
    const sizes = new Map(places)
    return range(first, last).map((number) =>
      this.#ledger.make(laneOf(from, to), number, sizes.get(number) ?? bytes, sizes.has(number)),
    )
  }

  /** The ids that the sender's outbox gave these messages. */
  noteIds(messages: readonly Message[], ids: readonly number[]): void {
    for (const [index, { sender, number }] of messages.entries()) {
      this.#ledger.noteId(sender, number, ids[index] ?? 0)
    }
  }

  /** Puts the messages of a batch into an outbox, in one transaction. */
  insert(batch: Batch): void {
    const messages = this.make(batch)
    const to = { host: batch.to, port: nodePort }
    this.#with(batch.from, (db) => insertMessages(db, this.#ledger, to, messages))
  }

  /** Numbers of a lane's messages, by the ids that `select` gives at a machine. */
  numbers(machine: string, lane: string, select: string): number[] {
    return this.#ledger.numbersOf(lane, this.values(machine, select).map(Number))
  }

  /** The ids of a lane's messages in the sender's outbox. */
  idsOf(lane: string, numbers: readonly number[]): number[] {
    return this.#ledger.idsOf(lane, numbers)
  }

  /** Resolves with the first value of `select` at a machine that `isIt`. */
  async shows(
    machine: string,
    select: string,
    isIt: (value: unknown) => boolean,
  ): Promise<unknown> {
    const what = `${select} at ${machine}`
    let value: unknown
    try {
      await until({ what, withinMs: settleMsMax, everyMs: lookMs }, () => {
        value = this.value(machine, select)
        return isIt(value)
      })
      return value
    } catch (cause) {
      throw new Error(`${(cause as Error).message} It gave: ${String(value)}`, { cause })
    }
  }

  /** Resolves when so many messages stand in an inbox, or more. */
  async received(machine: string, messages: number): Promise<number> {
    const select = 'SELECT count(*) FROM mqin'
    return Number(await this.shows(machine, select, (count) => Number(count) >= messages))
  }

  /** Events that this story causes; any other fails it. */
  allowEvents(...codes: readonly string[]): void {
    this.#allowed = [...this.#allowed, ...codes]
  }

  /** All outboxes are empty: P5 says that the receivers have everything on disk then. */
  async sentAll(): Promise<void> {
    const names = this.lab.machines.map(({ name }) => name)
    await Promise.all(
      names.map(async (name) => this.shows(name, 'SELECT count(*) FROM mqout', (n) => n === 0)),
    )
  }

  /** Makes all links like this; the report quotes what the kernel answered. */
  async linkAll(conditions: Parameters<Lab['linkAll']>[0]): Promise<void> {
    this.#link = await this.lab.linkAll(conditions)
  }

  /**
   * @param arrived the rows of its inbox, or what somebody has read there.
   * @throws AssertionError with what is not right about them.
   */
  async check(machine: string, expected: Expected, arrived: Iterable<Arrived>): Promise<void> {
    const lanes = Object.entries(expected).map(([name, numbers]) => {
      return [name.includes('_to_') ? name : laneOf(name, machine), numbers] as const
    })
    const hosts = await this.#hosts()
    const check = {
      ledger: this.#ledger,
      expected: Object.fromEntries(lanes),
      hosts,
      port: nodePort,
    }
    const problems = problemsOf(arrived, check)
    const shown = problems.slice(0, problemsShown).join('\n')
    ok(problems.length === 0, `${problems.length} problems at ${machine}: ${shown}`)
  }

  async #hosts(): Promise<Hosts> {
    const hosts = this.lab.machines.map(async (machine) => {
      const { name } = machine
      const host = [this.#advertised.has(name) ? name : await machine.address()]
      return this.lab.machines.map((to) => [laneOf(name, to.name), host] as const)
    })
    return Object.fromEntries((await Promise.all(hosts)).flat())
  }

  /**
   * The verdict: every outbox is empty, and every inbox has what was sent, each message once and as
   * it was made, those of one sender in order, and nothing is parked. Empties the inboxes.
   */
  async verdict(delivered: Delivered): Promise<void> {
    await this.sentAll()
    for (const { name } of this.lab.machines) {
      await this.check(name, delivered[name] ?? {}, arrivedAt(this.path(name)))
      for (const table of ['mqout', 'mqrequeue', 'mqparked', 'mqfragment', 'mqdead', 'mqlease']) {
        equal(this.count(name, table), 0, `${table} of ${name} is empty`)
      }
      const events = this.values(name, "SELECT code || ': ' || detail FROM mqevent").map(String)
      const others = events.filter((event) => !this.#allowed.some((code) => event.startsWith(code)))
      deepEqual(others, [], `events at ${name}: ${others.join('; ')}`)
      equal(this.value(name, 'PRAGMA integrity_check'), 'ok')
    }
    for (const { name } of this.lab.machines) {
      this.execute(name, 'DELETE FROM mqin; DELETE FROM mqevent')
    }
  }

  /** Runs statements on a machine's database. */
  execute(machine: string, statements: string): void {
    this.#with(machine, (db) => db.exec(statements))
  }

  #with<T>(machine: string, use: (db: Database.Database) => T): T {
    const db = new Database(this.path(machine), { timeout: busyTimeoutMs })
    try {
      return use(db)
    } finally {
      db.close()
    }
  }

  /** Packets sent and lost by all daemons so far. */
  counts(): Counts {
    const select = 'SELECT total(packets) FROM mqpeers'
    const sum = (column: string): number =>
      this.lab.machines.reduce(
        (total, { name }) => total + Number(this.value(name, select.replace('packets', column))),
        0,
      )
    return { packets: sum('packets'), lost: sum('lost') }
  }

  /** The same once the daemons have reported all: they do so when their sessions rest. */
  async settledCounts(): Promise<Counts> {
    let last = this.counts()
    for (let look = 0; look < countLooksMax; look++) {
      await sleep(countPauseMs)
      const next = this.counts()
      if (next.packets === last.packets) break
      last = next
    }
    return last
  }

  /** What the kernel did on purpose since the links were last set, and on which conditions. */
  async linkReported(): Promise<{ link: string; dropped: number; kernel: string }> {
    const states = await Promise.all(this.lab.machines.map(async ({ wire }) => wire.state()))
    const reported = this.#link.length === 0 ? states : this.#link
    const descriptions = new Set(reported.map(({ conditions }) => describeLink(conditions)))
    const dropped = states.reduce((sum, { drops }) => sum + drops, 0)
    return { link: [...descriptions].join('; '), dropped, kernel: states[0]?.kernel ?? '' }
  }

  /** Good links, running daemons and no messages, for whoever comes next. */
  async heal(): Promise<void> {
    this.#link = []
    this.#ledger = new Ledger()
    this.#allowed = []
    await this.lab.heal()
    for (const machine of this.lab.machines) {
      const status = await machine.status()
      if (status === 'paused') await machine.unpause()
      else if (status !== 'running') await machine.start()
    }
  }
}
