/**
 * From the commit of an INSERT to the commit of the row in the other file, on an idle loopback
 * link, one message at a time. Between two messages the baseline is taken: what must happen in
 * any case, a synced commit on both sides and a datagram between them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { open } from '../sdk/index.ts'
import type { Room } from './benchmark.ts'
import { DaemonPair, InboxWatch } from './daemon-pair.ts'
import { loneData, passOne } from './lone-message.ts'
import { measured, type Measure } from './measure.ts'
import { quantile } from './distribution.ts'
import { RawCommit, RawUdp } from './baselines.ts'

const warmUp = 20
const pauseMs = 15

/** Milliseconds of one message, and of what it is held against. */
type Sample = { readonly messageMs: number; readonly bareMs: number }

const goals = [
  ['p50', 0.5, 2],
  ['p99', 0.99, 8],
] as const

export async function measureLatency({ scratch, quick, repeats }: Room): Promise<Measure[]> {
  const messages = quick ? 150 : 300
  await using pair = await DaemonPair.start(scratch)
  using commit = new RawCommit(scratch)
  await using udp = await RawUdp.open()
  const bareMs = async (): Promise<number> =>
    commit.take() + commit.take() + (await udp.roundTrip()) / 2
  await takeSamples(pair, warmUp, bareMs)
  const rounds: Sample[][] = []
  for (let round = 0; round < repeats; round++) {
    rounds.push(await takeSamples(pair, messages, bareMs))
  }
  using inbox = new InboxWatch(pair.receiver.database)
  inbox.expectAll(warmUp + repeats * messages, { data: loneData, token: 'bench' })
  return goals.map(([name, share, goalMs]) => {
    const of = (key: keyof Sample): number[] =>
      rounds.map((samples) =>
        quantile(
          samples.map((sample) => sample[key]),
          share,
        ),
      )
    return measured(
      {
        what: `latency on idle loopback, ${name}`,
        unit: 'ms',
        figures: of('messageMs'),
        goal: { type: 'at most', of: 'figure', value: goalMs },
      },
      { what: 'two raw commits and a datagram', figures: of('bareMs') },
    )
  })
}

async function takeSamples(
  { sender, receiver }: DaemonPair,
  messages: number,
  bareMs: () => Promise<number>,
): Promise<Sample[]> {
  using mq = open(sender.database)
  using inbox = new InboxWatch(receiver.database)
  const samples: Sample[] = []
  for (let message = 0; message < messages; message++) {
    const { committedNs, seenNs } = passOne(mq, inbox, receiver.port)
    const messageMs = (seenNs - committedNs) / 1e6
    // The daemons settle what is left to do of this message first.
    await sleep(pauseMs * (0.5 + Math.random()))
    samples.push({ messageMs, bareMs: await bareMs() })
    await sleep(pauseMs * (0.5 + Math.random()))
  }
  return samples
}
