/**
 * How a narrow link is shared: with one CUBIC flow of the kernel's TCP, and among our own flows.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { DaemonProcess } from '../../test/support/daemon-process.ts'
import { freePort } from '../../test/support/free-port.ts'
import type { Room } from '../benchmark.ts'
import { fillOutbox, InboxWatch } from '../daemon-pair.ts'
import { measured, type Measure } from '../measure.ts'
import { jainIndex } from '../distribution.ts'
import { Flow, ratesOf } from './flow.ts'
import type { Link } from './link.ts'
import { messageBytesOf, messagesFor, narrowLink, pairOver, toMbit } from './measure-link.ts'
import { openLink } from './open-link.ts'

const windows = 3

export async function measureFairness(room: Room): Promise<Measure[]> {
  return [...(await besideCubic(room)), ...(await amongOwn(room))]
}

type Shares = { readonly ours: readonly number[]; readonly cubic: readonly number[] }

/** CUBIC has the link first, then we have it first: whoever comes second must get in. */
async function besideCubic(room: Room): Promise<Measure[]> {
  const measures: Measure[] = []
  const begins = ['CUBIC', 'we'] as const
  for (const first of room.quick ? begins.slice(0, 1) : begins) {
    await using link = await openLink(room, narrowLink(room))
    const { ours, cubic } = await share(link, join(room.scratch, `beside-${first}`), first, room)
    const row = (what: string, figures: readonly number[]): Measure =>
      measured(
        {
          what: `${what}, ${first === 'we' ? 'we began' : 'CUBIC began'}, ${link.kind}`,
          unit: 'Mbit/s',
          figures: figures.map(toMbit),
          goal: { type: 'between', of: 'ratio', least: 0.3, most: 0.7 },
        },
        { what: 'rate of the link', figures: [room.mbitPerSecond] },
      )
    measures.push(row('next to one CUBIC flow', ours), row('that CUBIC flow', cubic))
  }
  return measures
}

async function share(
  link: Link,
  directory: string,
  first: 'CUBIC' | 'we',
  room: Room,
): Promise<Shares> {
  const [aheadMs, warmUpMs, windowMs] = room.quick ? [2_000, 6_000, 3_000] : [3_000, 12_000, 6_000]
  const bytes = messageBytesOf(narrowLink(room))
  await using pair = await pairOver(link, directory)
  fillOutbox(pair.sender.database, {
    rows: messagesFor(aheadMs + warmUpMs + (windows + 1) * windowMs),
    host: link.ends[1].ip,
    port: pair.receiver.port,
    bytes,
  })
  await pair.start(pair.receiver)
  using inbox = new InboxWatch(pair.receiver.database)
  if (first === 'we') await pair.start(pair.sender).then(async () => sleep(aheadMs))
  await using rival = await Flow.tcp(link)
  if (first === 'CUBIC') await sleep(aheadMs).then(async () => pair.start(pair.sender))
  await sleep(warmUpMs)
  const [ours, cubic] = await Promise.all([
    ratesOf(async () => inbox.arrived * bytes, windows, windowMs),
    ratesOf(async () => rival.received(), windows, windowMs),
  ])
  return { ours, cubic }
}

async function amongOwn(room: Room): Promise<Measure[]> {
  const measures: Measure[] = []
  for (const flows of room.quick ? [2] : [2, 4]) {
    await using link = await openLink(room, narrowLink(room))
    const rates = await ownFlows(link, join(room.scratch, `own-${flows}`), flows, room)
    measures.push(
      measured({
        what: `Jain's index of ${flows} of our flows, ${link.kind}`,
        unit: '',
        figures: rates.map((shares) => jainIndex(shares)),
        goal: { type: 'at least', of: 'figure', value: 0.95 },
      }),
      measured(
        {
          what: `${flows} of our flows together, ${link.kind}`,
          unit: 'Mbit/s',
          figures: rates.map((shares) => toMbit(shares.reduce((sum, rate) => sum + rate, 0))),
        },
        { what: 'rate of the link', figures: [room.mbitPerSecond] },
      ),
    )
  }
  return measures
}

/**
 * Senders with a database each that begin one after the other. @returns bytes a second of each, by
 * window.
 */
async function ownFlows(
  link: Link,
  directory: string,
  flows: number,
  room: Room,
): Promise<number[][]> {
  const [apartMs, warmUpMs, windowMs] = room.quick ? [1_000, 6_000, 3_000] : [1_500, 9_000, 4_000]
  const bytes = messageBytesOf(narrowLink(room))
  await using pair = await pairOver(link, directory)
  await pair.start(pair.receiver)
  await using senders = new AsyncDisposableStack()
  for (let flow = 0; flow < flows; flow++) {
    const database = join(directory, `flow-${flow}.db`)
    fillOutbox(database, {
      rows: messagesFor(flows * apartMs + warmUpMs + (windows + 1) * windowMs),
      host: link.ends[1].ip,
      port: pair.receiver.port,
      bytes,
    })
    const { prefix } = link.ends[0]
    const daemon = new DaemonProcess({ port: await freePort(), database, prefix })
    senders.defer(async () => void (await daemon.stop()))
    await daemon.started()
    await sleep(apartMs)
  }
  await sleep(warmUpMs)
  return await sharesOf(pair.receiver.database, windowMs, bytes)
}

async function sharesOf(
  database: string,
  windowMs: number,
  messageBytes: number,
): Promise<number[][]> {
  const inbox = new Database(database, { readonly: true, timeout: 5_000 })
  const bySender = inbox.prepare<[], { sender: number; rows: number }>(
    'SELECT sender, count(*) AS rows FROM mqin GROUP BY sender ORDER BY sender',
  )
  const windowsOf: number[][] = []
  let [before, fromMs] = [bySender.all(), performance.now()]
  for (let index = 0; index < windows; index++) {
    await sleep(windowMs)
    const [now, nowMs] = [bySender.all(), performance.now()]
    const seconds = (nowMs - fromMs) / 1_000
    windowsOf.push(
      now.map(({ rows }, at) => ((rows - (before[at]?.rows ?? 0)) * messageBytes) / seconds),
    )
    ;[before, fromMs] = [now, nowMs]
  }
  inbox.close()
  return windowsOf
}
