import { deepStrictEqual, notDeepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { type CloseCode, closeCode, type Frame } from './codec/frame.ts'
import { retryAfterMaxUs, streamRestartsMax } from './constants.ts'
import { RawPeer } from '../../test/support/raw-peer.ts'
import { at, type Machine, Scenario, second } from '../../test/simulator/core/scenario.ts'
import { openedFacts, openFrame } from '../../test/support/session-pair.ts'
import { delay, gate } from '../../sdk/testing/wire-parts.ts'
import type { SessionKeys } from './crypto/packet-protection.ts'

type Two = { readonly scenario: Scenario; readonly a: Machine; readonly b: Machine }

function two(): Two {
  const scenario = new Scenario()
  return { scenario, a: scenario.add('a'), b: scenario.add('b') }
}

function turnAway(machine: Machine, code: CloseCode, retryAfterMs: number): void {
  machine.store.inbox.turnsAway = { code, reason: 'because', retryAfterMs }
}

const troubles: readonly (readonly [CloseCode, string, number])[] = [
  [closeCode.done, 'connecting', 0.2],
  [closeCode.superseded, 'TINYMQ_SUPERSEDED', 5],
  [closeCode.stopping, 'connecting', 0.2],
  [closeCode.protocol, 'TINYMQ_PROTOCOL', 30],
  [closeCode.closed, 'TINYMQ_INBOX_CLOSED', 7],
  [closeCode.busy, 'TINYMQ_PEER_BUSY', 7],
  [closeCode.store, 'TINYMQ_PEER_STORE', 7],
  [closeCode.damaged, 'connecting', 0.2],
]

for (const [code, trouble, seconds] of troubles) {
  const pause = seconds < 1 ? 'soon' : `after ${seconds} s`
  test(`closed with code ${code}, a lane says ${trouble} and opens again ${pause}`, () => {
    const { scenario, a, b } = two()
    turnAway(b, code, seconds === 7 ? 7_000 : 0)
    scenario.send(a, b)
    const { counts } = scenario.network.checker
    scenario.run(second / 10)
    deepStrictEqual([counts.hello1, scenario.trouble(a, 'b')], [1, trouble])
    const againUs = scenario.runUntil(() => counts.hello1 === 2, 40 * second)
    ok(Math.abs(againUs - seconds * second) < second / 5, `${againUs} us`)
    b.store.inbox.turnsAway = undefined
    scenario.expectAll(40 * second)
    deepStrictEqual(scenario.trouble(a, 'b'), 'open')
  })
}

test('a peer that turns away again and again costs one line in the log', () => {
  const { scenario, a, b } = two()
  turnAway(b, closeCode.busy, 5_000)
  scenario.send(a, b)
  scenario.run(120 * second)
  deepStrictEqual(
    a.host.events.map(({ type }) => type),
    ['lane-waits'],
  )
  ok(a.store.outbox.statusWrites <= 2 * (120 / 5) + 2, `${a.store.outbox.statusWrites} writes`)
})

test('no peer is left alone for longer than an hour, whatever it asks for', () => {
  const { scenario, a, b } = two()
  turnAway(b, closeCode.closed, Number.MAX_SAFE_INTEGER)
  scenario.send(a, b)
  scenario.run(retryAfterMaxUs - 10 * second)
  deepStrictEqual(scenario.network.checker.counts.hello1, 1)
  b.store.inbox.turnsAway = undefined
  scenario.expectAll(20 * second)
})

test('a peer that asks for a pause gets it from the network, not from an operator', () => {
  const { scenario, a, b } = two()
  turnAway(b, closeCode.closed, 600_000)
  scenario.send(a, b)
  scenario.run(second)
  b.store.inbox.turnsAway = undefined
  a.host.feed({ type: 'network', ips: ['10.0.0.1'] })
  b.host.feed({ type: 'wake-peers', addresses: [a.host.address] })
  scenario.run(60 * second)
  deepStrictEqual(scenario.arrived(b), 0)
  a.store.outbox.want({ host: 'b', port: 9000, key: '' })
  a.host.look()
  ok(scenario.expectAll() < second / 5)
})

test('a rejected row is set aside, the others go on, and it comes when it is taken', () => {
  const { scenario, a, b } = two()
  let taken = 0
  b.store.inbox.refuses = () => {
    taken++
    if (taken !== 5 && taken !== 9) return undefined
    return { code: closeCode.refused, reason: 'not this one', retryAfterMs: 20_000 }
  }
  scenario.send(a, b, 20)
  scenario.runUntil(() => a.store.outbox.rowsLeft === 2, second)
  deepStrictEqual(scenario.arrived(b), 18)
  deepStrictEqual(scenario.status(a, 'b').type, 'open')
  scenario.runUntil(() => {
    a.host.look()
    return a.store.outbox.rowsLeft === 0
  }, 40 * second)
  deepStrictEqual(b.store.inbox.rows.length, 20)
})

test('a hundred rejected rows in a row do not hold up the one behind them for long', () => {
  const { scenario, a, b } = two()
  b.store.inbox.refuses = (data) =>
    data.length === 100
      ? { code: closeCode.refused, reason: 'short', retryAfterMs: 3_600_000 }
      : undefined
  scenario.send(a, b, 100)
  scenario.send(a, b, 1, 200)
  scenario.runUntil(() => a.store.outbox.rowsLeft === 100, 15 * second)
  deepStrictEqual(scenario.arrived(b), 1)
})

test('a row that is too long for the peer is set aside without being sent', () => {
  const { scenario, a, b } = two()
  b.store.inbox.messageBytesMax = 1_000
  scenario.send(a, b, 1, 2_000)
  scenario.send(a, b, 1, 500)
  scenario.runUntil(() => b.store.inbox.rows.length === 1, second)
  deepStrictEqual(scenario.network.checker.counts.hello1, 1)
})

test('a lane that must wait for its operator says so once, closes, and costs nothing', () => {
  const { scenario, a, b } = two()
  a.store.outbox.holds = 'rows may be there already'
  scenario.send(a, b)
  scenario.run(10 * second)
  deepStrictEqual(scenario.trouble(a, 'b'), 'TINYMQ_AMBIGUOUS')
  deepStrictEqual([a.store.sessionCount, b.store.sessionCount], [0, 0])
  deepStrictEqual([a.host.node.deadlineUs(), b.host.node.deadlineUs()], [undefined, undefined])
  a.store.outbox.holds = undefined
  a.store.outbox.want({ host: 'b', port: 9000, key: '' })
  a.host.look()
  ok(scenario.expectAll() < second / 5)
  scenario.expectRest()
})

test('rows that are deleted end the attempts of their lane', () => {
  const { scenario, a, b } = two()
  b.host.crash()
  scenario.insert(a, 'b')
  scenario.run(10 * second)
  a.store.outbox.deleteAll({ host: 'b', port: 9000, key: '' })
  a.host.look()
  scenario.run(second)
  deepStrictEqual([a.host.node.deadlineUs(), scenario.trouble(a, 'b')], [undefined, 'idle'])
})

test('a lane whose peer closes while there is nothing to send rests until there is', () => {
  const { scenario, a, b } = two()
  scenario.send(a, b)
  scenario.expectAll()
  scenario.run(second)
  b.host.stop()
  scenario.run(20 * second)
  deepStrictEqual([a.host.node.deadlineUs(), scenario.trouble(a, 'b')], [undefined, 'idle'])
  b.host.start()
  scenario.send(a, b)
  scenario.expectAll()
})

test('a node that stops says so, and rows wait until it is back', () => {
  const { scenario, a, b } = two()
  scenario.send(a, b, 2_000, 500)
  scenario.run(90_000)
  b.host.stop()
  scenario.run(10 * second)
  ok(a.store.outbox.rowsLeft > 0)
  b.host.start()
  b.host.feed({ type: 'wake-peers', addresses: [a.host.address] })
  ok(scenario.expectAll() < second)
  const { counts } = scenario.network.checker
  const before = counts.data
  a.host.stop()
  deepStrictEqual(counts.data, before + 1, 'One CLOSE.')
  scenario.run(6 * second)
  deepStrictEqual([b.store.sessionCount, b.host.node.deadlineUs()], [0, undefined])
  a.host.start()
})

test('a stream that is opened again supersedes its older session, which is closed', () => {
  const scenario = new Scenario()
  const b = scenario.add('b')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  const [older, newer] = [1, 2].map(() => {
    const keys = peer.open(b.host.address, () => scenario.run(second))
    peer.sendFrames(b.host.address, keys, [openFrame])
    scenario.run(second)
    return keys
  })
  ok(older !== undefined && newer !== undefined)
  const codes = peer.read(older, 'responder').map((f) => (f.type === 'close' ? f.code : undefined))
  deepStrictEqual(codes.at(-1), closeCode.superseded)
  deepStrictEqual(typesOf(peer.read(newer, 'responder')), ['opened', 'credit', 'confirm', 'ack'])
  deepStrictEqual(b.store.sessionCount, 1)
})

for (const early of [[], [{ type: 'ping' } as const]]) {
  const how = early.length > 0 ? 'that was used' : 'of which nothing came before'
  test(`a late OPEN of an earlier session ${how} leaves the newer one alone`, () => {
    const scenario = new Scenario()
    const b = scenario.add('b')
    const to = b.host.address
    const peer = new RawPeer(scenario.network, at('10.0.0.50'))
    const older = peer.open(to, () => scenario.run(second))
    if (early.length > 0) peer.sendFrames(to, older, early)
    const newer = peer.open(to, () => scenario.run(second))
    peer.sendFrames(to, newer, [openFrame])
    scenario.run(second / 10)
    peer.sendFrames(to, older, [openFrame])
    scenario.run(second / 10)
    const said = peer.read(older, 'responder')
    const codes = said.flatMap((frame) => (frame.type === 'close' ? [frame.code] : []))
    deepStrictEqual(codes, [closeCode.superseded])
    peer.sendFrames(to, newer, [{ type: 'stream', offset: 0, bytes: Uint8Array.of(1) }])
    scenario.run(second / 10)
    deepStrictEqual(typesOf(peer.read(newer, 'responder')).includes('close'), false)
    deepStrictEqual(b.store.sessionCount, 1)
  })
}

function typesOf(frames: readonly Frame[]): string[] {
  return frames.map(({ type }) => type)
}

/** A lane of `a` that is answered by hand. */
function byHand(): { scenario: Scenario; a: Machine; peer: RawPeer; keys: () => SessionKeys } {
  const scenario = new Scenario({ parts: [delay(1_000), gate(() => true)] })
  const a = scenario.add('a')
  const peer = new RawPeer(scenario.network, at('10.0.0.50'))
  scenario.names.set('odd', [peer.address.ip])
  scenario.insert(a, 'odd', '', 5)
  scenario.run(second / 20)
  const keys = (): SessionKeys => {
    const made = peer.answer(a.host.address)
    scenario.run(second / 20)
    return made
  }
  return { scenario, a, peer, keys }
}

const opened = { type: 'opened', credit: 1_000_000, datagramBytesMax: 65_507 } as const
const close = { type: 'close', sequence: 0, retryAfterMs: 0, reason: '' } as const

test('a peer that rejects rows that were never sent breaks a rule', () => {
  for (const sequence of [6, 1_000, Number.MAX_SAFE_INTEGER]) {
    const { scenario, a, peer, keys } = byHand()
    const session = keys()
    const to = a.host.address
    peer.sendFrames(to, session, [{ ...opened, ...openedFacts }])
    scenario.run(second / 20)
    peer.sendFrames(to, session, [{ ...close, code: closeCode.refused, sequence }])
    scenario.run(second)
    deepStrictEqual(scenario.trouble(a, 'odd'), 'TINYMQ_PROTOCOL')
    deepStrictEqual(scenario.network.checker.counts.hello1, 1)
  }
})

test('a packet of a responder that cannot be read is dropped, and its session goes on', () => {
  const { scenario, a, peer, keys } = byHand()
  const session = keys()
  const to = a.host.address
  // PING, and CONFIRM before a frame of no type: nothing in such a packet counts.
  for (const plain of [[1], [5, 5, 8]]) peer.injectPlain(to, session, Uint8Array.from(plain))
  peer.sendFrames(to, session, [{ ...opened, ...openedFacts }])
  scenario.run(second / 20)
  peer.injectPlain(to, session, Uint8Array.of(5, 5, 8))
  scenario.run(second / 20)
  deepStrictEqual([a.store.outbox.rowsLeft, scenario.status(a, 'odd').type], [5, 'open'])
  peer.sendFrames(to, session, [{ type: 'confirm', sequence: 5 }])
  scenario.run(second / 20)
  deepStrictEqual(a.store.outbox.rowsLeft, 0)
})

test('a rejection before the stream is open breaks a rule too', () => {
  const { scenario, a, peer, keys } = byHand()
  const frame = { ...close, code: closeCode.refused, sequence: 1 } as const
  peer.sendFrames(a.host.address, keys(), [frame])
  scenario.run(second)
  deepStrictEqual(scenario.trouble(a, 'odd'), 'TINYMQ_PROTOCOL')
})

test('a peer whose identity changes with every answer is left alone for a while', () => {
  const { scenario, a, peer, keys } = byHand()
  const { counts } = scenario.network.checker
  for (let sessions = 1; sessions <= streamRestartsMax; sessions++) {
    deepStrictEqual(a.store.outbox.renewals.length, sessions - 1)
    const session = keys()
    const database = new Uint8Array(16).fill(sessions)
    const facts = { ...openedFacts, database, watermark: sessions + 100 }
    peer.sendFrames(a.host.address, session, [{ ...opened, ...facts }])
    scenario.run(second / 20)
  }
  const before = counts.hello1
  scenario.run(20 * second)
  deepStrictEqual(scenario.trouble(a, 'odd'), 'TINYMQ_IDENTITY')
  deepStrictEqual([counts.hello1, a.store.outbox.renewals.length], [before, streamRestartsMax])
  scenario.run(15 * second)
  ok(counts.hello1 > before, 'But it is asked again.')
})

test('a new stream gets a new session at once, and a late confirm frees none of its rows', () => {
  const { scenario, a, peer, keys } = byHand()
  const to = a.host.address
  const older = keys()
  // Five rows wait, and the peer has five of this stream: it knows more than we do.
  peer.sendFrames(to, older, [{ ...opened, ...openedFacts, watermark: 5 + 100 }])
  scenario.run(second / 20)
  const said = peer.read(older, 'initiator')
  deepStrictEqual(typesOf(said), ['open', 'close'])
  deepStrictEqual(a.store.outbox.renewals, ['SELF_ROLLED_BACK'])
  const newer = keys()
  peer.sendFrames(to, newer, [{ ...opened, ...openedFacts }])
  scenario.run(second / 20)
  const [open, ...rows] = peer.read(newer, 'initiator')
  ok(open?.type === 'open' && said[0]?.type === 'open')
  notDeepStrictEqual(open.stream, said[0].stream)
  ok(rows.some(({ type }) => type === 'stream'))
  // The answer to an OPEN that was repeated in the older session: here both have rows 1 to 5.
  const late: Frame[] = [
    { ...opened, ...openedFacts, watermark: 105 },
    { type: 'credit', offset: 1_000_000 },
    { type: 'confirm', sequence: 5 },
  ]
  peer.sendFrames(to, older, late)
  peer.sendFrames(to, older, [{ ...close, code: closeCode.refused, sequence: 2 }])
  scenario.run(second / 20)
  deepStrictEqual([a.store.outbox.rowsLeft, scenario.status(a, 'odd').type], [5, 'open'])
  peer.sendFrames(to, newer, [{ type: 'confirm', sequence: 5 }])
  scenario.run(second / 20)
  deepStrictEqual(a.store.outbox.rowsLeft, 0)
})

test('a peer that breaks a rule is reported, once, and left alone for 30 s', () => {
  const { scenario, a, peer, keys } = byHand()
  const session = keys()
  const ack = { type: 'ack', largest: 77, delayUs: 0, ranges: [{ first: 77, last: 77 }] } as const
  peer.sendFrames(a.host.address, session, [ack, ack])
  scenario.run(20 * second)
  const said = peer.read(session, 'initiator').filter(({ type }) => type === 'close')
  deepStrictEqual(said.length, 1)
  ok(said[0]?.type === 'close' && said[0].code === closeCode.protocol)
  const { counts } = scenario.network.checker
  deepStrictEqual(counts.hello1, 1)
  scenario.run(15 * second)
  deepStrictEqual(counts.hello1 > 1, true)
})
