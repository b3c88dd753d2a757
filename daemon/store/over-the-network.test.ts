import { deepStrictEqual, ok } from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { StoreResult, StoreWork } from '../protocol/store-messages.ts'
import type { HostStore } from '../../test/simulator/core/row-store.ts'
import { seededEnvironment } from '../../test/support/seeded-environment.ts'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { VirtualHost } from '../../test/simulator/core/virtual-host.ts'
import { VirtualNetwork } from '../../test/simulator/core/virtual-network.ts'
import { VirtualTime } from '../../test/simulator/core/virtual-time.ts'
import {
  corruption,
  delay,
  duplication,
  jitter,
  loss,
  type WirePart,
} from '../../sdk/testing/wire-parts.ts'
import type { Machine } from '../../test/simulator/store/machine.ts'
import { insert, World } from '../../test/simulator/store/world.ts'

const second = 1_000_000
const port = 9000

/** The real store of a virtual host. */
class DiskStore implements HostStore {
  readonly machine: Machine

  constructor(machine: Machine) {
    this.machine = machine
  }

  get hasWork(): boolean {
    return this.machine.store.hasWork
  }

  run(work: readonly StoreWork[], nowMs: number): StoreResult[] {
    return this.machine.store.run([...work, { type: 'scan' }], nowMs)
  }

  onRestart(): void {
    this.machine.crash()
  }
}

type Place = { readonly name: string; readonly host: VirtualHost; readonly machine: Machine }

/** Nodes over the real store, on a virtual network. */
class Disks {
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly network: VirtualNetwork
  readonly #world: World
  readonly #t: TestContext
  readonly #places: Place[] = []
  #rows = 0

  constructor(t: TestContext, seed = 1, parts: readonly WirePart[] = [delay(5_000)]) {
    this.#t = t
    this.#world = World.of(t)
    this.time = new VirtualTime(seed)
    this.random = new SeededRandom(seed)
    this.network = new VirtualNetwork(this.time, seed, parts)
  }

  add(name: string): Place {
    const machine = this.#world.machine()
    this.#t.after(() => machine.close())
    const ip = `10.0.0.${this.#places.length + 1}`
    const place = { name, machine, host: this.#hostOf(name, ip, machine) }
    this.#places.push(place)
    return place
  }

  send(from: Place, to: string, count: number, bytes = 100): void {
    const rows = Array.from({ length: count }, () => `${from.name} ${++this.#rows} `)
    for (const row of rows) insert(from.machine, to, row.padEnd(bytes, '.'))
    from.host.look()
  }

  /** Numbers of the rows of this sender that are there, in the order of the inbox. */
  rowsAt(to: Place, from: string): number[] {
    return to.machine
      .all('SELECT data FROM mqin ORDER BY id')
      .map(({ data }) => String(data).split(' '))
      .flatMap(([name, row]) => (name === from ? [Number(row)] : []))
  }

  rowsLeft(): number {
    const count = ({ machine }: Place): number =>
      Number(machine.all('SELECT count(*) AS n FROM mqout')[0]?.['n'])
    return this.#places.reduce((sum, place) => sum + count(place), 0)
  }

  run(us: number): void {
    this.time.runUntil(this.time.nowUs + us)
  }

  /** Stores look for what has changed every second, as daemons do. */
  runUntil(isSo: () => boolean, withinUs: number): void {
    const endUs = this.time.nowUs + withinUs
    while (!isSo()) {
      ok(this.time.nowUs < endUs, `It is so within ${withinUs / second} s.`)
      this.run(second / 10)
      for (const { host } of this.#places) host.look()
    }
  }

  #hostOf(name: string, ip: string, machine: Machine): VirtualHost {
    const keyless = { keylessFrom: 'private', keys: [] } as const
    const limits = { datagramBytesMax: 65_507, bytesPerSecondMax: 0 }
    return new VirtualHost({
      network: this.network,
      address: { ip, port },
      store: new DiskStore(machine),
      environment: seededEnvironment(this.random.below(1e9)),
      node: { port, advertisedHost: name, advertisedPort: port, ...keyless, ...limits },
      resolve: (asked) => this.#addressesOf(asked),
      commitUs: 3_000,
    })
  }

  #addressesOf(name: string): string[] | undefined {
    const place = this.#places.find((candidate) => candidate.name === name)
    return place && [place.host.address.ip]
  }
}

function upTo(last: number, first = 1): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

test('rows cross between two databases, in both directions, small and large', (t) => {
  const disks = new Disks(t)
  const [a, b] = [disks.add('a'), disks.add('b')]
  disks.send(a, 'b', 300)
  disks.send(b, 'a', 20, 50_000)
  disks.send(a, 'b', 1, 3_000_000)
  disks.runUntil(() => disks.rowsLeft() === 0, 20 * second)
  deepStrictEqual(disks.rowsAt(b, 'a'), [...upTo(300), 321])
  deepStrictEqual(disks.rowsAt(a, 'b'), upTo(320, 301))
})

test('a database sends to itself', (t) => {
  const disks = new Disks(t)
  const a = disks.add('a')
  a.host.feed({ type: 'network', ips: [a.host.address.ip] })
  disks.send(a, 'a', 50)
  disks.runUntil(() => disks.rowsLeft() === 0, 10 * second)
  deepStrictEqual(disks.rowsAt(a, 'a'), upTo(50))
})

