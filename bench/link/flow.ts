/** Plain flows over a link, to hold ours against: one TCP connection of the kernel, or raw UDP. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { datagramBytesEthernet } from '../../daemon/protocol/constants.ts'
import { until } from '../../test/support/until.ts'
import type { FlowKind } from './flow-program.ts'
import { type Link, type LinkConditions, runAt, startAt } from './link.ts'

/** What the kernel's TCP steers by. */
export type Congestion = 'cubic' | 'bbr'

const program = join(import.meta.dirname, 'flow-program.ts')
const port = 9_999

export class Flow implements AsyncDisposable {
  readonly #receiver: ChildProcess
  readonly #lines: Interface
  #sender: ChildProcess | undefined

  private constructor(receiver: ChildProcess, lines: Interface) {
    this.#receiver = receiver
    this.#lines = lines
  }

  /** One connection that always has something to send. */
  static async tcp(link: Link, congestion: Congestion = 'cubic'): Promise<Flow> {
    const { prefix } = link.ends[0]
    const routes = runAt(prefix, 'ip', 'route', 'show').split('\n')
    const route = routes.find((line) => line.includes(' congctl ')) ?? ''
    const changed = route.replace(/ congctl \S+/, ` congctl ${congestion}`).trim()
    runAt(prefix, 'ip', 'route', 'replace', ...changed.split(/\s+/))
    const flow = await Flow.#start(link, 'tcp', [])
    await until({ what: `a TCP connection under ${congestion}`, withinMs: 10_000 }, () =>
      runAt(prefix, 'ss', '-tin').includes(` ${congestion} `),
    )
    return flow
  }

  /** Datagrams as large as ours at this rate of payload, whatever becomes of them. */
  static async udp(link: Link, bytesPerSecond: number): Promise<Flow> {
    return Flow.#start(link, 'udp', [String(datagramBytesEthernet), String(bytesPerSecond)])
  }

  static async #start({ ends: [near, far] }: Link, kind: FlowKind, how: string[]): Promise<Flow> {
    const receiver = startAt(far, program, 'receive', kind, String(port))
    if (receiver.stdout === null) throw new Error('The receiver has a stdout.')
    const lines = createInterface(receiver.stdout)
    await once(lines, 'line')
    const flow = new Flow(receiver, lines)
    flow.#sender = startAt(near, program, 'send', kind, far.ip, String(port), ...how)
    return flow
  }

  /** Bytes of payload that have come so far. */
  async received(): Promise<number> {
    const answered = once(this.#lines, 'line') as Promise<[string]>
    this.#receiver.stdin?.write('how much?\n')
    const [line] = await answered
    return Number(line)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#sender, this.#receiver]) {
      if (child === undefined || child.exitCode !== null) continue
      const ended = once(child, 'exit')
      child.stdin?.end()
      await ended
    }
  }
}

/** Takes `count` figures of a growing number of bytes, as bytes a second, one window each. */
export async function ratesOf(
  received: () => Promise<number>,
  count: number,
  windowMs: number,
): Promise<number[]> {
  const rates: number[] = []
  let [fromBytes, fromMs] = [await received(), performance.now()]
  for (let index = 0; index < count; index++) {
    await sleep(windowMs)
    const [bytes, nowMs] = [await received(), performance.now()]
    rates.push((bytes - fromBytes) / ((nowMs - fromMs) / 1_000))
    ;[fromBytes, fromMs] = [bytes, nowMs]
  }
  return rates
}

const overload = 1.2
const warmUpMs = 1_000
const windowMs = 1_000

/**
 * What the link carries: raw UDP at more than its rate, so that the queue never runs empty.
 * @returns bytes of payload a second.
 */
export async function capacityOf(link: Link, { bytesPerSecond }: LinkConditions): Promise<number> {
  await using flow = await Flow.udp(link, bytesPerSecond * overload)
  await sleep(warmUpMs)
  const [rate = Number.NaN] = await ratesOf(async () => flow.received(), 1, 2 * windowMs)
  return rate
}
