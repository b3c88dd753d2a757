/**
 * Large messages on loopback: how fast they move, against a local copy and against raw UDP, and
 * what one of the largest size takes of memory.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../sdk/index.ts'
import type { Room } from './benchmark.ts'
import { copyLocally } from './local-copy.ts'
import { DaemonPair, InboxWatch, memoryOf } from './daemon-pair.ts'
import { measured, type Measure } from './measure.ts'
import { RawUdp } from './baselines.ts'

const mebibyte = 1_048_576
const largestMebibytes = 64
/** What the daemons send on loopback. */
const datagramBytes = 16_384
/** The stated multiple: how many times the message a daemon may take beyond what it has idle. */
const multiple = 6
const settleMs = 3_000

export async function measureLarge(room: Room): Promise<Measure[]> {
  const bulk = room.quick ? [] : await measureBulk(room)
  return [...bulk, ...(await measureLargest(room))]
}

const messages = 50

async function measureBulk({ scratch, repeats }: Room): Promise<Measure[]> {
  const text = 'x'.repeat(mebibyte)
  await using udp = await RawUdp.open()
  const rates = { daemons: [] as number[], copy: [] as number[], udp: [] as number[] }
  for (let repeat = 0; repeat <= repeats; repeat++) {
    await using pair = await DaemonPair.start(join(scratch, `bulk-${repeat}`))
    // One a transaction would be synced each; a thousand, and the log would be of a gigabyte.
    const copied = copyLocally(join(scratch, `bulk-${repeat}`), messages, text, 16)
    const blasted = await udp.blast(datagramBytes, 1)
    const drained = await rateOf(pair, messages, text)
    if (repeat === 0) continue
    rates.daemons.push((drained * mebibyte) / 1e6)
    rates.copy.push((copied * mebibyte) / 1e6)
    rates.udp.push(blasted)
  }
  const what = `${messages} messages of 1 MiB`
  return [
    measured(
      { what, unit: 'MB/s', figures: rates.daemons },
      { what: 'local copy', figures: rates.copy },
    ),
    measured(
      { what, unit: 'MB/s', figures: rates.daemons },
      { what: 'raw UDP of 16 KiB', figures: rates.udp },
    ),
  ]
}

/** Messages a second. */
async function rateOf(
  { sender, receiver }: DaemonPair,
  count: number,
  text: string,
): Promise<number> {
  using mq = open(sender.database)
  const message = { host: '127.0.0.1', port: receiver.port, token: 'bench', data: text }
  mq.sendMany(Array.from({ length: count }, () => message))
  const startMs = performance.now()
  using inbox = new InboxWatch(receiver.database)
  const seconds = ((await inbox.reaches(count)) - startMs) / 1_000
  inbox.expectAll(count, { data: text, token: 'bench' })
  return count / seconds
}

async function measureLargest({ scratch, repeats }: Room): Promise<Measure[]> {
  await using pair = await DaemonPair.start(join(scratch, 'largest'))
  const bytes = Buffer.alloc(largestMebibytes * mebibyte, 1)
  await sleep(settleMs)
  const members = [pair.sender, pair.receiver] as const
  const idleMb = members.map((member) => memoryOf(pair.pidOf(member)).nowMb)
  using mq = open(pair.sender.database)
  using inbox = new InboxWatch(pair.receiver.database)
  const [seconds, peaks]: [number[], number[][]] = [[], [[], []]]
  for (let repeat = 1; repeat <= repeats; repeat++) {
    mq.send('127.0.0.1', pair.receiver.port, 'bench', bytes)
    const startMs = performance.now()
    seconds.push(((await inbox.reaches(repeat)) - startMs) / 1_000)
    for (const [index, member] of members.entries()) {
      const grownMb = memoryOf(pair.pidOf(member)).peakMb - (idleMb[index] ?? 0)
      peaks[index]?.push(grownMb)
    }
  }
  inbox.expectAll(repeats, { data: bytes, token: 'bench' })
  const megabytes = bytes.length / 1e6
  return [
    measured({ what: 'a message of 64 MiB arrives within', unit: 's', figures: seconds }),
    ...['sender', 'receiver'].map((role, index) =>
      measured(
        {
          what: `memory for it at the ${role}, at most so far`,
          unit: 'MB',
          figures: peaks[index] ?? [],
          goal: { type: 'at most', of: 'ratio', value: multiple },
        },
        { what: 'its size', figures: [megabytes] },
      ),
    ),
  ]
}
