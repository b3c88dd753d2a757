import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { peerAbsentUs, unopenedUs } from './constants.ts'
import { decodePacket, type Packet } from './codec/packet.ts'
import { at, keyNamed, Scenario, second, type Machine } from '../../test/simulator/core/scenario.ts'
import { delay, filter, mtu, type WirePart } from '../../sdk/testing/wire-parts.ts'

type Named = { readonly scenario: Scenario; readonly a: Machine; readonly b: Machine }

const keyring = [keyNamed('k')]

/** Two machines; with a key both have it, and take nothing without. */
function two(key = ''): Named {
  const scenario = new Scenario()
  const options = key === '' ? {} : ({ keys: keyring, keylessFrom: 'nowhere' } as const)
  return { scenario, a: scenario.add('a', options), b: scenario.add('b', options) }
}

/** What goes to this address comes to the machine too; it answers from its own. */
function alsoAt({ scenario }: Named, ip: string, { host }: Machine): void {
  const { network } = scenario
  network.attach(at(ip), (from, bytes) => {
    network.checker.onArrived(from, host.address, bytes)
    host.feed({ type: 'datagram', from, bytes })
  })
}

function typeOf(bytes: Uint8Array): Packet['type'] | undefined {
  return decodePacket(bytes)?.type
}

const noData: WirePart = filter(({ bytes }) => typeOf(bytes) !== 'data')

// ---- one name, several addresses

test('the session goes to the address that was answered for, though a dead one is first', () => {
  const all = two()
  const { scenario, a, b } = all
  // Linux answers from the primary address of the interface, not from the one that was asked.
  alsoAt(all, '10.0.0.3', b)
  scenario.names.set('b', ['10.0.0.66', '10.0.0.3'])
  scenario.send(a, b, 10, 1_000)
  scenario.expectAll(2 * second)
  scenario.expectRest()
})

test('of five addresses each is tried, though four are dead', () => {
  const { scenario, a, b } = two()
  const dead = ['1', '2', '3', '4'].map((last) => `10.0.6.${last}`)
  scenario.names.set('b', [...dead, b.host.address.ip])
  scenario.send(a, b)
  scenario.expectAll(2 * second)
})

test('after a session that got no OPENED the other address has its turn', () => {
  const all = two()
  const { scenario, a, b } = all
  alsoAt(all, '10.0.0.3', b)
  scenario.names.set('b', ['10.0.0.3', b.host.address.ip])
  // The first address is faster, and nothing but handshakes passes there.
  scenario.network.setPath(a.host.address, at('10.0.0.3'), [delay(100), noData])
  scenario.send(a, b)
  scenario.expectAll(unopenedUs)
})

for (const [what, part] of [
  ['nothing but handshakes passes', noData],
  ['no packet of 508 bytes passes', mtu(() => 400)],
] as const) {
  test(`while ${what}, handshakes come ever more rarely, and people can read why`, () => {
    const { scenario, a, b } = two()
    scenario.network.setUsual([delay(10_000), part])
    scenario.send(a, b, 1, 5_000)
    const { counts } = scenario.network.checker
    scenario.run(60 * second)
    const status = scenario.status(a, 'b')
    deepStrictEqual(scenario.trouble(a, 'b'), 'TINYMQ_NO_ANSWER')
    ok(status.type === 'waiting' && /MTU/.test(status.reason))
    const early = counts.hello1
    scenario.run(540 * second)
    ok(counts.hello1 - early <= 140, `${counts.hello1 - early} in nine minutes`)
    // The pause is that of a dead peer: at most one fiftieth of the outage.
    scenario.network.setUsual([delay(10_000)])
    scenario.expectAll(25 * second)
    deepStrictEqual(scenario.trouble(a, 'b'), 'open')
  })
}

for (const bytesMax of [508, 1_000, 1_172, 1_199]) {
  test(`a path that carries ${bytesMax} bytes and no more brings rows, and is remembered`, () => {
    const { scenario, a, b } = two()
    const { network } = scenario
    network.setUsual([delay(10_000), mtu(() => bytesMax)])
    scenario.send(a, b, 1, 100)
    scenario.expectAll(second)
    scenario.send(a, b, 20, 5_000)
    scenario.expectAll(6 * second)
    const before = network.checker.counts.hello1
    scenario.send(a, b, 20, 5_000)
    ok(scenario.expectAll(second) < second)
    deepStrictEqual(network.checker.counts.hello1, before)
    // It has become wide again.
    network.setUsual([delay(10_000)])
    scenario.run(70 * second)
    let longest = 0
    network.onSend = (bytes) => {
      longest = Math.max(longest, bytes.length)
    }
    scenario.send(a, b, 50, 5_000)
    scenario.expectAll(2 * second)
    ok(longest > 1_200, `${longest}`)
    scenario.expectRest()
  })
}

