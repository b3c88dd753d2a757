import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { closeCode } from './codec/frame.ts'
import {
  cookieSecretUs,
  halfOpenMax,
  halfOpenTimeoutUs,
  hellosPerSecondFree,
  hintsPerSecondMax,
  inboundSessionsMax,
} from './constants.ts'
import type { EndpointOptions } from './endpoint.ts'
import { encodePacket, toConnectionId } from './codec/packet.ts'
import { RawPeer } from '../../test/support/raw-peer.ts'
import { at, keyNamed, type Machine, Scenario, second } from '../../test/simulator/core/scenario.ts'
import { openFrame } from '../../test/support/session-pair.ts'
import { delay, loss } from '../../sdk/testing/wire-parts.ts'

type Door = { readonly scenario: Scenario; readonly b: Machine; readonly peer: RawPeer }

/** A node, and somebody who knocks by hand. */
function door(options: Partial<EndpointOptions> = {}, ip = '10.0.0.50'): Door {
  const scenario = new Scenario({ parts: [delay(1_000)] })
  const b = scenario.add('b', options)
  return { scenario, b, peer: new RawPeer(scenario.network, at(ip)) }
}

/** Contacts from addresses that are not its own, so that it never gets an answer. */
function flood({ scenario, b, peer }: Door, count: number): void {
  for (let index = 0; index < count; index++) {
    const from = at(`10.66.${index >> 8}.${index & 255}`)
    scenario.network.inject(from, b.host.address, peer.beginHandshake().hello1())
  }
  scenario.run(10_000)
}

test('a node that speaks another version is answered with the versions spoken here', () => {
  const { scenario, b, peer } = door()
  const hello1 = peer.beginHandshake().hello1()
  hello1[1] = 9
  scenario.network.inject(peer.address, b.host.address, hello1)
  scenario.run(second)
  const versions = peer.last('versions')
  deepStrictEqual([...(versions?.versions ?? [])], [1])
  ok(peer.bytesIn <= 26)
})

test('a peer that speaks other versions only gets VERSIONS, and is contacted all the same', () => {
  const scenario = new Scenario()
  const a = scenario.add('a')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  scenario.names.set('odd', [peer.address.ip])
  scenario.insert(a, 'odd')
  scenario.run(second / 5)
  const dcid = peer.last('hello1')?.scid
  ok(dcid !== undefined)
  const versions = encodePacket({ type: 'versions', dcid, versions: Uint8Array.of(7, 8) })
  scenario.network.inject(peer.address, a.host.address, versions)
  scenario.run(second)
  deepStrictEqual(scenario.trouble(a, 'odd'), 'TINYMQ_VERSION')
  peer.answer(a.host.address)
  scenario.run(second / 2)
  deepStrictEqual(a.store.outbox.sessionCount, 1)
})

test('a repeated HELLO1 gets the same HELLO2, and another one with its id gets none', () => {
  const { scenario, b, peer } = door()
  const handshake = peer.beginHandshake()
  for (let index = 0; index < 3; index++) peer.send(b.host.address, handshake.hello1())
  scenario.run(second)
  const hellos = peer.packets.filter((packet) => packet.type === 'hello2')
  deepStrictEqual(hellos.length, 3)
  deepStrictEqual(hellos[1], hellos[0])
  const scid = hellos[0]?.dcid
  ok(scid !== undefined)
  const other = peer.beginHandshake().hello1()
  other.set(handshake.hello1().subarray(2, 10), 2)
  scenario.network.inject(peer.address, b.host.address, other)
  scenario.run(second)
  deepStrictEqual(peer.packets.length, 3)
})

