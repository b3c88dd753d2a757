/**
 * A peer that takes all the sessions, or all the memory for what waits out of order, that a node
 * has. Another peer next to it gets its session and its rows.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { closeCode, type Frame } from './codec/frame.ts'
import { heldBytesAll, inboundSessionsMax, unopenedForgetUs } from './constants.ts'
import type { SessionKeys } from './crypto/packet-protection.ts'
import { RawPeer } from '../../test/support/raw-peer.ts'
import { at, keyNamed, type Machine, Scenario, second } from '../../test/simulator/core/scenario.ts'
import { openFrame } from '../../test/support/session-pair.ts'
import { delay } from '../../sdk/testing/wire-parts.ts'

const [evil, good] = [keyNamed('evil', 1), keyNamed('good', 2)]

class BufferFull {
  readonly scenario = new Scenario({ parts: [delay(1_000)] })
  readonly a: Machine
  readonly b: Machine
  readonly peer: RawPeer
  readonly sessions: SessionKeys[] = []
  readonly #isKeyed: boolean

  constructor(isKeyed: boolean) {
    this.#isKeyed = isKeyed
    const options = { keys: [evil, good], keylessFrom: 'nowhere' } as const
    this.a = this.scenario.add('a', isKeyed ? options : {})
    this.b = this.scenario.add('b', isKeyed ? options : {})
    this.peer = new RawPeer(this.scenario.network, at('10.66.6.6'))
  }

  /** One more session of the attacker, with this as its first frame. */
  begin(frame: Frame): void {
    const { address } = this.b.host
    const key = this.#isKeyed ? evil : undefined
    const keys = this.peer.open(address, () => this.scenario.run(21_000), key)
    this.peer.sendFrames(address, keys, [frame])
    this.sessions.push(keys)
  }

  /** A stream of its own in each session. */
  beginStream(): void {
    const index = this.sessions.length
    const stream = new Uint8Array(16).fill(index & 255).fill(index >> 8, 8)
    this.begin({ ...openFrame, stream })
  }

  /** How long 50 rows of an honest peer take. */
  rowsUs(): number {
    const before = this.scenario.arrived(this.b)
    this.scenario.send(this.a, this.b, 50, 500, this.#isKeyed ? 'good' : '')
    return this.scenario.expectArrival(this.b, before + 50, 5 * second)
  }
}

test('a session without an OPEN is forgotten after 10 s, whatever it sends', () => {
  const all = new BufferFull(false)
  all.begin({ type: 'ping' })
  const [keys] = all.sessions
  ok(keys !== undefined)
  for (let turn = 0; turn < 12; turn++) {
    all.peer.sendFrames(all.b.host.address, keys, [{ type: 'ping' }])
    all.scenario.run(unopenedForgetUs / 10)
  }
  deepStrictEqual(all.b.host.node.held.sessions, 0)
})

for (const isKeyed of [true, false]) {
  const who = isKeyed ? 'under one key' : 'from one address'
  test(`all sessions ${who}: another peer gets one, and its rows as fast as alone`, () => {
    const aloneUs = new BufferFull(isKeyed).rowsUs()
    const all = new BufferFull(isKeyed)
    for (let index = 0; index < inboundSessionsMax; index++) all.beginStream()
    all.scenario.run(second)
    deepStrictEqual(all.b.host.node.held.sessions, inboundSessionsMax)
    const takenUs = all.rowsUs()
    ok(takenUs <= 2 * aloneUs, `${takenUs} us, alone ${aloneUs} us`)
    // More of them push out nobody but one another.
    for (let index = 0; index < 50; index++) all.begin({ type: 'ping' })
    all.scenario.run(second)
    const againUs = all.rowsUs()
    ok(againUs <= aloneUs, `${againUs} us, alone ${aloneUs} us`)
    deepStrictEqual(all.b.host.node.held.sessions, inboundSessionsMax)
  })
}

test('single bytes out of order hold no more than all may hold, and close who sends them', () => {
  const all = new BufferFull(true)
  const { scenario, b, peer } = all
  const aloneUs = new BufferFull(true).rowsUs()
  for (let index = 0; index < 256; index++) all.beginStream()
  scenario.run(second)
  all.rowsUs()
  let closed = 0
  for (const [index, keys] of all.sessions.entries()) {
    peer.packets.length = 0
    // Every second byte: each is a segment.
    for (let packet = 0; packet < 9; packet++) {
      const frames = Array.from({ length: 250 }, (_, piece) => {
        const offset = 2 + 2 * (packet * 250 + piece)
        return { type: 'stream', offset, bytes: Uint8Array.of(1) } as const
      })
      peer.sendFrames(b.host.address, keys, frames)
    }
    scenario.run(2_000)
    const frame = peer.packets.length === 0 ? undefined : peer.read(keys, 'responder').at(-1)
    if (frame?.type === 'close' && frame.code === closeCode.busy) closed++
    if (index % 32 === 31) ok(b.host.node.held.bytes <= heldBytesAll)
  }
  scenario.run(second)
  ok(b.host.node.held.sessions < 257, `${b.host.node.held.sessions} sessions, ${closed} seen`)
  const takenUs = all.rowsUs()
  ok(takenUs <= 2 * aloneUs, `${takenUs} us, alone ${aloneUs} us`)
})
