import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { Frame } from './frame.ts'
import { closeCode } from './frame.ts'
import type { NodeEvent } from './node-io.ts'
import { encodePacket, toConnectionId } from './packet.ts'
import type { SessionKeys } from './session-keys.ts'
import { RawPeer } from './testing/raw-peer.ts'
import type { Machine } from './testing/scenario.ts'
import { at, Scenario, second } from './testing/scenario.ts'
import { SeededRandom } from './testing/seeded-random.ts'
import { openedFacts, openFrame } from './testing/session-pair.ts'
import { delay } from './testing/wire-parts.ts'
import { Writer } from './wire.ts'

const max = Number.MAX_SAFE_INTEGER

/** Of `bytes` some are replaced, cut off, added or repeated. */
function mutated(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = Uint8Array.from(bytes)
  for (let changes = random.below(4); changes > 0 && copy.length > 0; changes--) {
    copy[random.below(copy.length)] = random.below(256)
  }
  const how = random.below(6)
  if (how === 0) return copy.subarray(0, random.below(copy.length + 1))
  if (how === 1) return Uint8Array.of(...copy, ...copy.subarray(0, random.below(copy.length + 1)))
  return copy
}

function noise(random: SeededRandom): Uint8Array {
  const lengths = [0, 1, 8, 9, 26, 31, 32, 66, 128, 256, 300, 1200]
  const bytes = Uint8Array.from({ length: random.one(lengths) }, () => random.below(256))
  if (bytes.length > 0) bytes[0] = 0x10 * random.below(9)
  return bytes
}

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
  const stranger = at('10.66.6.6')
  for (let turns = 0; turns < 400; turns++) {
    for (let index = 0; index < 100; index++) {
      const junk = random.chance(0.3) ? noise(random) : mutated(random.one(seen), random)
      const from = random.one([stranger, a.host.address, b.host.address])
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

/** What a stranger must not be able to buy. */
function badEvents({ host }: Machine): NodeEvent[] {
  return host.events.filter(({ type }) => type === 'peer-broke-rule' || type === 'lane-waits')
}

/** A value as a peer might choose it. */
function wild(random: SeededRandom): number {
  return random.one([0, 1, 2, 63, 64, 1_000, 65_536, 2 ** 31, 2 ** 40, max - 1, max])
}

function wildId(random: SeededRandom): Uint8Array {
  return new Uint8Array(16).fill(random.below(3))
}

function wildFrame(random: SeededRandom): Frame {
  const [one, two, three] = [wild(random), wild(random), wild(random)]
  const [first, last] = [Math.min(one, two), Math.max(one, two)]
  switch (random.below(8)) {
    case 0:
      return { type: 'ping' }
    case 1:
      return { type: 'ack', largest: last, delayUs: three, ranges: [{ first, last }] }
    case 2:
      return { type: 'credit', offset: one }
    case 3:
      return { type: 'confirm', sequence: one }
    case 4:
      return { ...openFrame, attempt: 1 + (one % 10), stream: wildId(random), confirmed: two }
    case 5: {
      const limits = { credit: one, datagramBytesMax: two, messageBytesMax: three }
      const facts = { ...openedFacts, database: wildId(random), watermark: two, part: three }
      return { type: 'opened', attempt: 1 + (one % 3), ...facts, ...limits }
    }
    case 6: {
      const code = random.one(Object.values(closeCode))
      const sequence = code === closeCode.refused ? Math.max(1, one) : 0
      return { type: 'close', code, sequence, retryAfterMs: two, reason: 'x'.repeat(200) }
    }
    default: {
      const bytes = new Uint8Array(1 + random.below(1_000)).fill(1)
      return { type: 'stream', offset: Math.min(one, max - bytes.length), bytes }
    }
  }
}

/** Frames that are sound, or nearly: whoever has the keys can send them. */
function wildPlain(random: SeededRandom): Frame[] {
  return Array.from({ length: 1 + random.below(4) }, () => wildFrame(random))
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
      sendWild(peer, keys, b, random)
      scenario.run(1_000)
    }
    peer.packets.length = 0
  }
  scenario.run(100 * second)
  deepStrictEqual([b.store.sessionCount, b.host.node.deadlineUs()], [0, undefined])
})

function sendWild(peer: RawPeer, keys: SessionKeys, machine: Machine, random: SeededRandom): void {
  const bytesMin = random.one([40, 128, 1200])
  if (random.chance(0.8)) {
    const frames = wildPlain(random)
    peer.inject(machine.host.address, keys, frames, bytesMin)
    return
  }
  const writer = new Writer(64)
  writer.bytes(Uint8Array.from({ length: 1 + random.below(150) }, () => random.below(11)))
  peer.injectPlain(machine.host.address, keys, writer.written)
}

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
        peer.inject(a.host.address, keys, [{ type: 'opened', attempt: 1, ...facts }], 128)
        scenario.run(5_000)
      }
      for (let packets = random.below(8); packets >= 0; packets--) {
        sendWild(peer, keys, a, random)
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

test('a session that tries stream after stream costs one line in the log', () => {
  const scenario = new Scenario({ parts: [delay(500)] })
  const b = scenario.add('b')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const keys = peer.open(b.host.address, () => scenario.run(second))
  for (let attempt = 1; attempt <= 50; attempt++) {
    const stream = new Uint8Array(16).fill(attempt)
    peer.sendFrames(b.host.address, keys, [{ ...openFrame, attempt, stream }])
    scenario.run(second / 50)
  }
  deepStrictEqual(
    b.host.events.map(({ type }) => type),
    ['peer-opened'],
  )
  deepStrictEqual(b.store.sessionCount, 1)
})

test('UNKNOWN for sessions that nobody has costs nothing, however many lanes there are', () => {
  const scenario = new Scenario()
  const a = scenario.add('a')
  for (let index = 0; index < 300; index++) scenario.insert(a, `nobody${index}`)
  scenario.run(20 * second)
  const { counts } = scenario.network.checker
  const before = [counts.hello1, a.host.ticks, a.host.node.counters.junk]
  for (let index = 0; index < 1_000; index++) {
    const dcid = toConnectionId(new Uint8Array(8).fill(index & 255))
    const unknown = encodePacket({ type: 'unknown', dcid })
    scenario.network.inject(at('10.66.6.6'), a.host.address, unknown)
  }
  scenario.run(20_000)
  deepStrictEqual(counts.hello1, before[0])
})