test('under a flood of HELLO1 senders get a cookie, and whoever returns it gets in', () => {
  const all = door()
  const { scenario, b, peer } = all
  flood(all, hellosPerSecondFree)
  const handshake = peer.beginHandshake()
  peer.send(b.host.address, handshake.hello1())
  scenario.run(10_000)
  const retry = peer.last('retry')
  ok(retry !== undefined && peer.last('hello2') === undefined)
  handshake.onCookie(retry.cookie)
  deepStrictEqual(handshake.onCookie(new Uint8Array(16)), false, 'One RETRY is followed.')
  peer.send(b.host.address, handshake.hello1())
  scenario.run(10_000)
  ok(peer.last('hello2') !== undefined)
})

test('a cookie is good for one address, one handshake and two to four minutes', () => {
  const all = door()
  const { scenario, b, peer } = all
  const to = b.host.address
  flood(all, hellosPerSecondFree)
  const handshake = peer.beginHandshake()
  peer.send(to, handshake.hello1())
  scenario.run(10_000)
  const cookie = peer.last('retry')?.cookie ?? new Uint8Array(16)
  handshake.onCookie(cookie)
  const isTaken = (hello1: Uint8Array, from = peer.address): boolean => {
    flood(all, hellosPerSecondFree)
    const other = new RawPeer(scenario.network, from)
    other.send(to, hello1)
    scenario.run(10_000)
    return other.last('hello2') !== undefined
  }
  deepStrictEqual(isTaken(handshake.hello1(), at('10.0.0.51')), false)
  deepStrictEqual(isTaken(handshake.hello1(), { ...peer.address, port: 9001 }), false)
  const another = peer.beginHandshake()
  another.onCookie(cookie)
  deepStrictEqual(isTaken(another.hello1()), false)
  scenario.run(cookieSecretUs)
  deepStrictEqual(isTaken(handshake.hello1()), true)
  scenario.run(cookieSecretUs)
  deepStrictEqual(isTaken(handshake.hello1()), false)
})

test('a cookie of an hour ago is not good, though there was no load since', () => {
  const all = door()
  const { scenario, b, peer } = all
  flood(all, hellosPerSecondFree)
  const handshake = peer.beginHandshake()
  peer.send(b.host.address, handshake.hello1())
  scenario.run(10_000)
  handshake.onCookie(peer.last('retry')?.cookie ?? new Uint8Array(16))
  scenario.run(3_600 * second)
  flood(all, hellosPerSecondFree)
  peer.send(b.host.address, handshake.hello1())
  scenario.run(10_000)
  deepStrictEqual(peer.last('hello2'), undefined)
})

test('rows cross under a flood of HELLO1, from senders that follow a RETRY', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  const peer = new RawPeer(scenario.network, at('10.66.6.6'))
  for (let turns = 0; turns < 40; turns++) {
    flood({ scenario, b, peer }, 20)
    if (turns === 20) scenario.send(a, b, 100)
    scenario.run(15_000)
  }
  ok(scenario.network.checker.counts.retry > 100)
  scenario.expectAll(second)
})

test('of half-open sessions the newest 64 are kept, each for 5 s', () => {
  const all = door()
  const { scenario, b, peer } = all
  const handshakes = Array.from({ length: halfOpenMax + 10 }, () => peer.beginHandshake())
  for (const handshake of handshakes) {
    peer.send(b.host.address, handshake.hello1())
    scenario.run(25_000)
  }
  const prove = (index: number): void => {
    const hello2 = peer.packets.filter((packet) => packet.type === 'hello2')[index]
    const keys = hello2 && handshakes[index]?.finish(hello2)
    ok(keys !== undefined)
    peer.sendFrames(b.host.address, keys, [openFrame])
    scenario.run(10_000)
  }
  prove(0)
  deepStrictEqual(b.store.sessionCount, 0)
  ok(peer.last('unknown') !== undefined)
  prove(10)
  deepStrictEqual(b.store.sessionCount, 1)
  scenario.run(halfOpenTimeoutUs)
  prove(halfOpenMax + 9)
  deepStrictEqual(b.store.sessionCount, 1)
  scenario.run(90 * second)
  deepStrictEqual(b.host.node.deadlineUs(), undefined)
})

