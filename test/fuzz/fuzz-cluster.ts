/**
 * Two honest nodes with rows for each other in virtual time, everything that has been on the wire
 * between them, and what must hold of them whatever an unauthenticated peer sends: the answers to
 * an address are bounded by what came from it, and so is all else that they hold or say.
 */
import { ok } from 'node:assert/strict'
import { type Address, addressKey } from '../../daemon/protocol/io.ts'
import { halfOpenMax, inboundSessionsMax } from '../../daemon/protocol/constants.ts'
import { decodePacket } from '../../daemon/protocol/codec/packet.ts'
import { keyNamed, Scenario, second, type Machine } from '../simulator/core/scenario.ts'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { delay, loss } from '../../sdk/testing/wire-parts.ts'

/** A datagram that was on the wire. */
export type SeenDatagram = {
  readonly bytes: Uint8Array
  readonly from: Address
  readonly to: Address
}

export type Counts = Map<string, number>

/** P11: "make it answer with more than three times what it received". */
const answersPerByteMax = 3
const seenMax = 2_000
const rareMax = 64
/** Rows of the honest lane are there after this, whatever else comes in. */
const deliveryUsMax = 20 * second
const rowsEveryUs = 500_000

export function count(tally: Counts, name: string, by = 1): void {
  tally.set(name, (tally.get(name) ?? 0) + by)
}

export class FuzzCluster {
  readonly scenario: Scenario
  readonly a: Machine
  readonly b: Machine
  readonly random: SeededRandom
  /** Of what both nodes have sent, some. */
  readonly seen: SeenDatagram[] = []
  /** Of the packets that are not DATA, the last. */
  readonly rare: SeenDatagram[] = []
  readonly key: string
  /**
   * What was sent to them, as a decoder sees it, and what they answered to unauthenticated peers.
   */
  readonly taken: Counts = new Map()
  readonly answered: Counts = new Map()
  readonly #received = new Map<string, number>()
  readonly #waiting: { readonly rows: number; readonly sinceUs: number }[] = []
  readonly #known: Set<string>
  #sent = 0
  #rowsAtUs = 0

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    const parts = [delay(2_000), loss(this.random.chance(0.3) ? 0.05 : 0)]
    this.scenario = new Scenario({ seed, parts, commitUs: 1_000 })
    this.key = this.random.chance(0.4) ? 'k' : ''
    const keys = this.key === '' ? [] : [keyNamed('k')]
    this.a = this.scenario.add('a', { keys })
    this.b = this.scenario.add('b', { keys })
    this.#known = new Set([this.a, this.b].map(({ host }) => addressKey(host.address)))
    const { network } = this.scenario
    network.checker.answersPerByteMax = answersPerByteMax
    network.onSend = (bytes, to, from) => this.#onSend(bytes, from, to)
    network.onArrive = (bytes, to, from) => this.#onArrive(bytes, from, to)
    this.sendRows(200)
    this.scenario.run(second)
  }

  /** Both ways. */
  sendRows(rows: number): void {
    const { scenario, a, b, key } = this
    scenario.send(a, b, rows, this.random.below(600), key)
    scenario.send(b, a, rows, this.random.below(600), key)
    this.#sent += rows
    this.#waiting.push({ rows: this.#sent, sinceUs: scenario.nowUs })
  }

  inject(from: Address, to: Machine, bytes: Uint8Array): void {
    count(this.taken, decodePacket(bytes)?.type ?? 'of no form')
    this.scenario.network.inject(from, to.host.address, bytes)
  }

  /** Time passes, with rows now and then, and everybody is looked at. */
  pass(us: number): void {
    this.scenario.run(us)
    if (this.scenario.nowUs >= this.#rowsAtUs) {
      this.sendRows(1 + this.random.below(20))
      this.#rowsAtUs = this.scenario.nowUs + rowsEveryUs
    }
    const arrived = this.#sent - this.a.store.outbox.rowsLeft
    while ((this.#waiting[0]?.rows ?? Infinity) <= arrived) this.#waiting.shift()
    const oldestUs = this.#waiting[0]?.sinceUs ?? this.scenario.nowUs
    ok(this.scenario.nowUs - oldestUs < deliveryUsMax, 'Rows go on next to it.')
    for (const { host } of [this.a, this.b]) {
      const { sessions, halfOpen } = host.node.held
      ok(
        sessions <= inboundSessionsMax && halfOpen <= halfOpenMax,
        'UnauthenticatedAttackers are counted.',
      )
    }
  }

  /** What was sent from `a` to `b` and back is there, once and in order. */
  expectRows(): void {
    const { scenario, a, b } = this
    scenario.runUntil(() => a.store.outbox.rowsLeft === 0, deliveryUsMax)
    scenario.expectOrder()
    const came = (machine: Machine, from: string): number =>
      machine.store.inbox.rows.filter(({ data }) => Buffer.from(data).toString().startsWith(from))
        .length
    ok(came(b, 'a b ') === this.#sent, 'All rows are at b.')
    scenario.runUntil(() => came(a, 'b a ') === this.#sent, deliveryUsMax, second)
  }

  #onSend(bytes: Uint8Array, from: Address, to: Address): void {
    const seen = { bytes: Uint8Array.from(bytes), from, to }
    if (bytes[0] !== 0x40) this.rare[this.random.below(rareMax)] = seen
    if (this.#known.has(addressKey(to))) {
      if (this.seen.length < seenMax) this.seen.push(seen)
      else this.seen[this.random.below(seenMax)] = seen
      return
    }
    count(this.answered, decodePacket(bytes)?.type ?? 'of no form')
    const pair = `${addressKey(from)} ${addressKey(to)}`
    const left = (this.#received.get(pair) ?? 0) - bytes.length
    this.#received.set(pair, left)
    ok(left >= 0, `${addressKey(to)} got ${-left} bytes more than three times what it sent.`)
  }

  #onArrive(bytes: Uint8Array, from: Address, to: Address): void {
    if (this.#known.has(addressKey(from))) return
    const pair = `${addressKey(to)} ${addressKey(from)}`
    const received = this.#received.get(pair) ?? 0
    this.#received.set(pair, received + answersPerByteMax * bytes.length)
  }

  /** An address that the nodes contact by themselves, because somebody gave its name. */
  knows(address: Address): void {
    this.#known.add(addressKey(address))
  }
}
