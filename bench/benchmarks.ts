/** Every benchmark by its name, in the order of the table. */
import type { Benchmark } from './benchmark.ts'
import { measureBacklog } from './backlog.ts'
import { measureIdle } from './idle.ts'
import { measureLanes } from './lanes.ts'
import { measureLarge } from './large.ts'
import { measurePeers } from './peers.ts'
import { measureSoak } from './soak.ts'
import { measureConsume } from './consume.ts'
import { measureDrain } from './drain.ts'
import { measureGoodput } from './goodput.ts'
import { measureKeys } from './keys.ts'
import { measureLatency } from './latency.ts'
import { measureFairness } from './link/fairness.ts'
import { measureLinks } from './link/links.ts'
import { measureLinkGoodput, measureLinkLatency } from './link/measure-link.ts'
import { whyNoLink } from './link/open-link.ts'
import { measureBaselines } from './baselines.ts'

export const benchmarks: readonly Benchmark[] = [
  {
    name: 'baselines',
    about: 'what the machine does without tinymq: synced writes, commits, datagrams',
    isQuick: true,
    run: measureBaselines,
  },
  {
    name: 'drain',
    about: 'waiting rows from one daemon to the other, against a local copy',
    isQuick: true,
    run: measureDrain,
  },
  {
    name: 'latency',
    about: 'one message on idle loopback, against two commits and a datagram',
    isQuick: true,
    run: measureLatency,
  },
  {
    name: 'goodput',
    about: 'two cores over a lossy link in virtual time: goodput, and latency of one message',
    isQuick: true,
    run: measureGoodput,
  },
  {
    name: 'link',
    about: 'daemons over a narrow, lossy link, against raw UDP on it',
    isQuick: true,
    whyNot: whyNoLink,
    run: measureLinkGoodput,
  },
  {
    name: 'links',
    about: 'daemons over jitter, short and long queues, long, slow and losing links, beside TCP',
    isQuick: false,
    whyNot: whyNoLink,
    run: measureLinks,
  },
  {
    name: 'link-latency',
    about: 'one message over a long, lossy link',
    isQuick: false,
    whyNot: whyNoLink,
    run: measureLinkLatency,
  },
  {
    name: 'fairness',
    about: "the narrow link shared with the kernel's TCP CUBIC, and among our own flows",
    isQuick: true,
    whyNot: whyNoLink,
    run: measureFairness,
  },
  {
    name: 'idle',
    about: 'processor and memory of daemons that have nothing to do',
    isQuick: true,
    run: measureIdle,
  },
  {
    name: 'backlog',
    about: 'ten million waiting rows: start, memory, rate',
    isQuick: true,
    run: measureBacklog,
  },
  {
    name: 'lanes',
    about: 'a thousand lanes of which 990 are dead',
    isQuick: false,
    run: measureLanes,
  },
  {
    name: 'large',
    about: 'messages of 1 MiB, and one of 64 MiB',
    isQuick: true,
    run: measureLarge,
  },
  {
    name: 'peers',
    about: 'a receiver that knows ten thousand senders',
    isQuick: false,
    run: measurePeers,
  },
  {
    name: 'soak',
    about: 'a week in virtual time: wake-ups and memory',
    isQuick: true,
    run: measureSoak,
  },
  {
    name: 'consume',
    about: 'consumers of the SDK, against removing the rows',
    isQuick: false,
    run: measureConsume,
  },
  {
    name: 'keys',
    about: 'what a key costs, against none and against no protection at all',
    isQuick: false,
    run: measureKeys,
  },
]