test('a peer without a key gets in from a private address, and no answer elsewhere', () => {
  const asked = (keylessFrom: EndpointOptions['keylessFrom'], ip: string): number => {
    const { scenario, b, peer } = door({ keylessFrom }, ip)
    peer.send(b.host.address, peer.beginHandshake().hello1())
    scenario.run(second)
    return peer.packets.length
  }
  const ips = ['10.1.2.3', '127.0.0.1', 'fd00::7', '8.8.8.8', '2001:db8::7', '100.128.0.1']
  deepStrictEqual(
    ips.map((ip) => asked('private', ip)),
    [1, 1, 1, 0, 0, 0],
  )
  deepStrictEqual([asked('anywhere', '8.8.8.8'), asked('nowhere', '127.0.0.1')], [1, 0])
})

test('under a key rows cross, from anywhere; with another key or an unknown one no sound', () => {
  const [good, bad] = [keyNamed('k', 1), keyNamed('k', 2)]
  const rowsWith = (own: typeof good, others: typeof good): number[] => {
    const scenario = new Scenario()
    const a = scenario.add('a', { keys: [own], ip: '8.8.4.4' })
    const b = scenario.add('b', { keys: [others], ip: '8.8.8.8' })
    scenario.insert(a, 'b', 'k')
    scenario.run(20 * second)
    return [b.store.inbox.rows.length, b.host.node.counters.datagramsOut]
  }
  deepStrictEqual(rowsWith(good, good)[0], 1)
  deepStrictEqual(rowsWith(good, bad), [0, 0])
})

test('of several keys of one name the first is sent with, and all are taken', () => {
  const [older, newer] = [keyNamed('k', 1), keyNamed('k', 2)]
  const scenario = new Scenario()
  const a = scenario.add('a', { keys: [newer, older] })
  const b = scenario.add('b', { keys: [older, newer] })
  const c = scenario.add('c', { keys: [newer] })
  scenario.send(a, b, 1, 100, 'k')
  scenario.send(b, a, 1, 100, 'k')
  scenario.send(a, c, 1, 100, 'k')
  scenario.expectAll()
  scenario.insert(b, 'c', 'k')
  scenario.run(20 * second)
  deepStrictEqual(scenario.trouble(b, 'c', 'k'), 'TINYMQ_NO_ANSWER')
})

test('a HELLO1 whose hint is known and whose key is not gets no sound', () => {
  const { scenario, b, peer } = door({ keys: [keyNamed('k')] })
  const hello1 = peer.beginHandshake(keyNamed('k')).hello1()
  hello1[60] = (hello1[60] ?? 0) ^ 1
  scenario.network.inject(peer.address, b.host.address, hello1)
  scenario.run(second)
  deepStrictEqual(peer.packets.length, 0)
})

test('rows for a key that is not in the ring are never sent without one', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.insert(a, 'b', 'lost')
  scenario.run(60 * second)
  deepStrictEqual(scenario.trouble(a, 'b', 'lost'), 'TINYMQ_NO_KEY')
  deepStrictEqual([b.store.inbox.rows.length, scenario.network.checker.datagrams], [0, 0])
  a.host.feed({ type: 'network', ips: [] })
  scenario.run(60 * second)
  deepStrictEqual(scenario.network.checker.datagrams, 0)
})

test('bytes of an unknown session are answered with 9, a hundred times a second', () => {
  const { scenario, b, peer } = door()
  const data = Uint8Array.of(0x40, ...new Uint8Array(40))
  for (let index = 0; index < 3 * hintsPerSecondMax; index++) {
    scenario.network.inject(peer.address, b.host.address, data)
  }
  scenario.run(second / 2)
  deepStrictEqual([peer.packets.length, peer.bytesIn], [hintsPerSecondMax, 9 * hintsPerSecondMax])
})

