import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { closeCode } from './codec/frame.ts'
import type { NodeEvent } from './io.ts'
import { encodePacket, toConnectionId } from './codec/packet.ts'
import { mutated, noise, sendWild } from '../../test/support/hostile.ts'
import { RawPeer } from '../../test/support/raw-peer.ts'
import { at, type Machine, Scenario, second } from '../../test/simulator/core/scenario.ts'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { datagramOf, openedFacts, openFrame } from '../../test/support/session-pair.ts'
import { delay } from '../../sdk/testing/wire-parts.ts'

test('40,000 datagrams of junk do not throw, disturb, or get more than they are', () => {
  const scenario = new Scenario({ seed: 3, parts: [delay(5_000)] })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  const random = new SeededRandom(9)
  const seen: Uint8Array[] = []
  scenario.network.onSend = (bytes) => {
    if (seen.length < 5_000) seen.push(Uint8Array.from(bytes))
    else seen[random.below(seen.length)] = Uint8Array.from(bytes)
  }
  scenario.send(a, b, 2_000, 400)
  scenario.send(b, a, 2_000, 400)
  scenario.run(second / 10)
  const outsider = at('10.66.6.6')
  for (let turns = 0; turns < 400; turns++) {
    for (let index = 0; index < 100; index++) {
      const junk = random.chance(0.3) ? noise(random) : mutated(random.one(seen), random)
      const from = random.one([outsider, a.host.address, b.host.address])
      scenario.network.inject(from, random.one([a, b]).host.address, junk)
    }
    if (turns % 40 === 0) {
      scenario.send(a, b, 20)
      scenario.send(b, a, 20)
    }
    scenario.run(20_000)
  }
  scenario.expectAll(20 * second)
  scenario.expectRest()
  deepStrictEqual(badEvents(a), [])
  deepStrictEqual(badEvents(b), [])
})

/** What an unauthenticated peer must not be able to buy. */
function badEvents({ host }: Machine): NodeEvent[] {
  return host.events.filter(({ type }) => type === 'peer-broke-rule' || type === 'lane-waits')
}

test('a peer that has the keys of a session may say in it what it likes: nothing throws', () => {
  const random = new SeededRandom(4)
  const scenario = new Scenario({ parts: [delay(500)], commitUs: 1_000 })
  const b = scenario.add('b')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const to = b.host.address
  for (let session = 0; session < 250; session++) {
    const keys = peer.open(to, () => scenario.run(21_000))
    if (random.chance(0.7)) peer.sendFrames(to, keys, [openFrame])
    scenario.run(10_000)
    for (let packets = 0; packets < 10; packets++) {
      sendWild(peer, keys, b.host.address, random)
      scenario.run(1_000)
    }
    peer.packets.length = 0
  }
  scenario.run(100 * second)
  deepStrictEqual([b.store.sessionCount, b.host.node.deadlineUs()], [0, undefined])
})

test('a responder may answer a lane what it likes: nothing throws, and others are served', () => {
  const random = new SeededRandom(5)
  const scenario = new Scenario({ parts: [delay(500)], commitUs: 1_000 })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  scenario.names.set('odd', [peer.address.ip])
  scenario.insert(a, 'odd', '', 10)
  let sessions = 0
  for (let turns = 0; turns < 1_800; turns++) {
    const hello1 = peer.last('hello1')
    if (hello1 !== undefined) {
      sessions++
      const keys = peer.answer(a.host.address)
      scenario.run(3_000)
      if (random.chance(0.7)) {
        const facts = { ...openedFacts, credit: 100_000, datagramBytesMax: 65_507 }
        peer.inject(a.host.address, keys, [{ type: 'opened', ...facts }], 128)
        scenario.run(5_000)
      }
      for (let packets = random.below(8); packets >= 0; packets--) {
        sendWild(peer, keys, a.host.address, random)
        scenario.run(500)
      }
      peer.packets.length = 0
    }
    if (turns % 180 === 0) scenario.send(a, b, 5)
    if (turns % 3 === 0) scenario.insert(a, 'odd')
    scenario.run(second)
    a.store.outbox.want({ host: 'odd', port: 9000, key: '' })
    a.host.look()
  }
  ok(sessions > 300, `${sessions} sessions`)
  scenario.expectOrder()
  deepStrictEqual(scenario.arrived(b), 50)
})

