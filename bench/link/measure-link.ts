/**
 * Real daemons over a narrow, long and lossy link: goodput, latency of single messages, and how the
 * link is shared. What the link carries is measured on the same link with raw UDP.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { open } from '../../sdk/index.ts'
import { DaemonProcess } from '../../test/support/daemon-process.ts'
import { newKey, writeRing } from '../../test/support/key-ring.ts'
import type { Room } from '../benchmark.ts'
import { DaemonPair, fillOutbox, InboxWatch } from '../daemon-pair.ts'
import { measured, type Measure } from '../measure.ts'
import { quantile } from '../distribution.ts'
import { capacityOf, ratesOf } from './flow.ts'
import type { Link, LinkConditions } from './link.ts'
import { openLink } from './open-link.ts'

const delayUs = 50_000
const messagesPerSecond = 50

/** 100 ms there and back, and a buffer of one bandwidth-delay product. */
export function narrowLink({ mbitPerSecond }: Room, loss = 0): LinkConditions {
  const bytesPerSecond = mbitPerSecond * 125_000
  return { bytesPerSecond, bufferBytes: (bytesPerSecond * 2 * delayUs) / 1e6, delayUs, loss }
}

/**
 * Of data in each message: so large that what it costs next to its data is next to nothing, so
 * small that a window holds many.
 */
export function messageBytesOf({ bytesPerSecond }: LinkConditions): number {
  return bytesPerSecond / messagesPerSecond
}

/** Messages that keep the link busy for so long. */
export function messagesFor(milliseconds: number): number {
  return Math.ceil((milliseconds / 1_000) * messagesPerSecond)
}
const warmUpMs = 5_000
const windowMs = 3_000

/** Two daemons, one at each end. */
export async function pairOver(
  link: Link,
  directory: string,
  args: readonly string[] = [],
): Promise<DaemonPair> {
  return DaemonPair.prepare(directory, (port, database, role) => {
    const { prefix } = link.ends[role === 'sender' ? 0 : 1]
    return new DaemonProcess({ port, database, prefix, args })
  })
}

const goodputGoals = [
  [0, 0.97],
  [0.01, 0.95],
  [0.1, 0.93],
  [0.2, 0.9],
  [0.3, 0.85],
] as const

export async function measureLinkGoodput(room: Room): Promise<Measure[]> {
  const measures: Measure[] = []
  const wanted = room.quick
    ? goodputGoals.filter(([loss]) => loss === 0 || loss === 0.1)
    : goodputGoals
  for (const [loss, value] of wanted) {
    const conditions = narrowLink(room, loss)
    await using link = await openLink(room, conditions)
    const capacity = await capacityOf(link, conditions)
    const directory = join(room.scratch, `goodput-${loss}`)
    const rates = await goodput(link, conditions, directory, room.repeats)
    measures.push(
      measured(
        {
          what: `goodput at ${percent(loss)} loss, ${link.kind}`,
          unit: 'Mbit/s',
          figures: rates.map(toMbit),
          note: await link.reported(),
          goal: { type: 'at least', of: 'ratio', value },
        },
        { what: 'raw UDP', figures: [toMbit(capacity)] },
      ),
    )
  }
  return measures
}

/** Bytes of data a second that are stored, in windows after a warm-up. */
export async function goodput(
  link: Link,
  conditions: LinkConditions,
  directory: string,
  windows: number,
  settleMs = warmUpMs,
): Promise<number[]> {
  await using pair = await pairOver(link, directory)
  const bytes = messageBytesOf(conditions)
  fillOutbox(pair.sender.database, {
    rows: messagesFor(settleMs + (windows + 1) * windowMs),
    host: link.ends[1].ip,
    port: pair.receiver.port,
    bytes,
  })
  await pair.start(pair.receiver)
  await pair.start(pair.sender)
  using inbox = new InboxWatch(pair.receiver.database)
  await sleep(settleMs)
  return await ratesOf(async () => inbox.arrived * bytes, windows, windowMs)
}

const latencyGoals = [
  [0.1, 250],
  [0.3, 500],
] as const

/** Each key has a lane of its own: so many single messages are under way side by side. */
const lanes = 16
const pauseMs = [300, 700] as const

export async function measureLinkLatency(room: Room): Promise<Measure[]> {
  const measures: Measure[] = []
  for (const [loss, value] of latencyGoals) {
    await using link = await openLink(room, narrowLink(room, loss))
    const rounds = await loneMessages(link, join(room.scratch, `latency-${loss}`), room)
    measures.push(
      measured(
        {
          what: `one message at ${percent(loss)} loss, p99, ${link.kind}`,
          unit: 'ms',
          figures: rounds.map((samples) => quantile(samples, 0.99)),
          note: await link.reported(),
          goal: { type: 'at most', of: 'figure', value },
        },
        { what: 'one way', figures: [delayUs / 1_000] },
      ),
    )
  }
  return measures
}

/** Milliseconds of single messages on sessions that stand and rest, in rounds. */
async function loneMessages(link: Link, directory: string, room: Room): Promise<number[][]> {
  const tokens = Array.from({ length: lanes }, (_, index) => `lane-${index}`)
  const ring = join(room.scratch, 'ring')
  writeRing(ring, ...tokens.map((token) => newKey(token)))
  await using pair = await pairOver(link, directory, ['--keys', ring])
  await pair.start(pair.receiver)
  await pair.start(pair.sender)
  using lone = new LoneMessages(pair, link.ends[1].ip)
  await lone.send(tokens, 1)
  const rounds: number[][] = []
  for (let round = 0; round < room.repeats; round++) {
    rounds.push(await lone.send(tokens, room.quick ? 8 : 20))
  }
  return rounds
}

class LoneMessages implements Disposable {
  readonly #pair: DaemonPair
  readonly #host: string
  readonly #db: Database.Database
  readonly #waiting = new Map<string, () => void>()
  readonly #looking: NodeJS.Timeout
  #seen = 0

  constructor(pair: DaemonPair, host: string) {
    this.#pair = pair
    this.#host = host
    this.#db = new Database(pair.receiver.database, { readonly: true, timeout: 5_000 })
    const news = this.#db.prepare<[number], { id: number; token: string }>(
      'SELECT id, token FROM mqin WHERE id > ?',
    )
    this.#looking = setInterval(() => {
      for (const { id, token } of news.all(this.#seen)) {
        this.#seen = id
        this.#waiting.get(token)?.()
      }
    }, 1)
  }

  /** So many in each lane, one at a time. @returns milliseconds, of all lanes. */
  async send(tokens: readonly string[], count: number): Promise<number[]> {
    using mq = open(this.#pair.sender.database)
    const { port } = this.#pair.receiver
    const perLane = tokens.map(async (token) => {
      const samples: number[] = []
      for (let message = 0; message < count; message++) {
        await sleep(pauseMs[0] + Math.random() * (pauseMs[1] - pauseMs[0]))
        const arrived = Promise.withResolvers<void>()
        this.#waiting.set(token, arrived.resolve)
        mq.send(this.#host, port, token, 'x'.repeat(100))
        const committedMs = performance.now()
        await arrived.promise
        samples.push(performance.now() - committedMs)
      }
      return samples
    })
    return (await Promise.all(perLane)).flat()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#looking)
    this.#db.close()
  }
}

export function percent(loss: number): string {
  return `${Math.round(loss * 100)} %`
}

export function toMbit(bytesPerSecond: number): number {
  return (bytesPerSecond * 8) / 1e6
}
