/**
 * Fuzzing of whole nodes: rounds of hostile datagrams against two honest nodes that have rows for
 * each other, each from a seed of its own, so that a round that fails can be had again alone.
 */
import { ok } from 'node:assert/strict'
import { second } from '../simulator/core/scenario.ts'
import type { NodeEvent } from '../../daemon/protocol/io.ts'
import { FuzzCluster, count, type Counts } from './fuzz-cluster.ts'
import { AuthenticatedAttackers } from './authenticated-attackers.ts'
import { UnauthenticatedAttackers } from './unauthenticated-attackers.ts'

export type NodeFuzzReport = {
  datagrams: number
  rounds: number
  virtualSeconds: number
  /** Of a processor, for one burst. */
  slowestMs: number
  readonly kinds: Counts
  readonly taken: Counts
  readonly answered: Counts
  readonly events: Counts
}

const burstMax = 32
const burstUsMax = 6_000
/**
 * Of the datagrams in a round with insiders: each costs as much as twenty of an unauthenticated
 * peer.
 */
const insiderShare = 0.15
/** Nothing that one burst brings may cost so much of a processor's time. */
const burstMsMax = 3_000

export function emptyReport(): NodeFuzzReport {
  return {
    datagrams: 0,
    rounds: 0,
    virtualSeconds: 0,
    slowestMs: 0,
    kinds: new Map(),
    taken: new Map(),
    answered: new Map(),
    events: new Map(),
  }
}

/** @throws Error when anything goes wrong in this round. */
export function fuzzNodes(seed: number, datagrams: number, report: NodeFuzzReport): void {
  const cluster = new FuzzCluster(seed)
  const unauthenticatedAttackers = new UnauthenticatedAttackers(cluster, seed)
  const authenticatedAttackers =
    seed % 2 === 1 ? new AuthenticatedAttackers(cluster, seed) : undefined
  const { a, b, random, scenario } = cluster
  const atStart = received(cluster)
  // A HELLO1 that the network lost before anybody came is no unauthenticated peer's doing.
  const eventsAtStart = new Set([...a.host.events, ...b.host.events])
  while (received(cluster) - atStart < datagrams) {
    const before = process.cpuUsage()
    for (let left = random.below(burstMax); left >= 0; left--) {
      if (authenticatedAttackers !== undefined && random.chance(insiderShare))
        authenticatedAttackers.attack()
      else unauthenticatedAttackers.attack()
    }
    cluster.pass(random.below(burstUsMax))
    const { user, system } = process.cpuUsage(before)
    report.slowestMs = Math.max(report.slowestMs, (user + system) / 1_000)
    ok(report.slowestMs < burstMsMax, 'A burst takes no time to speak of.')
  }
  cluster.expectRows()
  expectRest(cluster, authenticatedAttackers === undefined, eventsAtStart)
  report.datagrams += received(cluster) - atStart
  report.rounds++
  report.virtualSeconds += scenario.nowUs / second
  for (const tally of [
    unauthenticatedAttackers.kinds,
    authenticatedAttackers?.kinds ?? new Map<string, number>(),
  ]) {
    merge(report.kinds, tally)
  }
  merge(report.taken, cluster.taken)
  merge(report.answered, cluster.answered)
  for (const event of [...a.host.events, ...b.host.events]) {
    const reason = event.type === 'peer-broke-rule' ? event.reason : ''
    count(report.events, reason === '' ? event.type : `peer-broke-rule: ${reason}`)
  }
}

/** Everybody forgets the unauthenticated peers, and rests. */
function expectRest(
  { a, b, scenario }: FuzzCluster,
  onlyUnauthenticatedAttackers: boolean,
  eventsAtStart: ReadonlySet<NodeEvent>,
): void {
  if (onlyUnauthenticatedAttackers) {
    scenario.expectRest()
    const bad = [...a.host.events, ...b.host.events].filter(
      (event) =>
        (event.type === 'peer-broke-rule' || event.type === 'lane-waits') &&
        !eventsAtStart.has(event),
    )
    ok(
      bad.length === 0,
      `An unauthenticated peer buys no word of trouble: ${JSON.stringify(bad[0])}`,
    )
  } else scenario.run(200 * second)
  for (const { host } of [a, b]) {
    const { sessions, halfOpen } = host.node.held
    ok(sessions === 0 && halfOpen === 0, `${sessions} sessions and ${halfOpen} halves are left.`)
  }
}

function received({ a, b }: FuzzCluster): number {
  return a.host.node.counters.datagramsIn + b.host.node.counters.datagramsIn
}

function merge(into: Counts, from: Counts): void {
  for (const [name, by] of from) count(into, name, by)
}