test('a session cannot be made to hold more than its credit by pieces that overlap', () => {
  const scenario = new Scenario({ parts: [delay(500)] })
  const b = scenario.add('b')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const to = b.host.address
  const keys = peer.open(to, () => scenario.run(second))
  peer.sendFrames(to, keys, [openFrame])
  scenario.run(second)
  for (let index = 0; index < 1_000; index++) {
    const bytes = new Uint8Array(60_000)
    peer.sendFrames(to, keys, [{ type: 'stream', offset: 1 + index, bytes }])
    scenario.run(100)
  }
  peer.sendFrames(to, keys, [{ type: 'stream', offset: 0, bytes: new Uint8Array(1) }])
  scenario.run(second)
  const answers = peer.read(keys, 'responder')
  deepStrictEqual(answers.at(-1)?.type, 'close', 'Zeros are no record; until here all was well.')
})

test('frames after a CLOSE in one packet open nothing', () => {
  const scenario = new Scenario({ parts: [delay(500)] })
  const b = scenario.add('b')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const keys = peer.open(b.host.address, () => scenario.run(second))
  const close = { type: 'close', code: 0, sequence: 0, retryAfterMs: 0, reason: '' } as const
  peer.sendFrames(b.host.address, keys, [close, openFrame])
  scenario.run(10 * second)
  deepStrictEqual([b.store.sessionCount, b.host.node.deadlineUs()], [0, undefined])
})

test('a session that tries another stream ends, with one line in the log', () => {
  const scenario = new Scenario({ parts: [delay(500)] })
  const b = scenario.add('b')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const keys = peer.open(b.host.address, () => scenario.run(second))
  for (let index = 1; index <= 50; index++) {
    const stream = new Uint8Array(16).fill(index)
    peer.sendFrames(b.host.address, keys, [{ ...openFrame, stream }])
    scenario.run(second / 50)
  }
  deepStrictEqual(
    b.host.events.map(({ type }) => type),
    ['peer-opened', 'peer-broke-rule'],
  )
  const close = peer.read(keys, 'responder').at(-1)
  ok(close?.type === 'close' && close.code === closeCode.protocol)
  deepStrictEqual(b.store.sessionCount, 0)
})

test('UNKNOWN for sessions that nobody has costs nothing, however many lanes there are', () => {
  const scenario = new Scenario()
  const a = scenario.add('a')
  for (let index = 0; index < 300; index++) scenario.insert(a, `nobody${index}`)
  scenario.run(20 * second)
  const { counts } = scenario.network.checker
  const before = [counts.hello1, a.host.ticks]
  for (let index = 0; index < 1_000; index++) {
    const dcid = toConnectionId(new Uint8Array(8).fill(index & 255))
    const unknown = encodePacket({ type: 'unknown', dcid })
    scenario.network.inject(at('10.66.6.6'), a.host.address, unknown)
  }
  scenario.run(20_000)
  deepStrictEqual(counts.hello1, before[0])
})

test('a session that moves to an address sends there at most thrice what came from there', () => {
  const scenario = new Scenario({ parts: [delay(500)] })
  scenario.network.checker.answersPerByteMax = 3
  const b = scenario.add('b')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const victim = new RawPeer(scenario.network, at('10.66.6.6'))
  const keys = peer.open(b.host.address, () => scenario.run(second))
  peer.sendFrames(b.host.address, keys, [openFrame])
  scenario.run(second)
  const late = Array.from({ length: 500 }, (_, index) =>
    datagramOf([{ type: 'stream', offset: 10 * index, bytes: new Uint8Array(5) }], keys, 1_200),
  )
  // The newest number moves the session; what comes after it does not.
  scenario.network.inject(victim.address, b.host.address, keys.seal(new Uint8Array(1)))
  for (const packet of late) {
    scenario.network.inject(peer.address, b.host.address, packet)
    scenario.run(10_000)
  }
  ok(victim.bytesIn <= 3 * 32, `${victim.bytesIn} bytes for 32`)
  scenario.network.inject(victim.address, b.host.address, datagramOf([{ type: 'ping' }], keys))
  scenario.run(200 * second)
  ok(victim.bytesIn > 0 && victim.bytesIn <= 3 * (32 + 128), `${victim.bytesIn} bytes for 160`)
})

test('a peer that answers a handshake from elsewhere makes nobody speak to that address', () => {
  const scenario = new Scenario({ parts: [delay(500)] })
  const a = scenario.add('a')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const victim = new RawPeer(scenario.network, at('10.66.6.6'))
  scenario.names.set('odd', [peer.address.ip])
  scenario.insert(a, 'odd')
  scenario.run(second / 5)
  peer.answer(a.host.address, undefined, victim.address)
  scenario.run(20 * second)
  deepStrictEqual(victim.bytesIn, 0)
  ok(peer.last('data') !== undefined, 'It speaks to where it has contacted.')
})