for (let seed = 1; seed <= 4; seed++) {
  test(`on a bad path and with crashes of both, each row comes once: seed ${seed}`, (t) => {
    const parts = [delay(5_000), loss(0.2), duplication(0.1, 50_000), jitter(5_000)]
    const disks = new Disks(t, seed, [...parts, corruption(0.02)])
    const [a, b] = [disks.add('a'), disks.add('b')]
    for (let rounds = 0; rounds < 6; rounds++) {
      disks.send(a, 'b', 100, 300)
      disks.send(b, 'a', 100, 300)
      disks.run(disks.random.below(300_000))
      const { host } = disks.random.one([a, b])
      host.crash()
      disks.run(disks.random.below(400_000))
      host.start()
    }
    disks.runUntil(() => disks.rowsLeft() === 0, 120 * second)
    const rows = (from: 'a' | 'b'): number[] =>
      upTo(6).flatMap((round) => upTo(100, 1).map((row) => (round - 1) * 200 + row + offset[from]))
    const offset = { a: 0, b: 100 }
    deepStrictEqual(disks.rowsAt(b, 'a'), rows('a'))
    deepStrictEqual(disks.rowsAt(a, 'b'), rows('b'))
  })
}

test('a receiver that was restored says so, and gets what is new', (t) => {
  const disks = new Disks(t)
  const [a, b] = [disks.add('a'), disks.add('b')]
  disks.send(a, 'b', 10)
  disks.runUntil(() => disks.rowsLeft() === 0, 10 * second)
  const backup = `${b.machine.path}.backup`
  b.machine.backup(backup)
  disks.send(a, 'b', 10)
  disks.runUntil(() => disks.rowsLeft() === 0, 10 * second)
  b.host.crash()
  b.machine.restore(backup)
  b.host.start()
  disks.send(a, 'b', 10)
  disks.runUntil(() => disks.rowsLeft() === 0, 20 * second)
  deepStrictEqual(disks.rowsAt(b, 'a'), [...upTo(10), ...upTo(30, 21)])
  const events = a.machine.all('SELECT code FROM mqevent').map(({ code }) => code)
  deepStrictEqual(events, ['PEER_ROLLED_BACK'])
})

test('a sender that was restored sends no row twice', (t) => {
  const disks = new Disks(t)
  const [a, b] = [disks.add('a'), disks.add('b')]
  disks.send(a, 'b', 10)
  disks.runUntil(() => disks.rowsLeft() === 0, 10 * second)
  disks.send(a, 'nobody', 1)
  const backup = `${a.machine.path}.backup`
  insert(a.machine, 'b', 'a 12 ')
  a.machine.backup(backup)
  a.host.look()
  disks.runUntil(() => disks.rowsAt(b, 'a').length === 11, 10 * second)
  a.host.crash()
  a.machine.restore(backup)
  a.host.start()
  insert(a.machine, 'b', 'a 13 ')
  disks.runUntil(() => disks.rowsLeft() === 1, 20 * second)
  deepStrictEqual(disks.rowsAt(b, 'a'), [...upTo(10), 12, 13])
})

test('a sender that is restored under its running daemon sends what is new at once', async (t) => {
  const disks = new Disks(t)
  const [a, b] = [disks.add('a'), disks.add('b')]
  disks.send(a, 'b', 10)
  disks.runUntil(() => disks.rowsLeft() === 0, 10 * second)
  const backup = `${a.machine.path}.backup`
  a.machine.backup(backup)
  disks.send(a, 'b', 10)
  disks.runUntil(() => disks.rowsLeft() === 0, 10 * second)
  const copy = new BetterSqlite3(backup)
  await copy.backup(a.machine.path)
  copy.close()
  // Its ids are those of rows that were sent before.
  insert(a.machine, 'b', 'a 21 ')
  a.host.look()
  disks.runUntil(() => disks.rowsLeft() === 0, 5 * second)
  deepStrictEqual(disks.rowsAt(b, 'a'), upTo(21))
  const events = a.machine.all('SELECT code FROM mqevent').map(({ code }) => code)
  deepStrictEqual(events, ['SELF_ROLLED_BACK'])
})

test('rows that are deleted on the way end the attempts of their lane', (t) => {
  const disks = new Disks(t)
  const [a, b] = [disks.add('a'), disks.add('b')]
  b.host.crash()
  disks.send(a, 'b', 10)
  disks.run(10 * second)
  a.machine.user.exec('DELETE FROM mqout')
  disks.runUntil(() => a.host.node.deadlineUs() === undefined, 10 * second)
  const [lane] = a.machine.all('SELECT state FROM mqlane')
  deepStrictEqual(lane?.['state'], 'idle')
})

test('a lane whose peer went away after the last row does not look for it', (t) => {
  const disks = new Disks(t)
  const [a, b] = [disks.add('a'), disks.add('b')]
  disks.send(a, 'b', 10)
  disks.runUntil(() => disks.rowsLeft() === 0, 10 * second)
  disks.run(second)
  b.host.stop()
  disks.runUntil(() => a.host.node.deadlineUs() === undefined, 10 * second)
  b.host.start()
  disks.send(a, 'b', 10)
  disks.runUntil(() => disks.rowsLeft() === 0, 10 * second)
})
