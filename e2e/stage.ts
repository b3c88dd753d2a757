/**
 * What the stories of one file share: a lab, the counting of what was sent, and the verdict that
 * ends each of them. Databases are read as a user of the machine reads them, by opening the file,
 * which takes Linux and root. Must never let a story end without the verdict.
 */

import { equal } from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import {
  describeLink,
  type Lab,
  type LabOptions,
  type LinkState,
  startLab,
} from '../sdk/testing/index.ts'

import { checkInbox, type Expected, insertNumbered } from '../test/harness/numbered.ts'
import { until } from '../test/harness/until.ts'
import { appendFinding } from './report.ts'

/** A guest kernel is slow, and the machine under it may be busy. */
const settleMsMax = Number(process.env['TINYMQ_E2E_PATIENCE_S'] ?? 300) * 1_000
const lookMs = 200
const startMsMax = 300_000
const busyTimeoutMs = 30_000

const countPauseMs = 1_500
const countLooksMax = 10

const nodePort = 9_000

/** What a receiver must have in the end: by machine, then by sender. */
export type Delivered = { readonly [machine: string]: Expected }

/** Messages to send. */
export type Batch = {
  readonly from: string
  readonly to: string
  readonly first: number
  readonly last: number
  /** Of each message, in bytes. */
  readonly bytes?: number
}

type Counts = { readonly packets: number; readonly lost: number }

/** The lab of one file of stories, and its machines' databases. */
export class Stage {
  readonly lab: Lab
  readonly #paths: ReadonlyMap<string, string>
  #link: readonly LinkState[] = []

  private constructor(lab: Lab, paths: ReadonlyMap<string, string>) {
    this.lab = lab
    this.#paths = paths
  }

  static async start(options: LabOptions = {}): Promise<Stage> {
    const { TINYMQ_E2E_IMAGE: image, TINYMQ_E2E_TOOLS: toolsImage } = process.env
    const lab = await startLab({
      ...(image === undefined ? {} : { image }),
      ...(toolsImage === undefined ? {} : { toolsImage }),
      ...options,
    })
    const paths = lab.machines.map(
      async (machine) => [machine.name, await machine.databasePath()] as const,
    )
    return new Stage(lab, new Map(await Promise.all(paths)))
  }

  /** The path of a machine's database on this host. */
  path(machine: string): string {
    const path = this.#paths.get(machine)
    if (path === undefined) throw new Error(`There is no ${machine} on this stage.`)
    return path
  }

  /** The first column of the first row of `select`. */
  value(machine: string, select: string): unknown {
    const db = new Database(this.path(machine), { timeout: busyTimeoutMs })
    try {
      return db.prepare(select).pluck().get()
    } finally {
      db.close()
    }
  }

  count(machine: string, table: string): number {
    return Number(this.value(machine, `SELECT count(*) FROM ${table}`))
  }

  /** Puts numbered messages into an outbox, in one transaction. */
  insert({ from, to, ...numbers }: Batch): void {
    const destination = { host: to, port: nodePort }
    this.#execute(from, insertNumbered({ sender: from, to: destination, ...numbers }))
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
   * The verdict: every outbox is empty, and every inbox has what was sent, each message once and
   * those of one sender in order, and nothing was set aside. Empties the inboxes.
   */
  async verdict(delivered: Delivered): Promise<void> {
    await this.sentAll()
    for (const { name } of this.lab.machines) {
      checkInbox(this.path(name), delivered[name] ?? {})
      for (const table of ['mqout', 'mqlate', 'mqparked', 'mqpart', 'mqdead', 'mqlease']) {
        equal(this.count(name, table), 0, `${table} of ${name} is empty`)
      }
      equal(this.value(name, 'PRAGMA integrity_check'), 'ok')
    }
    for (const { name } of this.lab.machines) {
      this.#execute(name, 'DELETE FROM mqin; DELETE FROM mqevent')
    }
  }

  #execute(machine: string, statements: string): void {
    const db = new Database(this.path(machine), { timeout: busyTimeoutMs })
    try {
      db.exec(statements)
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

  /** The same once the daemons have told of all: they do so when their sessions rest. */
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
  async linkTold(): Promise<{ link: string; dropped: number; kernel: string }> {
    const states = await Promise.all(this.lab.machines.map(async ({ wire }) => wire.state()))
    const told = this.#link.length === 0 ? states : this.#link
    const descriptions = new Set(told.map(({ conditions }) => describeLink(conditions)))
    const dropped = states.reduce((sum, { drops }) => sum + drops, 0)
    return { link: [...descriptions].join('; '), dropped, kernel: states[0]?.kernel ?? '' }
  }

  /** Good links and running daemons for whoever comes next. */
  async heal(): Promise<void> {
    this.#link = []
    await this.lab.heal()
    for (const machine of this.lab.machines) {
      const status = await machine.status()
      if (status === 'paused') await machine.unpause()
      else if (status !== 'running') await machine.start()
    }
  }
}

/** What a story returns: the messages that each receiver must have. */
export type Story = (stage: Stage, t: TestContext) => Promise<Delivered>

/** Puts up a lab for the stories of a file. Returns what tells one of them. */
export function stageFor(options: LabOptions = {}): (name: string, tell: Story) => void {
  let starting: Promise<Stage> | undefined
  before(
    async () => {
      starting = Stage.start(options)
      await starting
    },
    { timeout: startMsMax },
  )
  after(async () => (await starting)?.lab.remove())
  return (name, tell) => {
    test(name, async (t) => {
      const stage = await starting
      if (stage === undefined) throw new Error('The lab was not put up.')
      await runStory(stage, name, tell, t)
    })
  }
}

async function runStory(stage: Stage, name: string, tell: Story, t: TestContext): Promise<void> {
  const before = stage.counts()
  const startMs = performance.now()
  const report = async (messages: number, failure?: unknown): Promise<void> => {
    const seconds = (performance.now() - startMs) / 1_000
    const [told, { packets, lost }] = [await stage.linkTold(), await stage.settledCounts()]
    const finding = {
      story: name,
      ...told,
      messages,
      seconds,
      packets: packets - before.packets,
      retransmissions: lost - before.lost,
      ...(failure instanceof Error ? { problem: failure.message } : {}),
    }
    t.diagnostic(JSON.stringify(finding))
    const { TINYMQ_E2E_REPORT: file } = process.env
    if (file !== undefined) appendFinding(file, finding)
  }
  try {
    const delivered = await tell(stage, t)
    await stage.verdict(delivered)
    await report(messagesIn(delivered))
  } catch (error) {
    await report(0, error)
    await tellLogs(stage, t)
    throw error
  } finally {
    await stage.heal()
  }
}

const logLinesShown = 15

/** The ends of the daemons' logs, for whoever has to find out why. */
async function tellLogs(stage: Stage, t: TestContext): Promise<void> {
  for (const machine of stage.lab.machines) {
    const lines = (await machine.logs()).trimEnd().split('\n').slice(-logLinesShown)
    t.diagnostic(`${machine.name}:\n${lines.join('\n')}`)
  }
}

function messagesIn(delivered: Delivered): number {
  const lists = Object.values(delivered).flatMap((senders) => Object.values(senders))
  return lists.reduce<number>(
    (sum, list) => sum + (typeof list === 'number' ? list : list.length),
    0,
  )
}