test('unauthenticated peers who use up the answers do not keep this machine from asking', () => {
  const { scenario, b, peer } = door({}, '127.0.0.1')
  const hello1 = peer.beginHandshake().hello1()
  hello1[1] = 0xff
  for (let index = 0; index < 3 * hintsPerSecondMax; index++) {
    scenario.network.inject(at('203.0.113.9'), b.host.address, hello1)
  }
  scenario.network.inject(peer.address, b.host.address, hello1)
  scenario.run(second / 2)
  deepStrictEqual(peer.last('versions')?.versions.length, 1)
})

test('beyond 1,024 sessions the next of whoever has all is asked to wait', () => {
  const { scenario, b, peer } = door()
  const pass = (): void => scenario.run(21_000)
  for (let index = 0; index < inboundSessionsMax; index++) {
    const keys = peer.open(b.host.address, pass)
    const stream = new Uint8Array(16).fill(index & 255).fill(index >> 8, 8)
    peer.sendFrames(b.host.address, keys, [{ ...openFrame, stream }])
    if (index % 64 === 63) scenario.run(second)
  }
  deepStrictEqual(b.host.node.held.sessions, inboundSessionsMax)
  const keys = peer.open(b.host.address, pass)
  peer.sendFrames(b.host.address, keys, [openFrame])
  scenario.run(second)
  const frame = peer.read(keys, 'responder').at(-1)
  ok(frame?.type === 'close' && frame.code === closeCode.busy && frame.retryAfterMs > 0)
  deepStrictEqual(b.store.sessionCount, inboundSessionsMax)
  scenario.run(100 * second)
  deepStrictEqual(b.host.node.deadlineUs(), undefined, 'All are forgotten.')
})

test('what an unauthenticated peer says to a lane that contacts changes nothing', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  b.host.crash()
  scenario.send(a, b)
  scenario.run(2 * second)
  const dcid = toConnectionId(new Uint8Array(8).fill(3))
  const lies = [
    encodePacket({ type: 'hello2', dcid, scid: dcid, noise: new Uint8Array(48) }),
    encodePacket({ type: 'retry', dcid, cookie: new Uint8Array(16) }),
    encodePacket({ type: 'versions', dcid, versions: Uint8Array.of(2) }),
    encodePacket({ type: 'unknown', dcid }),
  ]
  for (const lie of lies) scenario.network.inject(b.host.address, a.host.address, lie)
  scenario.run(2 * second)
  deepStrictEqual(a.host.node.counters.dropped['unknown-session'], 3)
  b.host.start()
  scenario.expectAll(3 * second)
})

test('a forged HELLO2 to the right handshake spoils nothing', () => {
  const scenario = new Scenario()
  const a = scenario.add('a', { keys: [keyNamed('k')] })
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  scenario.names.set('odd', [peer.address.ip])
  scenario.insert(a, 'odd', 'k')
  scenario.run(second / 5)
  const dcid = peer.last('hello1')?.scid
  ok(dcid !== undefined)
  const noise = new Uint8Array(48).fill(9)
  const forged = encodePacket({ type: 'hello2', dcid, scid: dcid, noise })
  scenario.network.inject(peer.address, a.host.address, forged)
  scenario.run(second / 10)
  peer.answer(a.host.address, keyNamed('k'))
  scenario.run(second / 10)
  deepStrictEqual(a.store.outbox.sessionCount, 1)
})

test('the first row of a fresh peer comes soon, also where packets are lost', () => {
  const within = (part: number, runs: number): number => {
    const took = Array.from({ length: runs }, (_, index) => {
      const parts = [delay(50_000), loss(part)]
      const scenario = new Scenario({ seed: index + 1, parts })
      const [a, b] = [scenario.add('a'), scenario.add('b')]
      scenario.send(a, b)
      return scenario.expectArrival(b, 1)
    })
    return took.toSorted((one, other) => one - other)[Math.floor(0.9 * runs)] ?? Infinity
  }
  // Two round trips and a half, and the commits.
  ok(within(0, 5) < 0.28 * second)
  ok(within(0.1, 100) < second)
  ok(within(0.3, 100) < 2.5 * second)
})
