/**
 * What users do on one machine while its daemon is under test: send through the SDK and through the
 * shell, kill their own shell, take back, send elsewhere, and read their inbox.
 */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { boundarySizes } from '../simulator/store/contents.ts'
import type { Destination } from '../support/machine.ts'
import { sqliteShell } from '../support/sqlite-shell.ts'
import {
  type Batch,
  blobEvery,
  headersNumberOf,
  type Label,
  type Ledger,
  textOf,
} from './expected-state.ts'
import type { Member } from './node.ts'

type WorkloadOptions = {
  readonly member: Member
  readonly others: readonly Member[]
  /** An address where nobody answers. */
  readonly nowhere: Destination
  readonly ledger: Ledger
  readonly random: SeededRandom
}

type Target = { readonly name: string; readonly to: Destination }
type Taken = { readonly data: string; readonly state: string }

const pauseMsMax = 120
const batchMax = 40
const reroutedMax = 60
const boundaries = boundarySizes(66_001)
const nowhereShare = 0.1
/** More rows on their way, and nobody sends. */
const openMax = 4_000
const shellTimeoutMs = 20_000
const shellLifeMsMax = 40

const actions = [
  { weight: 40, run: async (users: Workload) => users.sendBySdk() },
  { weight: 20, run: async (users: Workload) => users.sendByShell() },
  { weight: 4, run: async (users: Workload) => users.sendByShellThatIsKilled() },
  { weight: 8, run: async (users: Workload) => users.cancel() },
  { weight: 10, run: async (users: Workload) => users.reroute() },
  { weight: 18, run: async (users: Workload) => users.readInbox() },
] as const