test('a path that becomes narrower than 1,200 bytes in mid-stream brings the rest', () => {
  const { scenario, a, b } = two()
  scenario.send(a, b, 2_000, 5_000)
  scenario.expectArrival(b, 200)
  scenario.network.setUsual([delay(10_000), mtu(() => 1_172)])
  scenario.expectAll(60 * second)
})

// ---- an address is not an identity

for (const key of ['', 'k']) {
  const under = key === '' ? 'without a key' : 'under a key'
  for (const isMet of [false, true]) {
    const lane = isMet ? 'a lane that knows its peer' : 'a fresh lane'
    test(`${under}, an address that both machines have brings ${lane} to the peer`, () => {
      const all = two(key)
      const { scenario, a, b } = all
      if (isMet) {
        scenario.send(a, b, 5, 100, key)
        scenario.expectAll()
        scenario.run(100 * second)
      }
      a.host.feed({ type: 'network', ips: [a.host.address.ip, '172.17.0.1'] })
      alsoAt(all, '172.17.0.1', a)
      scenario.network.setPath(a.host.address, at('172.17.0.1'), [delay(100)])
      scenario.names.set('b', ['172.17.0.1', b.host.address.ip])
      scenario.send(a, b, 20, 100, key)
      scenario.expectAll(10 * second)
      deepStrictEqual(scenario.arrived(a), 0)
      deepStrictEqual(a.store.outbox.renewals, [])
    })

    test(`${under}, an address that leads back unseen brings ${lane} to the peer`, () => {
      const all = two(key)
      const { scenario, a, b } = all
      if (isMet) {
        scenario.send(a, b, 5, 100, key)
        scenario.expectAll()
        scenario.run(100 * second)
      }
      // A forwarded port, a router that turns packets round: no address of this machine.
      alsoAt(all, '10.9.0.1', a)
      scenario.network.setPath(a.host.address, at('10.9.0.1'), [delay(100)])
      scenario.names.set('b', ['10.9.0.1', b.host.address.ip])
      scenario.send(a, b, 20, 100, key)
      scenario.expectAll(10 * second)
      deepStrictEqual(scenario.arrived(a), 0)
      deepStrictEqual(a.store.outbox.renewals, [])
    })
  }
}

test('a peer that is away is waited for, while this machine has one of its addresses', () => {
  const { scenario, a, b } = two()
  a.host.feed({ type: 'network', ips: [a.host.address.ip] })
  scenario.names.set('b', [a.host.address.ip, b.host.address.ip])
  b.host.crash()
  scenario.send(a, b)
  scenario.run(600 * second)
  deepStrictEqual([scenario.arrived(a), a.store.outbox.rowsLeft], [0, 1])
  const status = scenario.status(a, 'b')
  ok(status.type === 'waiting' && status.code === 'TINYMQ_NO_ANSWER')
  ok(/10\.0\.0\.1 is an address of this machine too, and is not asked/.test(status.reason))
  b.host.start()
  scenario.expectAll(15 * second)
})

test('a lane that knows its peer does not turn to this machine when the name does', () => {
  const { scenario, a, b } = two()
  a.host.feed({ type: 'network', ips: [a.host.address.ip] })
  scenario.send(a, b)
  scenario.expectAll()
  scenario.run(100 * second)
  // What a name server that blocks names answers.
  scenario.names.set('b', [a.host.address.ip])
  scenario.send(a, b)
  scenario.run(60 * second)
  deepStrictEqual(scenario.trouble(a, 'b'), 'TINYMQ_SELF_LOOP')
  deepStrictEqual([scenario.arrived(a), a.store.outbox.renewals], [0, []])
  scenario.names.set('b', [b.host.address.ip])
  scenario.expectAll(31 * second)
})

test('another database behind the same name does not win by being faster', () => {
  const { scenario, a, b } = two()
  const c = scenario.add('c')
  scenario.send(a, b, 5)
  scenario.expectAll()
  scenario.names.set('b', [c.host.address.ip, b.host.address.ip])
  scenario.network.setPath(c.host.address, a.host.address, [delay(100)])
  for (let round = 0; round < 3; round++) {
    scenario.run(100 * second)
    scenario.send(a, b, 5)
    scenario.expectAll(second)
  }
  deepStrictEqual([scenario.arrived(c), a.store.outbox.renewals], [0, []])
  // A restart is waited for.
  b.host.crash()
  scenario.send(a, b, 5)
  scenario.run(peerAbsentUs / 2)
  deepStrictEqual(scenario.arrived(c), 0)
  b.host.start()
  scenario.expectAll(3 * second)
  deepStrictEqual([scenario.arrived(c), a.store.outbox.renewals], [0, []])
})

