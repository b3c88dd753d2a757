import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { Key } from './crypto/handshake.ts'
import { unauthenticatedLogPauseUs } from './constants.ts'
import { encodePacket, toConnectionId } from './codec/packet.ts'
import { RawPeer } from '../../test/support/raw-peer.ts'
import { at, keyNamed, type Machine, Scenario, second } from '../../test/simulator/core/scenario.ts'
import { openFrame } from '../../test/support/session-pair.ts'
import { delay, loss } from '../../sdk/testing/wire-parts.ts'

const [older, newer] = [keyNamed('k', 1), keyNamed('k', 2)]

function giveKeys(machine: Machine, keys: readonly Key[]): void {
  machine.host.feed({ type: 'keys', keys, keylessFrom: 'nowhere' })
}

function reasonOf(scenario: Scenario, from: Machine, to: string, key: string): string {
  const status = scenario.status(from, to, key)
  return status.type === 'waiting' ? status.reason : status.type
}

/** Under one key, with rows that flow all the time. */
function flowing(seed = 1): { scenario: Scenario; a: Machine; b: Machine; more: () => void } {
  const scenario = new Scenario({ seed, parts: [delay(10_000), loss(0.1)] })
  const a = scenario.add('a', { keys: [older], keylessFrom: 'nowhere' })
  const b = scenario.add('b', { keys: [older], keylessFrom: 'nowhere' })
  const more = (): void => {
    for (let turn = 0; turn < 20; turn++) {
      scenario.send(a, b, 20, 100, 'k')
      scenario.run(second / 10)
    }
  }
  return { scenario, a, b, more }
}

test('a key is renewed at both ends, in any order of the two, while rows flow', () => {
  for (const seed of [1, 2, 3, 4]) {
    const { scenario, a, b, more } = flowing(seed)
    const both = seed % 2 === 0 ? [a, b] : [b, a]
    more()
    for (const keys of [[older, newer], [newer, older], [newer]]) {
      for (const machine of both) {
        giveKeys(machine, keys)
        more()
        ok(scenario.status(a, 'b', 'k').type === 'open', 'Rows go on.')
      }
    }
    scenario.expectAll(20 * second)
  }
})

test('the session goes on under the old key until the new one stands', () => {
  const { scenario, a, b, more } = flowing()
  more()
  // The other end does not have it yet, so nothing may change.
  giveKeys(a, [newer, older])
  const sessions = b.store.sessionCount
  more()
  deepStrictEqual([scenario.status(a, 'b', 'k').type, b.store.sessionCount], ['open', sessions])
  giveKeys(b, [older, newer])
  more()
  giveKeys(a, [newer])
  giveKeys(b, [newer])
  scenario.expectAll(20 * second)
})

test('sessions under a key that is taken away end at both ends, and rows wait for it', () => {
  for (const end of ['a', 'b'] as const) {
    const { scenario, a, b, more } = flowing()
    more()
    scenario.expectAll(5 * second)
    giveKeys(end === 'a' ? a : b, [keyNamed('other')])
    scenario.run(second)
    deepStrictEqual([a.store.outbox.sessionCount, b.store.sessionCount], [0, 0])
    scenario.send(a, b, 5, 100, 'k')
    scenario.run(30 * second)
    deepStrictEqual(
      scenario.trouble(a, 'b', 'k'),
      end === 'a' ? 'TINYMQ_NO_KEY' : 'TINYMQ_NO_ANSWER',
    )
    giveKeys(end === 'a' ? a : b, [older])
    scenario.expectAll(40 * second)
  }
})

test('a key that comes into the ring wakes the rows that wait for it at once', () => {
  const scenario = new Scenario()
  const a = scenario.add('a', { keys: [keyNamed('other')] })
  const b = scenario.add('b', { keys: [older] })
  scenario.send(a, b, 1, 100, 'k')
  scenario.run(100 * second)
  deepStrictEqual(scenario.trouble(a, 'b', 'k'), 'TINYMQ_NO_KEY')
  giveKeys(a, [keyNamed('other'), older])
  scenario.expectAll(second)
})

test('a key under another name is another key: its sessions end, its rows wait', () => {
  const { scenario, a, b, more } = flowing()
  more()
  scenario.expectAll(5 * second)
  giveKeys(b, [{ ...older, name: 'renamed' }])
  scenario.run(second)
  deepStrictEqual([a.store.outbox.sessionCount, b.store.sessionCount], [0, 0])
})

test('a ring with the same keys disturbs nothing', () => {
  const { scenario, a, b, more } = flowing()
  more()
  const before = b.host.events.length
  giveKeys(a, [{ ...older }])
  giveKeys(b, [{ ...older }])
  more()
  scenario.expectAll(5 * second)
  deepStrictEqual(b.host.events.length, before)
})

