import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { Frame } from '../codec/frame.ts'
import { type InboundFact, ResponderSession } from './responder-session.ts'
import { ackDelayMaxUs, ackEvery, ackYoungPackets, silentForgetUs } from '../constants.ts'
import {
  framesOf,
  initiatorAddress,
  type KeysPair,
  keysPair,
  openedFacts,
  openFrame,
} from '../../../test/support/session-pair.ts'

const facts = { ...openedFacts, datagramBytesMax: 65_507 }
const ping: Frame = { type: 'ping' }
const max = Number.MAX_SAFE_INTEGER

function stream(offset: number, length: number): Frame {
  return { type: 'stream', offset, bytes: new Uint8Array(length).fill(7) }
}

class Inbound {
  readonly keys: KeysPair = keysPair()
  readonly session: ResponderSession
  #packets = 0

  constructor(creditShareBytes = 1_000_000) {
    const { responder: keys } = this.keys
    const peer = initiatorAddress
    const key = { key: 'k', keyId: undefined }
    this.session = new ResponderSession({ id: 1, peer, keys, ...key, creditShareBytes }, 0)
  }

  /** A packet comes. */
  put(frames: readonly Frame[], nowUs = 0, bytes = 1200, from = initiatorAddress): InboundFact[] {
    return this.session.onPacket(this.#packets++, frames, bytes, from, nowUs)
  }

  skipNumbers(count: number): void {
    this.#packets += count
  }

  /** The frames of the next datagram, if one leaves now. */
  take(nowUs = 0): Frame[] | undefined {
    const datagram = this.session.nextDatagram(nowUs)
    return datagram && framesOf(datagram, this.keys.initiator, 'responder')
  }

  open(): this {
    this.put([openFrame])
    this.session.onAccepted(facts)
    this.take()
    return this
  }
}

function typesOf(frames: readonly Frame[] | undefined): string {
  return (frames ?? []).map(({ type }) => type).join(' ')
}

test('an OPEN is reported once, and answered again when it comes again', () => {
  const inbound = new Inbound()
  deepStrictEqual(inbound.put([openFrame]), [{ type: 'open', frame: openFrame }])
  deepStrictEqual(inbound.put([openFrame]), [])
  inbound.session.onAccepted(facts)
  deepStrictEqual(typesOf(inbound.take()), 'opened credit confirm ack')
  deepStrictEqual(inbound.put([openFrame]), [])
  deepStrictEqual(typesOf(inbound.take()), 'opened credit confirm ack')
})

test('one session, one stream: an OPEN that differs from the first breaks a rule', () => {
  const others = [
    { stream: new Uint8Array(16).fill(9) },
    { databaseId: new Uint8Array(16).fill(9) },
    { confirmed: 1 },
    { host: 'elsewhere' },
    { port: 1 },
  ]
  for (const other of others) {
    const accepting = new Inbound()
    accepting.put([openFrame])
    deepStrictEqual(accepting.put([{ ...openFrame, ...other }])[0]?.type, 'broken')
    const open = new Inbound().open()
    deepStrictEqual(open.put([{ ...openFrame, ...other }])[0]?.type, 'broken')
  }
})

test('the same OPEN is answered again, after rows too', () => {
  const inbound = new Inbound().open()
  inbound.put([stream(0, 10)])
  deepStrictEqual(inbound.put([{ ...openFrame }]), [])
  deepStrictEqual(typesOf(inbound.take()), 'opened credit confirm ack')
})

test('rows before the stream is open, or beyond the credit, break a rule', () => {
  deepStrictEqual(new Inbound().put([stream(0, 10)])[0]?.type, 'broken')
  const inbound = new Inbound(65_536).open()
  deepStrictEqual(inbound.put([stream(65_500, 36)]), [])
  deepStrictEqual(inbound.put([stream(65_500, 37)])[0]?.type, 'broken')
  deepStrictEqual(inbound.put([stream(max - 1, 1)])[0]?.type, 'broken')
})

test('a short packet that asks for an ack breaks a rule; a short CLOSE does not', () => {
  const close = { type: 'close', code: 0, sequence: 0, retryAfterMs: 0, reason: '' } as const
  deepStrictEqual(new Inbound().put([ping], 0, 127)[0]?.type, 'broken')
  deepStrictEqual(new Inbound().put([ping], 0, 128), [])
  deepStrictEqual(new Inbound().put([close], 0, 40), [{ type: 'closed', frame: close }])
})

test('every second packet is acked while the session is young, then every eighth', () => {
  const inbound = new Inbound().open()
  const acksOf = (packets: number): number => {
    let acks = 0
    for (let index = 0; index < packets; index++) {
      inbound.put([ping])
      if (inbound.take() !== undefined) acks++
    }
    return acks
  }
  const young = ackYoungPackets - 1
  ok(acksOf(young) >= Math.floor(young / 2))
  deepStrictEqual(acksOf(10 * ackEvery), 10)
})

test('a gap makes every second packet acked, until no packet can fill it any more', () => {
  const inbound = new Inbound().open()
  for (let index = 0; index < ackYoungPackets; index++) inbound.put([ping])
  inbound.take()
  inbound.skipNumbers(1)
  const acks: number[] = []
  for (let index = 0; index < 2300; index++) {
    inbound.put([ping])
    if (inbound.take() !== undefined) acks.push(index)
  }
  const pauses = acks.slice(1).map((index, place) => index - (acks[place] ?? 0))
  deepStrictEqual(new Set(pauses.slice(0, 1000)), new Set([2]))
  deepStrictEqual(new Set(pauses.slice(-20)), new Set([ackEvery]))
})

test('the last packet of a burst is acked within 5 ms', () => {
  const inbound = new Inbound().open()
  inbound.put([ping], 1_000)
  deepStrictEqual(inbound.take(1_000), undefined)
  deepStrictEqual(inbound.session.deadlineUs(1_000), 1_000 + ackDelayMaxUs)
  const frames = inbound.take(1_000 + ackDelayMaxUs)
  const ack = frames?.find(({ type }) => type === 'ack')
  ok(ack?.type === 'ack' && ack.delayUs === ackDelayMaxUs)
  deepStrictEqual(inbound.take(1_000 + ackDelayMaxUs), undefined)
})

test('a packet that only pads or closes is not acked', () => {
  const inbound = new Inbound().open()
  for (let index = 0; index < 10; index++) inbound.put([])
  deepStrictEqual(inbound.session.deadlineUs(0), silentForgetUs)
})

test('no answer is longer than what it answers, whatever numbers are in it', () => {
  const inbound = new Inbound()
  inbound.put([openFrame], 0, 128)
  for (let index = 0; index < 64; index++) {
    inbound.skipNumbers(1_000_000)
    inbound.put([ping], 0, 128)
  }
  inbound.session.onAccepted({ ...facts, watermark: max, part: 2 ** 28, logStart: max })
  const first = inbound.session.nextDatagram(ackDelayMaxUs)
  ok(first !== undefined && first.length <= 128)
  inbound.put([ping, ping], 0, 128)
  inbound.put([ping, ping], 0, 1200)
  const second = inbound.session.nextDatagram(ackDelayMaxUs)
  ok(second !== undefined && second.length <= 1200)
})

test('what has become durable is reported at once: the confirm, and more credit', () => {
  const inbound = new Inbound(65_536).open()
  inbound.put([stream(0, 60_000), stream(60_000, 5_000)])
  deepStrictEqual(inbound.session.deadlineUs(0), 0)
  const { offset, bytes } = inbound.session.takeRows()
  deepStrictEqual([offset, bytes.length], [0, 65_000])
  inbound.take(ackDelayMaxUs)
  inbound.session.onDurable(17, 65_000, 65_536, 0)
  deepStrictEqual(inbound.take()?.slice(0, 2), [
    { type: 'credit', offset: 130_536 },
    { type: 'confirm', sequence: 17 },
  ])
  deepStrictEqual(inbound.take(), undefined)
  inbound.session.onDurable(16, 64_000, 65_536, 0)
  deepStrictEqual(inbound.take(), undefined, 'Neither ever falls.')
})

test('every packet after OPENED has the newest credit and confirm, acks alone too', () => {
  const inbound = new Inbound()
  inbound.put([ping])
  deepStrictEqual(typesOf(inbound.take(ackDelayMaxUs)), 'ack')
  inbound.open()
  inbound.put([ping])
  deepStrictEqual(typesOf(inbound.take(2 * ackDelayMaxUs)), 'credit confirm ack')
})

test('a late answer of the store does not make it speak for ever', () => {
  const inbound = new Inbound()
  inbound.put([openFrame])
  inbound.session.onDurable(3, 0, 65_536, 0)
  deepStrictEqual([inbound.take(), inbound.take()].map(typesOf), ['ack', ''])
})

test('answers go to where the newest packet came from', () => {
  const inbound = new Inbound().open()
  const elsewhere = { ip: '10.9.9.9', port: 7 }
  inbound.session.onPacket(500, [ping], 128, elsewhere, 0)
  deepStrictEqual(inbound.session.peer, elsewhere)
  inbound.session.onPacket(499, [ping], 128, initiatorAddress, 0)
  deepStrictEqual(inbound.session.peer, elsewhere)
})

test('it is forgotten after 90 s of silence, and says nothing once it has ended', () => {
  const inbound = new Inbound().open()
  deepStrictEqual(inbound.session.isForgotten(silentForgetUs - 1), false)
  deepStrictEqual(inbound.session.isForgotten(silentForgetUs), true)
  inbound.put([ping, ping])
  inbound.put([ping])
  inbound.session.onEnded()
  deepStrictEqual(inbound.session.deadlineUs(0), undefined)
  deepStrictEqual(inbound.take(silentForgetUs), undefined)
  deepStrictEqual(inbound.put([openFrame]), [])
})