test('rule 2: a peer that stays away gives its place to the database that answers, loudly', () => {
  const { scenario, a, b } = two()
  const c = scenario.add('c')
  scenario.send(a, b)
  scenario.expectAll()
  scenario.run(100 * second)
  b.host.crash()
  scenario.names.set('b', [c.host.address.ip, b.host.address.ip])
  scenario.insert(a, 'b')
  scenario.run(peerAbsentUs / 2)
  const status = scenario.status(a, 'b')
  ok(status.type === 'waiting' && /at 10\.0\.0\.3 another database answers/.test(status.reason))
  deepStrictEqual(scenario.arrived(c), 0)
  scenario.run(peerAbsentUs / 2 + 2 * second)
  deepStrictEqual(scenario.arrived(c), 1)
  deepStrictEqual(a.store.outbox.renewals, ['PEER_REPLACED'])
})

test('rule 2: a database that was replaced is noticed at once when every address has it', () => {
  const all = two()
  const { scenario, a, b } = all
  alsoAt(all, '10.0.0.3', b)
  scenario.names.set('b', ['10.0.0.3', b.host.address.ip])
  scenario.send(a, b)
  scenario.expectAll()
  scenario.run(100 * second)
  b.host.crash()
  const c = scenario.add('c', { ip: '10.0.0.4' })
  alsoAt(all, '10.0.0.3', c)
  alsoAt(all, b.host.address.ip, c)
  scenario.insert(a, 'b')
  scenario.run(second)
  deepStrictEqual(scenario.arrived(c), 1)
  deepStrictEqual(a.store.outbox.renewals, ['PEER_REPLACED'])
})

// ---- what comes back

for (const key of ['', 'k']) {
  const under = key === '' ? 'without a key' : 'under a key'
  test(`${under}, packets that somebody sends back delay nobody and alarm nobody`, () => {
    const { scenario, a, b } = two(key)
    const { network } = scenario
    const codes = new Set<string>()
    // On the path between the two, and faster than the peer.
    network.setPath(b.host.address, a.host.address, [delay(30_000)])
    network.checker.answersPerByteMax = Infinity
    const { onSend } = network
    network.onSend = (bytes, to, from) => {
      onSend(bytes, to, from)
      const copy = Uint8Array.from(bytes)
      scenario.time.at(scenario.nowUs + 50, () => network.inject(to, from, copy))
      codes.add(scenario.trouble(a, 'b', key))
    }
    scenario.send(a, b, 50, 1_000, key)
    scenario.send(b, a, 50, 1_000, key)
    scenario.expectAll(2 * second)
    ok(!codes.has('TINYMQ_SELF_LOOP'))
    deepStrictEqual([scenario.arrived(a), scenario.arrived(b)], [50, 50])
    deepStrictEqual(network.checker.counts.unknown, 0)
  })

  test(`${under}, a peer that was away is found though HELLO1s came back meanwhile`, () => {
    const { scenario, a, b } = two(key)
    const { network } = scenario
    b.host.crash()
    network.checker.answersPerByteMax = Infinity
    network.onSend = (bytes, to, from) => {
      const copy = Uint8Array.from(bytes)
      scenario.time.at(scenario.nowUs + 50, () => network.inject(to, from, copy))
    }
    scenario.send(a, b, 1, 100, key)
    scenario.run(20 * second)
    deepStrictEqual(scenario.trouble(a, 'b', key), 'TINYMQ_SELF_LOOP')
    b.host.start()
    scenario.expectAll(2 * second)
    deepStrictEqual(scenario.arrived(a), 0)
  })
}

test('a lane to itself goes on at once when the machine has got another address', () => {
  const scenario = new Scenario()
  const a = scenario.add('a')
  a.host.feed({ type: 'network', ips: [a.host.address.ip] })
  scenario.send(a, a)
  scenario.expectAll()
  scenario.run(100 * second)
  a.host.moveTo(at('10.0.0.77'))
  scenario.names.set('a', ['10.0.0.77'])
  scenario.send(a, a)
  // A look at the own addresses comes every five seconds.
  scenario.run(5 * second)
  a.host.feed({ type: 'network', ips: ['10.0.0.77'] })
  scenario.expectAll(second)
})

test('a session to itself that opens while the address changes is no copy of this node', () => {
  const scenario = new Scenario()
  const a = scenario.add('a')
  a.host.feed({ type: 'network', ips: [a.host.address.ip] })
  let hasOpen = false
  scenario.network.onSend = (bytes) => (hasOpen ||= decodePacket(bytes)?.type === 'data')
  scenario.send(a, a)
  scenario.runUntil(() => hasOpen, second)
  a.host.feed({ type: 'network', ips: ['10.0.0.77'] })
  scenario.expectAll(second)
})