export class Workload {
  readonly #options: WorkloadOptions
  readonly #random: SeededRandom
  /** An UPDATE of a row in flight, which is rejected. */
  refusedMoves = 0
  /** Of the shell, in the middle of its work. */
  killedShells = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#random = options.random
  }

  async runWhile(isOn: () => boolean): Promise<void> {
    const { ledger, member } = this.#options
    while (isOn()) {
      const isFull = ledger.sent - ledger.arrived - ledger.cancelled > openMax
      const action = this.#random.oneByWeight(actions)
      await member.turn(async () => (isFull ? this.readInbox() : action.run(this)))
      await sleep(this.#random.next() * pauseMsMax)
    }
  }

  async sendBySdk(): Promise<void> {
    const { ledger, member } = this.#options
    const { target, batch, labels } = this.#nextBatch(this.#lengthForSdk())
    ledger.tries(batch)
    const { host, port } = target.to
    const answer = await member.client.ask({ type: 'send', host, port, labels })
    if (answer.type !== 'failed') return ledger.committed(batch)
    ledger.rolledBack(batch)
    throw new Error(`The SDK could not send from ${member.name}: ${answer.reason}`)
  }

  async sendByShell(): Promise<void> {
    const { ledger } = this.#options
    const { target, batch, labels } = this.#nextBatch(this.#lengthForShell())
    ledger.tries(batch)
    await this.#sql(insertSql(target.to, labels))
    ledger.committed(batch)
  }

  /** All of its rows are there, or none. */
  async sendByShellThatIsKilled(): Promise<void> {
    const { ledger, member } = this.#options
    const { target, batch, labels } = this.#nextBatch(this.#lengthForShell())
    ledger.tries(batch)
    const [program = '', ...words] = sqliteShell
    const shell = spawn(program, [...words, '-bail', member.machine.database], {
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    shell.on('close', () => resolve())
    shell.stdin.on('error', () => {})
    shell.stdin.end(`.timeout ${shellTimeoutMs}\n${insertSql(target.to, labels)}\n`)
    await sleep(this.#random.next() * shellLifeMsMax)
    if (shell.exitCode === null) this.killedShells++
    shell.kill('SIGKILL')
    await ended
  }

  async cancel(): Promise<void> {
    const { ledger } = this.#options
    const chosen = await this.#choose(1 + this.#random.below(5), '1')
    if (chosen.length === 0) return
    const before = await this.#changed(`DELETE FROM mqout WHERE id IN (${chosen.join()})`)
    for (const { data, state } of before) ledger.onDeleted(data, state === 'in flight')
  }

  async reroute(): Promise<void> {
    const { ledger, nowhere } = this.#options
    const condition = this.#random.chance(0.8) ? `port = ${nowhere.port}` : '1'
    const chosen = await this.#choose(1 + this.#random.below(reroutedMax), condition)
    if (chosen.length === 0) return
    const { name, to } = this.#target()
    const update = `UPDATE mqout SET host = '${to.host}', port = ${to.port}`
    try {
      const before = await this.#changed(`${update} WHERE id IN (${chosen.join()})`)
      for (const { data } of before) ledger.onMoved(data, name)
    } catch (error) {
      if (!(error as Error).message.includes('TINYMQ_IN_FLIGHT')) throw error
      this.refusedMoves++
    }
  }

  async readInbox(): Promise<number> {
    const { ledger, member } = this.#options
    const answer = await member.client.ask({ type: 'take' })
    if (answer.type !== 'taken') throw new Error(`${member.name}: ${JSON.stringify(answer)}`)
    for (const { text, isWhole } of answer.arrivals) ledger.onArrived(member.name, text, isWhole)
    return answer.arrivals.length
  }

  /** What waits for nobody goes to somebody. */
  async rerouteAllFromNowhere(): Promise<void> {
    const { ledger, nowhere, others } = this.#options
    const { name, entrance: to } = this.#random.one(others)
    const where = `WHERE port = ${nowhere.port}`
    const before = await this.#changed(
      `UPDATE mqout SET host = '${to.host}', port = ${to.port} ${where}`,
    )
    for (const { data } of before) ledger.onMoved(data, name)
  }

  /** The rows that a statement changes, as they were before it, in one transaction with it. */
  async #changed(statement: string): Promise<Taken[]> {
    const [, where = ''] = statement.split(/ WHERE /)
    const output = await this.#sql(`
      BEGIN IMMEDIATE;
      SELECT substr(CAST(o.data AS TEXT), 1, 60) || '|' || s.state
      FROM mqout AS o JOIN mqstatus AS s USING (id) WHERE o.${where.trim()};
      ${statement};
      COMMIT;`)
    return output.split('\n').flatMap((line) => {
      const [data = '', state = ''] = line.split('|')
      return data === '' ? [] : [{ data, state }]
    })
  }

  async #choose(count: number, condition: string): Promise<number[]> {
    const output = await this.#sql(
      `SELECT id FROM mqout WHERE ${condition} ORDER BY random() LIMIT ${count};`,
    )
    return output.split('\n').filter(Boolean).map(Number)
  }

  async #sql(statements: string): Promise<string> {
    return this.#options.member.machine.sql(statements, { timeoutMs: shellTimeoutMs })
  }

  #target(): Target {
    const { others, nowhere } = this.#options
    if (this.#random.chance(nowhereShare)) return { name: 'nowhere', to: nowhere }
    const { name, entrance } = this.#random.one(others)
    return { name, to: entrance }
  }

  #nextBatch(bytes: number): { target: Target; batch: Batch; labels: Label[] } {
    const { member } = this.#options
    const target = this.#target()
    const count = bytes > 50_000 ? 1 : 1 + this.#random.below(batchMax)
    const first = member.numbered + 1
    member.numbered += count
    const sender = member.name
    const labels = Array.from({ length: count }, (_, index) => {
      return { sender, number: first + index, bytes }
    })
    return { target, batch: { sender, to: target.name, first, last: member.numbered }, labels }
  }

  #lengthForSdk(): number {
    const luck = this.#random.next()
    if (luck < 0.003) return 1_100_000 + this.#random.below(2_000_000)
    if (luck < 0.03) return 60_000 + this.#random.below(200_000)
    return this.#lengthForShell()
  }

  #lengthForShell(): number {
    if (this.#random.chance(0.2)) return this.#random.one(boundaries)
    return this.#random.chance(0.1) ? this.#random.below(20_000) : this.#random.below(300)
  }
}

/** One statement, one transaction. */
export function insertSql({ host, port }: Destination, labels: readonly Label[]): string {
  const rows = labels.map((label) => {
    const headers = headersNumberOf(label)
    const json = headers === undefined ? 'NULL' : `'${JSON.stringify(headers)}'`
    return `('${host}', ${port}, 'token', ${json}, ${literal(label)})`
  })
  return `INSERT INTO mqout (host, port, token, headers, data) VALUES ${rows.join(', ')};`
}

function literal(label: Label): string {
  const text = textOf(label)
  return label.number % blobEvery === 0 ? `x'${Buffer.from(text).toString('hex')}'` : `'${text}'`
}
