/**
 * A chaos run: three real daemons on real files, bad networks between them, users at work and
 * accidents at random instants, then peace, and the verdict. Chance follows from the seed; the
 * instants of real processes do not, so that a seed shows what was tried, and not how it ended.
 */
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { TestEnvironment } from '../support/test-environment.ts'
import { Client } from './client.ts'
import { FaultInjector, killsOf, noCounts, type Counts } from './fault-injector.ts'
import { Ledger } from './expected-state.ts'
import { Member } from './node.ts'
import { Workload } from './workload.ts'

type ChaosOptions = {
  readonly scene: TestEnvironment
  readonly seed: number
  /** Times that a daemon is killed by SIGKILL; the other accidents come on top. */
  readonly cycles: number
  readonly secondsMax: number
  readonly onProgress: (report: ChaosReport) => void
}

export type ChaosReport = {
  readonly kills: number
  readonly counts: Counts
  readonly daemons: number
  readonly sent: number
  readonly arrived: number
  readonly cancelled: number
  readonly moved: number
  readonly refusedMoves: number
  readonly killedShells: number
  readonly datagramsLost: number
  readonly seconds: number
}

const names = ['a', 'b', 'c']
const checkEverySeconds = 10
const peaceMsMax = 180_000

const impairment = {
  lossShare: 0.05,
  duplicateShare: 0.03,
  delayMs: 1,
  jitterMs: 6,
  datagramBytesMax: 65_507,
}

/** @throws Error that says what was lost, duplicated, out of order or damaged, or who fell. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const run = new Chaos(options)
  try {
    return await run.run()
  } finally {
    await run[Symbol.asyncDispose]()
  }
}

class Chaos implements AsyncDisposable {
  readonly #options: ChaosOptions
  readonly #ledger = new Ledger()
  readonly #counts = noCounts()
  readonly #members: Member[] = []
  readonly #workloads: Workload[] = []
  readonly #relays: { counters(): Promise<{ lost: number }> }[] = []
  readonly #startedMs = performance.now()
  #hasFailed = false

  constructor(options: ChaosOptions) {
    this.#options = options
  }

  async run(): Promise<ChaosReport> {
    await this.#putUp()
    await this.#whileAll([
      ...this.#members.map(async (member, index) => {
        const random = this.#random(100 + index)
        await new FaultInjector(member, random, this.#counts).runWhile(() => this.#isOn())
      }),
      ...this.#workloads.map(async (users) => users.runWhile(() => this.#isOn())),
      this.#watch(),
    ])
    await this.#makePeace()
    await this.#checkIdentity()
    return this.#report()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(async ({ client }) => client[Symbol.asyncDispose]()))
  }

  async #putUp(): Promise<void> {
    const { scene, seed } = this.#options
    for (const [index, name] of names.entries()) {
      const machine = await scene.running(name)
      const relay = await scene.relayTo(machine, { ...impairment, seed: seed + index })
      this.#relays.push(relay)
      this.#members.push(new Member(machine, new Client(machine.database), relay))
    }
    const nowhere = await scene.nowhere()
    for (const [index, member] of this.#members.entries()) {
      const others = this.#members.filter((other) => other !== member)
      const [ledger, random] = [this.#ledger, this.#random(index)]
      this.#workloads.push(new Workload({ member, others, nowhere, ledger, random }))
    }
  }

  #random(part: number): SeededRandom {
    return new SeededRandom(this.#options.seed * 1_000 + part)
  }

  #isOn(): boolean {
    const { cycles, secondsMax } = this.#options
    return !this.#hasFailed && killsOf(this.#counts) < cycles && this.#seconds() < secondsMax
  }

  #seconds(): number {
    return (performance.now() - this.#startedMs) / 1_000
  }

  /** The first failure ends the others. */
  async #whileAll(parts: readonly Promise<void>[]): Promise<void> {
    for (const part of parts) part.catch(() => (this.#hasFailed = true))
    const results = await Promise.allSettled(parts)
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as Error] : [],
    )
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'))
  }

  /** Looks for harm while it goes on. */
  async #watch(): Promise<void> {
    let nextSeconds = checkEverySeconds
    while (this.#isOn()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      setTimeout(resolve, 100)
      await promise
      if (this.#seconds() < nextSeconds) continue
      nextSeconds += checkEverySeconds
      await this.#inEveryTurn(async () => {
        refuse(this.#ledger.harm())
        return Promise.resolve()
      })
      this.#options.onProgress(await this.#report())
    }
  }

  /** While none of the users is in the middle of something. */
  async #inEveryTurn(work: () => Promise<void>, members = this.#members): Promise<void> {
    const [first, ...others] = members
    if (first === undefined) return work()
    await first.turn(async () => this.#inEveryTurn(work, others))
  }

  async #makePeace(): Promise<void> {
    for (const users of this.#workloads) await users.rerouteAllFromNowhere()
    for (const { machine } of this.#members) await machine.sentAll(peaceMsMax)
    for (const users of this.#workloads) {
      while ((await users.readInbox()) > 0);
    }
  }

  async #checkIdentity(): Promise<void> {
    const problems = this.#ledger.verdict()
    for (const { name, machine } of this.#members) {
      const checked = await machine.sql('PRAGMA integrity_check;')
      if (checked !== 'ok') problems.push(`integrity_check of ${name}: ${checked}`)
      const events = await machine.sql('SELECT code, detail FROM mqevent;')
      if (events !== '') problems.push(`events of ${name}: ${events}`)
      const code = await machine.daemon.stop()
      if (code !== '0') problems.push(`${name} ended by SIGTERM with ${code}`)
      problems.push(...machine.complaints().map((line) => `${name} complained: ${line}`))
    }
    refuse(problems)
  }

  async #report(): Promise<ChaosReport> {
    const counters = await Promise.all(this.#relays.map(async (relay) => relay.counters()))
    return {
      kills: killsOf(this.#counts),
      counts: this.#counts,
      daemons: this.#members.reduce((sum, { machine }) => sum + machine.lives, 0),
      sent: this.#ledger.sent,
      arrived: this.#ledger.arrived,
      cancelled: this.#ledger.cancelled,
      moved: this.#ledger.moved,
      refusedMoves: this.#workloads.reduce((sum, { refusedMoves }) => sum + refusedMoves, 0),
      killedShells: this.#workloads.reduce((sum, { killedShells }) => sum + killedShells, 0),
      datagramsLost: counters.reduce((sum, { lost }) => sum + lost, 0),
      seconds: this.#seconds(),
    }
  }
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new Error(problems.join('\n'))
}
