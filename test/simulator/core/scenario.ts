/**
 * A scenario: hosts with a store each on one network, rows that go from one to another, and the
 * verdict that they all came, once and in order, and that everybody rests afterwards.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { Key } from '../../../daemon/protocol/crypto/handshake.ts'
import type { Address } from '../../../daemon/protocol/io.ts'
import type { EndpointOptions } from '../../../daemon/protocol/endpoint.ts'
import type { LaneAddress, LaneStatus } from '../../../daemon/protocol/store-messages.ts'
import { RowStore } from './row-store.ts'
import { seededEnvironment } from '../../support/seeded-environment.ts'
import { SeededRandom } from '../../../sdk/testing/lossy-network.ts'
import { VirtualHost } from './virtual-host.ts'
import { VirtualNetwork } from './virtual-network.ts'
import { VirtualTime } from './virtual-time.ts'
import { delay, type WirePart } from '../../../sdk/testing/wire-parts.ts'

export const second = 1_000_000

export type ScenarioOptions = {
  readonly seed?: number
  /** Of every path, both ways. */
  readonly parts?: readonly WirePart[]
  readonly commitUs?: number
}

export type Machine = {
  readonly name: string
  readonly host: VirtualHost
  readonly store: RowStore
}

const port = 9000
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class Scenario {
  readonly time: VirtualTime
  readonly network: VirtualNetwork
  readonly random: SeededRandom
  /** Addresses of names; a name that is not here is not known. */
  readonly names = new Map<string, readonly string[]>()
  isNameServerUp = true
  readonly #seed: number
  readonly #commitUs: number
  readonly #machines: Machine[] = []
  /** What was put in, by lane: sender, receiver and key. */
  readonly #sent = new Map<string, { to: Machine; rows: string[] }>()
  #rows = 0

  constructor({ seed = 1, parts = [delay(10_000)], commitUs = 3_000 }: ScenarioOptions = {}) {
    this.#seed = seed
    this.#commitUs = commitUs
    this.time = new VirtualTime(seed)
    this.random = new SeededRandom(seed)
    this.network = new VirtualNetwork(this.time, seed + 1, parts)
  }

  get nowUs(): number {
    return this.time.nowUs
  }

  add(name: string, options: Partial<EndpointOptions> & { readonly ip?: string } = {}): Machine {
    const index = this.#machines.length
    const { ip = `10.0.0.${index + 1}`, ...chosen } = options
    const environment = seededEnvironment(this.#seed * 1000 + index)
    const store = new RowStore(environment)
    this.names.set(name, [ip])
    const node = {
      port,
      advertisedHost: name,
      advertisedPort: port,
      keylessFrom: 'private',
      keys: [],
      datagramBytesMax: 65_507,
      bytesPerSecondMax: 0,
      ...chosen,
    } as const satisfies EndpointOptions
    const host = new VirtualHost({
      network: this.network,
      address: { ip, port },
      store,
      environment,
      node,
      resolve: (asked) => (this.isNameServerUp ? this.names.get(asked) : undefined),
      commitUs: this.#commitUs,
    })
    const machine = { name, host, store }
    this.#machines.push(machine)
    return machine
  }

  /** Inserts rows of this length; every row says which it is. */
  send(from: Machine, to: Machine, count = 1, bytes = 100, key = ''): void {
    const lane = `${from.name} ${to.name} ${key}`
    const sent = this.#sent.get(lane) ?? { to, rows: [] }
    this.#sent.set(lane, sent)
    for (let index = 0; index < count; index++) {
      const row = `${lane} ${++this.#rows} `.padEnd(bytes, '.')
      sent.rows.push(row)
      from.store.outbox.insert(addressOf(to.name, key), encoder.encode(row))
    }
    from.host.look()
  }

  /** Rows that the scenario does not wait for. */
  insert(from: Machine, to: string, key = '', count = 1): void {
    const data = new Uint8Array(100)
    for (let index = 0; index < count; index++) {
      from.store.outbox.insert(addressOf(to, key), data)
    }
    from.host.look()
  }

  status(from: Machine, to: string, key = ''): LaneStatus {
    return from.store.outbox.statusOf(addressOf(to, key))
  }

  /** Code of what a lane waits for. */
  trouble(from: Machine, to: string, key = ''): string {
    const status = this.status(from, to, key)
    return status.type === 'waiting' ? status.code : status.type
  }

  run(us: number): void {
    this.time.runUntil(this.nowUs + us)
  }

  /** Until it is so, looked at every millisecond. @returns how long it took. */
  runUntil(isSo: () => boolean, withinUs: number, stepUs = 1_000): number {
    const startUs = this.nowUs
    while (!isSo()) {
      ok(this.nowUs - startUs <= withinUs, `It is so within ${withinUs / 1e6} s: ${this.#state()}`)
      this.run(stepUs)
    }
    return this.nowUs - startUs
  }

  /** Rows that have come so far. */
  arrived(at: Machine): number {
    return at.store.inbox.rows.length
  }

  /** Every row is there, once and in order, and no sender has it any more. */
  expectAll(withinUs = 60 * second): number {
    const takenUs = this.runUntil(
      () => this.#machines.every(({ store }) => store.outbox.rowsLeft === 0),
      withinUs,
    )
    this.expectOrder()
    return takenUs
  }

  /** So many rows are there. @returns how long it took. */
  expectArrival(at: Machine, rows: number, withinUs = 60 * second): number {
    return this.runUntil(() => this.arrived(at) >= rows, withinUs)
  }

  /** What has come so far is the beginning of what was sent. */
  expectOrder(): void {
    for (const [lane, { to, rows }] of this.#sent) {
      const came = to.store.inbox.rows
        .map(({ data }) => decoder.decode(data))
        .filter((row) => row.startsWith(`${lane} `))
      deepStrictEqual(came, rows.slice(0, came.length), lane)
    }
  }

  /** Nothing to do for anybody but to close idle sessions, and then nothing at all. */
  expectRest(): void {
    this.run(10 * second)
    const datagrams = this.network.checker.datagrams
    const ticks = this.#ticks()
    this.run(30 * second)
    const spoken = this.network.checker.datagrams - datagrams
    ok(spoken <= this.#machines.length, 'Nobody speaks, but to say goodbye.')
    ok(this.#ticks() - ticks <= 4 * this.#machines.length, 'Nobody is busy.')
    this.run(120 * second)
    for (const { name, host, store } of this.#machines) {
      deepStrictEqual(host.node.deadlineUs(), undefined, `${name} has no deadline.`)
      deepStrictEqual(store.sessionCount, 0, `The store of ${name} has no session.`)
    }
  }

  #ticks(): number {
    return this.#machines.reduce((sum, { host }) => sum + host.ticks, 0)
  }

  #state(): string {
    const of = ({ name, host, store }: Machine): string => {
      const inUs = (host.node.deadlineUs() ?? Infinity) - this.nowUs
      return `${name} has ${store.outbox.rowsLeft} rows, next turn in ${inUs} us`
    }
    return this.#machines.map(of).join(', ')
  }
}

export function keyNamed(name: string, fill = name.charCodeAt(0)): Key {
  return { name, secret: new Uint8Array(32).fill(fill) }
}

export function at(ip: string): Address {
  return { ip, port }
}

function addressOf(host: string, key: string): Omit<LaneAddress, 'lane'> {
  return { host, port, key }
}
