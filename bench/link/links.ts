/**
 * Real daemons over links as they are: lateness by chance, short and long queues, long and slow
 * ways, much loss. Beside them, on the same link in the same run, what raw UDP and one TCP
 * connection of the kernel carry.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Room } from '../benchmark.ts'
import { median } from '../distribution.ts'
import { measured, type Measure } from '../measure.ts'
import { capacityOf, type Congestion, Flow, ratesOf } from './flow.ts'
import type { Link, LinkConditions } from './link.ts'
import { goodput, toMbit } from './measure-link.ts'
import { openLink } from './open-link.ts'

type Conditions = {
  readonly mbit?: number
  /** There and back. */
  readonly rttMs?: number
  /** One way. */
  readonly jitterMs?: number
  readonly loss?: number
  readonly bufferBytes?: number
}

const links: ReadonlyMap<string, Conditions> = new Map([
  ['50 ms', {}],
  ['50 ms, 2 % loss', { loss: 0.02 }],
  ['± 5 ms each way', { jitterMs: 5 }],
  ['± 20 ms each way', { jitterMs: 20 }],
  ['± 20 ms each way, 2 % loss', { jitterMs: 20, loss: 0.02 }],
  ['a queue of 16 KB', { bufferBytes: 16_000 }],
  ['5 Mbit/s, a queue of 4 MB', { mbit: 5, bufferBytes: 4_000_000 }],
  ['600 ms, 1 % loss', { rttMs: 600, loss: 0.01 }],
  ['0.256 Mbit/s, 200 ms', { mbit: 0.256, rttMs: 200 }],
  ['50 % loss', { loss: 0.5 }],
])

const goal = 0.9
const warmUpMs = 6_000
const warmUpRtts = 30
const windowMs = 3_000

export async function measureLinks(room: Room): Promise<Measure[]> {
  const measures: Measure[] = []
  for (const [name, conditions] of links) {
    measures.push(await measureOne(room, name, linkOf(conditions)))
  }
  return measures
}

function linkOf({ mbit = 20, rttMs = 50, jitterMs = 0, ...rest }: Conditions): LinkConditions {
  const bytesPerSecond = mbit * 125_000
  return {
    bytesPerSecond,
    delayUs: (rttMs / 2) * 1_000,
    jitterUs: jitterMs * 1_000,
    // One bandwidth-delay product, and never less than a dozen packets.
    bufferBytes: rest.bufferBytes ?? Math.max(18_000, (bytesPerSecond * rttMs) / 1_000),
    loss: rest.loss ?? 0,
  }
}

async function measureOne(room: Room, name: string, conditions: LinkConditions): Promise<Measure> {
  await using link = await openLink(room, conditions)
  const capacity = await capacityOf(link, conditions)
  const settleMs = Math.max(warmUpMs, (2 * warmUpRtts * conditions.delayUs) / 1_000)
  const directory = join(room.scratch, `link-${name.replaceAll(/\W/g, '-')}`)
  const rates = await goodput(link, conditions, directory, room.repeats, settleMs)
  const rivals: string[] = []
  for (const congestion of availableCongestion()) {
    const rate = median(await tcpRates(link, congestion, room.repeats, settleMs))
    rivals.push(`${congestion} ${toMbit(rate).toPrecision(3)}`)
  }
  return measured(
    {
      what: `goodput, ${name}, ${link.kind}`,
      unit: 'Mbit/s',
      figures: rates.map(toMbit),
      note: `TCP on the same link: ${rivals.join(', ')} Mbit/s. ${await link.reported()}`,
      goal: { type: 'at least', of: 'ratio', value: goal },
    },
    { what: 'raw UDP', figures: [toMbit(capacity)] },
  )
}

async function tcpRates(
  link: Link,
  congestion: Congestion,
  windows: number,
  settleMs: number,
): Promise<number[]> {
  await using flow = await Flow.tcp(link, congestion)
  await sleep(settleMs)
  return await ratesOf(async () => flow.received(), windows, windowMs)
}

/** Those of the kernel's TCP that a link is measured with. */
function availableCongestion(): Congestion[] {
  const path = '/proc/sys/net/ipv4/tcp_available_congestion_control'
  const available = readFileSync(path, 'utf8').trim().split(' ')
  return (['cubic', 'bbr'] as const).filter((name) => available.includes(name))
}
