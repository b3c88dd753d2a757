/**
 * What a daemon can tell of itself: puts together what it counts and what its tables say. Looks at
 * the tables only while somebody asks, and once a second for all who do. Must never read a table in
 * this thread.
 */
import type { Counters } from '../platform/counters.ts'
import { type TimeSeries, percentileUs } from './time-series.ts'
import type { Health, HealthLevel, History as HistoryAnswer, Overview, Peers } from './api-types.ts'
import type { Reader } from './reader/client.ts'
import type { StoreFault } from '../store/error-classification.ts'
import type { TablesSnapshot } from './reader/overview.ts'

export type NodeFacts = Overview['node']

type StatusServiceParts = {
  readonly counters: Counters
  readonly history: TimeSeries
  readonly reader: Reader
  /** As they are now. */
  readonly facts: () => NodeFacts
  /** Whether peers are served at this moment; else why not. */
  readonly readiness: () => Readiness
  /** What keeps the store from writing. */
  readonly fault: () => StoreFault | undefined
}

export type Readiness = { readonly isReady: boolean; readonly sentence: string }

const lookMs = 900
const peersReported = 50
const rateMs = 5_000

type Totals = {
  readonly atMs: number
  readonly sent: number
  readonly received: number
  readonly bytesOut: number
  readonly bytesIn: number
}

/** The last answer to a question, or the one on its way: many may ask, one look is made. */
type Kept<Answer> = { readonly atMs: number; readonly answer: Promise<Answer> }

export class StatusService {
  readonly #parts: StatusServiceParts
  #look: Kept<TablesSnapshot> | undefined
  #health: Kept<Health> | undefined
  readonly #totals: Totals[] = []

  constructor(parts: StatusServiceParts) {
    this.#parts = parts
  }

  get reader(): Reader {
    return this.#parts.reader
  }

  get counters(): Counters {
    return this.#parts.counters
  }

  get facts(): NodeFacts {
    return this.#parts.facts()
  }

  get readiness(): Readiness {
    return this.#parts.readiness()
  }

  get fault(): StoreFault | undefined {
    return this.#parts.fault()
  }

  history(minutes: number): HistoryAnswer {
    return this.#parts.history.read(minutes, Date.now())
  }

  /** @throws TinymqError */
  async look(): Promise<TablesSnapshot> {
    this.#look = kept(this.#look, lookMs, async () => this.reader.ask<'look'>({ type: 'look' }))
    return this.#look.answer
  }

  /** @throws TinymqError */
  async health(): Promise<Health> {
    const ask = async (): Promise<Health> => this.reader.ask<'health'>({ type: 'health' })
    this.#health = kept(this.#health, lookMs, ask)
    return withFault(await this.#health.answer, this.fault)
  }

  /** @throws TinymqError */
  async peers(): Promise<Peers> {
    const { peers, peerCount } = await this.look()
    return { peers, peerCount }
  }

  /** @throws TinymqError */
  async overview(): Promise<Overview> {
    const [look, health] = await Promise.all([this.look(), this.health()])
    const { counters } = this
    const { delivered, received, commits, commitTimes } = counters.done
    const { outbox, inbox, disk, peers, peerCount, lastEvents } = look
    return {
      at: Date.now(),
      node: this.facts,
      rates: this.#rates(),
      totals: {
        sent: delivered,
        received,
        packetsSent: counters.core?.datagramsOut ?? 0,
        packetsReceived: counters.core?.datagramsIn ?? 0,
        retransmittedPackets: counters.lost,
      },
      outbox,
      inbox,
      commit: {
        p50Us: percentileUs(commitTimes, 0.5),
        p99Us: percentileUs(commitTimes, 0.99),
        count: commits,
      },
      disk,
      peers: peers.slice(0, peersReported),
      peerCount,
      health: worstOf(health),
      lastEvents,
    }
  }

  /** Since a few seconds ago, when somebody last asked; else as the history has it. */
  #rates(): Overview['rates'] {
    const { done, core } = this.counters
    const now = {
      atMs: performance.now(),
      sent: done.delivered,
      received: done.received,
      bytesOut: core?.bytesOut ?? 0,
      bytesIn: core?.bytesIn ?? 0,
    }
    while ((this.#totals[1]?.atMs ?? Infinity) <= now.atMs - rateMs) this.#totals.shift()
    const first = this.#totals[0]
    const isKnown = first !== undefined && now.atMs - first.atMs >= lookMs
    if (!isKnown || now.atMs - (this.#totals.at(-1)?.atMs ?? 0) >= lookMs) this.#totals.push(now)
    if (!isKnown || now.bytesOut < first.bytesOut) return this.#ratesOfHistory()
    const perS = (name: 'sent' | 'received' | 'bytesOut' | 'bytesIn'): number =>
      ((now[name] - first[name]) * 1_000) / (now.atMs - first.atMs)
    return {
      sentPerS: perS('sent'),
      receivedPerS: perS('received'),
      sentBytesPerS: perS('bytesOut'),
      receivedBytesPerS: perS('bytesIn'),
    }
  }

  #ratesOfHistory(): Overview['rates'] {
    const samples = this.history(1).samples.slice(-rateMs / 1_000)
    const mean = (name: 'sentPerS' | 'receivedPerS'): number =>
      samples.reduce((sum, sample) => sum + sample[name], 0) / Math.max(1, samples.length)
    const rates = { sentPerS: mean('sentPerS'), receivedPerS: mean('receivedPerS') }
    return { ...rates, sentBytesPerS: 0, receivedBytesPerS: 0 }
  }
}

function kept<Answer>(
  before: Kept<Answer> | undefined,
  forMs: number,
  ask: () => Promise<Answer>,
): Kept<Answer> {
  const atMs = performance.now()
  if (before !== undefined && atMs - before.atMs < forMs) return before
  return { atMs, answer: ask() }
}

/** First, for all else may follow from it. */
function withFault(health: Health, fault: StoreFault | undefined): Health {
  if (fault === undefined) return health
  const { code, level, sentence, hint } = fault
  const finding = { code, level, sentence: `${sentence}.`, hint }
  return { ok: health.ok && level !== 'error', findings: [finding, ...health.findings] }
}

function worstOf({ findings }: Health): HealthLevel {
  const levels = new Set(findings.map(({ level }) => level))
  if (levels.has('error')) return 'error'
  return levels.has('warn') ? 'warn' : 'ok'
}
