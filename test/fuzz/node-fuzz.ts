/**
 * Fuzzing of whole nodes: rounds of hostile datagrams against two honest nodes that have rows for
 * each other, each from a seed of its own, so that a round that fails can be had again alone.
 */
import { ok } from 'node:assert/strict'
import { second } from '../../daemon/protocol/testing/scenario.ts'
import { Arena, count, type Tally } from './arena.ts'
import { Insiders } from './insiders.ts'
import { Strangers } from './strangers.ts'

export type NodeFuzzReport = {
  datagrams: number
  rounds: number
  virtualSeconds: number
  /** Of a processor, for one burst. */
  slowestMs: number
  readonly kinds: Tally
  readonly taken: Tally
  readonly answered: Tally
  readonly events: Tally
}

const burstMax = 32
const burstUsMax = 6_000
/** Of the datagrams in a round with insiders: each costs as much as twenty of a stranger. */
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
  const arena = new Arena(seed)
  const strangers = new Strangers(arena, seed)
  const insiders = seed % 2 === 1 ? new Insiders(arena, seed) : undefined
  const { a, b, random, scenario } = arena
  const atStart = received(arena)
  while (received(arena) - atStart < datagrams) {
    const before = process.cpuUsage()
    for (let left = random.below(burstMax); left >= 0; left--) {
      if (insiders !== undefined && random.chance(insiderShare)) insiders.strike()
      else strangers.strike()
    }
    arena.pass(random.below(burstUsMax))
    const { user, system } = process.cpuUsage(before)
    report.slowestMs = Math.max(report.slowestMs, (user + system) / 1_000)
    ok(report.slowestMs < burstMsMax, 'A burst takes no time to speak of.')
  }
  arena.expectRows()
  expectRest(arena, insiders === undefined)
  report.datagrams += received(arena) - atStart
  report.rounds++
  report.virtualSeconds += scenario.nowUs / second
  for (const tally of [strangers.kinds, insiders?.kinds ?? new Map<string, number>()]) {
    merge(report.kinds, tally)
  }
  merge(report.taken, arena.taken)
  merge(report.answered, arena.answered)
  for (const event of [...a.host.events, ...b.host.events]) {
    const reason = event.type === 'peer-broke-rule' ? event.reason : ''
    count(report.events, reason === '' ? event.type : `peer-broke-rule: ${reason}`)
  }
}

/** Everybody forgets the strangers, and rests. */
function expectRest({ a, b, scenario }: Arena, onlyStrangers: boolean): void {
  if (onlyStrangers) {
    scenario.expectRest()
    const bad = [...a.host.events, ...b.host.events].filter(
      ({ type }) => type === 'peer-broke-rule' || type === 'lane-waits',
    )
    ok(bad.length === 0, `A stranger buys no word of trouble: ${JSON.stringify(bad[0])}`)
  } else scenario.run(200 * second)
  for (const { host } of [a, b]) {
    const { sessions, halfOpen } = host.node.held
    ok(sessions === 0 && halfOpen === 0, `${sessions} sessions and ${halfOpen} halves are left.`)
  }
}

function received({ a, b }: Arena): number {
  return a.host.node.counters.datagramsIn + b.host.node.counters.datagramsIn
}

function merge(into: Tally, from: Tally): void {
  for (const [name, by] of from) count(into, name, by)
}