test('what is half open under a key that is taken away does not become a session', () => {
  const scenario = new Scenario({ parts: [delay(1_000)] })
  const b = scenario.add('b', { keys: [older], keylessFrom: 'nowhere' })
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const handshake = peer.beginHandshake(older)
  peer.send(b.host.address, handshake.hello1())
  scenario.run(10_000)
  const hello2 = peer.last('hello2')
  const keys = hello2 && handshake.finish(hello2)
  ok(keys !== undefined)
  giveKeys(b, [newer])
  peer.sendFrames(b.host.address, keys, [openFrame])
  scenario.run(second)
  deepStrictEqual([b.store.sessionCount, peer.packets.length], [0, 1])
})

test('keyless sessions end when the ring says so', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b)
  scenario.expectAll(second)
  deepStrictEqual(b.store.sessionCount, 1)
  giveKeys(b, [older])
  scenario.run(second)
  deepStrictEqual(b.store.sessionCount, 0)
})

test('after a jump of the clock nothing is sealed with what was there before', () => {
  for (const jumps of ['a', 'b', 'both'] as const) {
    const { scenario, a, b, more } = flowing()
    more()
    scenario.send(a, b, 200, 1_000, 'k')
    scenario.run(20_000)
    for (const machine of [a, b]) {
      if (jumps !== 'both' && jumps !== machine.name) continue
      const sent = scenario.network.checker.datagrams
      machine.host.feed({ type: 'clock-jumped' })
      const news = scenario.network.checker.datagrams - sent
      ok(news <= 1, 'A HELLO1 at most: not even a CLOSE.')
    }
    scenario.expectAll(20 * second)
  }
})

test('a node that is contacted by unauthenticated peers says so once a minute', () => {
  const scenario = new Scenario({ parts: [delay(1_000)] })
  const b = scenario.add('b', { keys: [older], keylessFrom: 'nowhere' })
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const knock = (): number => {
    for (let index = 0; index < 100; index++) {
      peer.send(b.host.address, peer.beginHandshake(index % 2 === 0 ? newer : undefined).hello1())
      scenario.run(10_000)
    }
    return b.host.events.filter(({ type }) => type === 'unauthenticated-peer').length
  }
  deepStrictEqual(knock(), 1)
  scenario.run(unauthenticatedLogPauseUs)
  deepStrictEqual([knock(), peer.packets.length], [2, 0])
})

test('a node with keys makes no sound for those who have none', () => {
  const scenario = new Scenario({ parts: [delay(1_000)] })
  const b = scenario.add('b', { keys: [older], keylessFrom: 'nowhere' })
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const foreign = peer.beginHandshake(older).hello1()
  foreign[1] = 9
  const dcid = toConnectionId(new Uint8Array(8).fill(3))
  const probes = [
    peer.beginHandshake().hello1(),
    peer.beginHandshake(newer).hello1(),
    foreign,
    Uint8Array.of(0x40, ...new Uint8Array(40)),
    encodePacket({ type: 'wake' }),
    encodePacket({ type: 'unknown', dcid }),
    encodePacket({ type: 'hello2', dcid, scid: dcid, noise: new Uint8Array(48) }),
  ]
  const ask = (): number => {
    for (const probe of probes) scenario.network.inject(peer.address, b.host.address, probe)
    scenario.run(second)
    return peer.packets.length
  }
  deepStrictEqual(ask(), 0)
  // Peers of old are informed that their session is gone: they need not find out by themselves.
  b.host.feed({ type: 'wake-peers', addresses: [peer.address] })
  scenario.run(10_000)
  deepStrictEqual(ask(), 3, 'WAKE, VERSIONS and UNKNOWN.')
})

test('a node with keys answers its own machine with VERSIONS, and with nothing else', () => {
  const scenario = new Scenario({ parts: [delay(1_000)] })
  const b = scenario.add('b', { keys: [older], keylessFrom: 'nowhere' })
  const peer = new RawPeer(scenario.network, at('127.0.0.1'))
  const foreign = peer.beginHandshake().hello1()
  foreign[1] = 9
  const data = Uint8Array.of(0x40, ...new Uint8Array(40))
  for (const probe of [peer.beginHandshake().hello1(), foreign, data]) {
    scenario.network.inject(peer.address, b.host.address, probe)
  }
  scenario.run(second)
  deepStrictEqual([peer.packets.length, peer.last('versions')?.versions.length], [1, 1])
})

test('a peer that answers under another key, and not under this one, is distinguished', () => {
  const scenario = new Scenario()
  const good = keyNamed('good', 3)
  const a = scenario.add('a', { keys: [older, good], keylessFrom: 'nowhere' })
  const b = scenario.add('b', { keys: [newer, good], keylessFrom: 'nowhere' })
  scenario.insert(a, 'b', 'k')
  scenario.run(20 * second)
  deepStrictEqual(scenario.trouble(a, 'b', 'k'), 'TINYMQ_NO_ANSWER')
  match(reasonOf(scenario, a, 'b', 'k'), /under the key k: is tinymq running there/)
  scenario.send(a, b, 1, 100, 'good')
  scenario.run(20 * second)
  deepStrictEqual(scenario.trouble(a, 'b', 'k'), 'TINYMQ_WRONG_KEY')
  match(reasonOf(scenario, a, 'b', 'k'), /does not answer under the key k/)
  deepStrictEqual(scenario.arrived(b), 1)
})
