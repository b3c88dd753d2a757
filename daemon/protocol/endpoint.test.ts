import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { idleCloseUs } from './constants.ts'
import { at, keyNamed, Scenario, second } from '../../test/simulator/core/scenario.ts'
import {
  corruption,
  delay,
  detour,
  duplication,
  jitter,
  loss,
} from '../../sdk/testing/wire-parts.ts'

test('rows cross in three round trips', () => {
  const scenario = new Scenario({ parts: [delay(10_000)], commitUs: 1_000 })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b, 10)
  // Handshake, OPEN, rows and their confirm; a look-up and ten commits.
  ok(scenario.expectAll() <= 3 * 20_000 + 2_000 + 10 * 1_000 + 5_000)
  deepStrictEqual(scenario.status(a, 'b').type, 'open')
  scenario.expectRest()
  deepStrictEqual(scenario.status(a, 'b').type, 'idle')
})

test('rows cross in both directions at once, small ones and large ones', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b, 300, 60)
  scenario.send(b, a, 30, 20_000)
  scenario.send(a, b, 3, 200_000)
  scenario.expectAll()
  scenario.expectRest()
})

test('a row that comes into an open lane is there after one way and two commits', () => {
  const scenario = new Scenario({ parts: [delay(10_000)], commitUs: 1_000 })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b)
  scenario.expectAll()
  scenario.run(second)
  scenario.send(a, b)
  const takenUs = scenario.runUntil(() => scenario.arrived(b) === 2, second)
  ok(takenUs <= 10_000 + 2 * 1_000 + 2_000, `${takenUs} us`)
  scenario.expectAll()
})

test('it is reported how many packets went, and how many of them were lost', () => {
  for (const part of [0, 0.3]) {
    const scenario = new Scenario({ seed: 3, parts: [delay(10_000), loss(part)] })
    const [a, b] = [scenario.add('a'), scenario.add('b')]
    scenario.send(a, b, 2_000, 1_000)
    scenario.expectAll()
    scenario.expectRest()
    const { packets, lost } = a.store.outbox.traffic
    ok(packets > 500 && Math.abs(lost / packets - part) <= part * 0.2, `${lost} of ${packets}`)
    deepStrictEqual(b.store.outbox.traffic, { packets: 0, lost: 0 })
  }
})

test('a node sends to itself', () => {
  const scenario = new Scenario()
  const a = scenario.add('a')
  a.host.feed({ type: 'network', ips: [a.host.address.ip] })
  scenario.send(a, a, 100)
  scenario.expectAll()
  scenario.expectRest()
})

test('its own database at an address that is not its own is not sent to', () => {
  const scenario = new Scenario()
  const a = scenario.add('a')
  scenario.insert(a, 'a')
  scenario.run(6 * second)
  deepStrictEqual(scenario.trouble(a, 'a'), 'TINYMQ_SELF_LOOP')
  deepStrictEqual(a.store.inbox.rows.length, 0)
  // It costs what a dead host costs, and no session is ever made.
  const { counts } = scenario.network.checker
  scenario.run(3_600 * second)
  ok(counts.hello1 <= 350, `${counts.hello1} attempts in an hour`)
  deepStrictEqual([counts.hello2, counts.data], [0, 0])
  a.host.feed({ type: 'network', ips: [a.host.address.ip] })
  scenario.runUntil(() => a.store.inbox.rows.length === 1, second)
})

test('an idle session is closed after 60 s, and the next row opens another', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b)
  scenario.expectAll()
  const { counts } = scenario.network.checker
  scenario.run(idleCloseUs - second)
  deepStrictEqual([a.store.sessionCount, b.store.sessionCount], [1, 1])
  const before = counts.data
  scenario.run(2 * second)
  deepStrictEqual([a.store.sessionCount, b.store.sessionCount], [0, 0])
  deepStrictEqual(counts.data, before + 1, 'A CLOSE is all that it takes.')
  scenario.expectRest()
  scenario.send(a, b)
  scenario.expectAll()
  deepStrictEqual(counts.hello1, 2)
})

test('rows say which key they came under, and where their sender can be answered', () => {
  const scenario = new Scenario()
  const keys = [keyNamed('one'), keyNamed('two')]
  const a = scenario.add('a', { keys, advertisedHost: 'MachineA', advertisedPort: 9100 })
  const b = scenario.add('b', { keys, keylessFrom: 'nowhere' })
  const c = scenario.add('c', { keys, advertisedHost: '', advertisedPort: 0 })
  scenario.send(a, b, 1, 100, 'two')
  scenario.send(c, b, 1, 100, 'one')
  scenario.expectAll()
  const said = b.store.inbox.rows.map(({ key, host, port }) => `${key} ${host} ${port}`)
  deepStrictEqual(said.toSorted(), ['one 10.0.0.3 9000', 'two MachineA 9100'])
})

for (const percent of [0, 10, 20, 30, 40]) {
  const name = `${percent} % loss, doubles, detours, jitter and damage`
  test(`${name}: every row comes once and in order, and both rest`, () => {
    for (let seed = 1; seed <= 4; seed++) {
      const commitUs = [1_000, 5_000, 20_000, 80_000][seed % 4] ?? 0
      const parts = [
        delay(5_000 * seed),
        loss(percent / 100),
        duplication(0.1, 50_000),
        jitter(10_000),
        detour(0.05, 80_000),
        corruption(0.05),
      ]
      const scenario = new Scenario({ seed: 100 * percent + seed, parts, commitUs })
      const [a, b] = [scenario.add('a'), scenario.add('b')]
      scenario.send(a, b, 20)
      scenario.send(b, a, 20, 3_000)
      scenario.run(3 * second)
      scenario.send(a, b, 20, 5_000)
      scenario.expectAll(120 * second)
      scenario.expectRest()
    }
  })
}

test('a run is its seed', () => {
  const bytesOf = (): number => {
    const scenario = new Scenario({ seed: 5, parts: [delay(20_000), loss(0.3), jitter(9_000)] })
    const [a, b] = [scenario.add('a'), scenario.add('b')]
    scenario.send(a, b, 50, 1_000)
    scenario.expectAll()
    return scenario.network.checker.bytes
  }
  deepStrictEqual(bytesOf(), bytesOf())
})

test('what is counted is what crosses the edge of the core', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b, 10)
  scenario.expectAll()
  scenario.network.inject(at('10.7.7.7'), a.host.address, Uint8Array.of(1, 2, 3))
  scenario.run(second)
  const [one, other] = [a.host.node.counters, b.host.node.counters]
  deepStrictEqual(one.datagramsIn, other.datagramsOut + 1)
  deepStrictEqual(one.datagramsOut, other.datagramsIn)
  deepStrictEqual(one.bytesOut, other.bytesIn)
  deepStrictEqual([one.dropped.malformed, other.dropped.malformed], [1, 0])
})
