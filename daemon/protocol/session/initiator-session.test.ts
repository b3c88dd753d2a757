import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { closeCode, type Frame, framesPerPacketMax } from '../codec/frame.ts'
import {
  askPauseMaxUs,
  idleCloseUs,
  readAheadBytesMin,
  renewAfterUs,
  unconfirmedRowsMax,
} from '../constants.ts'
import {
  dataPacket,
  framesOf,
  openedFacts,
  openFrame,
  SessionPair,
} from '../../../test/support/session-pair.ts'
import { concat } from '../codec/buffer.ts'

function typesOf(frames: readonly Frame[]): string {
  return frames.map(({ type }) => type).join(' ')
}

function openPair(): SessionPair {
  const pair = new SessionPair()
  pair.open()
  return pair
}

/** Rows with sequences up to `lastSequence`, and acks for all of it, but no confirm. */
function sendRows(pair: SessionPair, bytes: number, lastSequence: number): void {
  pair.outbound.takeRead(1_000_000)
  pair.outbound.onRows(new Uint8Array(bytes), lastSequence, pair.nowUs)
  pair.carry()
  pair.nowUs += 10_000
  pair.carryBack()
}

test('nothing leaves before the store has said which stream it is', () => {
  const pair = new SessionPair()
  deepStrictEqual(pair.sent(), [])
  pair.outbound.onStream(openFrame)
  deepStrictEqual(typesOf(pair.carry()), 'open')
  deepStrictEqual(pair.sent(), [])
})

test('an OPENED is reported once, and rows flow when it is accepted', () => {
  const pair = new SessionPair()
  pair.outbound.onStream(openFrame)
  pair.carry()
  pair.inbound.onAccepted({ ...openedFacts, datagramBytesMax: 65_507 })
  const answers = pair.answers()
  pair.carryBack(answers)
  pair.inbound.onPacket(1, [openFrame], 128, pair.inbound.peer, pair.nowUs)
  pair.carryBack()
  deepStrictEqual(pair.facts.filter(({ type }) => type === 'opened').length, 1)
  deepStrictEqual(pair.outbound.takeRead(1_000_000), undefined)
  pair.outbound.onAccepted(pair.nowUs)
  ok((pair.outbound.takeRead(1_000_000) ?? 0) >= readAheadBytesMin)
  deepStrictEqual(pair.outbound.takeRead(1_000_000), undefined, 'One read is open at a time.')
  pair.outbound.onRows(Uint8Array.of(1, 2, 3), 1, pair.nowUs)
  deepStrictEqual(typesOf(pair.carry()), 'ping stream', 'A larger datagram is tried first.')
})

test('an OPEN that was acked, and whose OPENED is lost, is asked again', () => {
  const pair = new SessionPair()
  pair.outbound.onStream(openFrame)
  pair.carry()
  pair.nowUs += 5_000
  deepStrictEqual(typesOf(pair.carryBack()), 'ack')
  pair.inbound.onAccepted({ ...openedFacts, datagramBytesMax: 65_507 })
  deepStrictEqual(pair.answers().length, 1, 'This one is lost.')
  const startUs = pair.nowUs
  for (let asks = 0; asks < 8; asks++) {
    pair.toDeadline()
    deepStrictEqual(typesOf(pair.carry()), 'open')
    const answers = pair.answers()
    ok(answers.length > 0)
    if (asks < 7) pair.outbound.onFrames([ackOf(pair)], pair.nowUs)
    else deepStrictEqual(typesOf(pair.carryBack(answers)).split(' ')[0], 'opened')
  }
  ok(pair.nowUs - startUs < 8 * askPauseMaxUs)
  pair.outbound.onAccepted(pair.nowUs)
})

/** An ack of everything, without the OPENED that came with it. */
function ackOf(pair: SessionPair): Frame {
  const largest = pair.keys.initiator.nextPacketNumber - 1
  return { type: 'ack', largest, delayUs: 0, ranges: [{ first: 0, last: largest }] }
}

test('a packet has no more frames than a peer takes, however small the pieces are', () => {
  const pair = openPair()
  // Answers of the store with one small row each.
  for (let row = 1; row <= 3000; row++) {
    pair.outbound.onRows(Uint8Array.of(row), row, pair.nowUs)
  }
  let came = 0
  for (let turns = 0; came < 3000 && turns < 200; turns++) {
    for (const datagram of pair.sent()) {
      const frames = framesOf(datagram, pair.keys.responder, 'initiator')
      ok(frames.length <= framesPerPacketMax)
      for (const frame of frames) if (frame.type === 'stream') came += frame.bytes.length
    }
    pair.nowUs += 10_000
    pair.outbound.onFrames([ackOf(pair)], pair.nowUs)
    pair.toDeadline()
  }
  deepStrictEqual(came, 3000)
})

test('rows flow as far as the credit, and further with more of it', () => {
  const pair = new SessionPair(65_536)
  pair.open()
  pair.outbound.onRows(new Uint8Array(100_000), 1, pair.nowUs)
  let came = 0
  for (let turns = 0; turns < 50; turns++) {
    for (const frame of pair.carry()) if (frame.type === 'stream') came += frame.bytes.length
    pair.nowUs += 10_000
    pair.carryBack()
  }
  deepStrictEqual(came, 65_536)
  pair.outbound.onFrames([{ type: 'credit', offset: 70_000 }], pair.nowUs)
  pair.outbound.onFrames([{ type: 'credit', offset: 60_000 }], pair.nowUs)
  for (let turns = 0; turns < 10; turns++) {
    for (const frame of pair.carry()) if (frame.type === 'stream') came += frame.bytes.length
    pair.nowUs += 10_000
    pair.carryBack()
  }
  deepStrictEqual(came, 70_000)
})

test('with a first credit of 0 it asks until there is more, and any credit is taken', () => {
  const pair = new SessionPair()
  pair.outbound.onStream(openFrame)
  pair.carry()
  const opened = { type: 'opened', credit: 0, ...openedFacts, datagramBytesMax: 0 } as const
  pair.nowUs += 5_000
  deepStrictEqual(typesOf(pair.carryBack()), 'ack')
  pair.outbound.onFrames([opened], pair.nowUs)
  pair.outbound.onAccepted(pair.nowUs)
  pair.outbound.onRows(new Uint8Array(5_000), 1, pair.nowUs)
  deepStrictEqual(pair.sent(), [])
  pair.toDeadline()
  deepStrictEqual(typesOf(pair.carry()), 'ping')
  pair.outbound.onFrames([{ type: 'credit', offset: Number.MAX_SAFE_INTEGER }], pair.nowUs)
  const [first] = pair.sent()
  ok(first !== undefined && first.length === 1_200, 'Less than 1,200 counts as 1,200.')
})

test('whoever waits for a confirm asks, slower and slower, and at least every four seconds', () => {
  const pair = openPair()
  sendRows(pair, 100, 1)
  const pauses: number[] = []
  for (let asks = 0; asks < 20; asks++) {
    const beforeUs = pair.nowUs
    pair.toDeadline()
    pauses.push(pair.nowUs - beforeUs)
    deepStrictEqual(typesOf(pair.carry()), 'ping')
    pair.nowUs += 5_000
    pair.carryBack()
  }
  ok((pauses[0] ?? 0) < 100_000)
  ok(pauses.every((pauseUs) => pauseUs <= askPauseMaxUs))
  ok((pauses.at(-1) ?? 0) === askPauseMaxUs)
  const facts = pair.outbound.onFrames([{ type: 'confirm', sequence: 1 }], pair.nowUs)
  deepStrictEqual(facts, [{ type: 'confirmed', sequence: 1 }])
})

test('a confirm is reported once, and only for rows that were handed over', () => {
  const pair = openPair()
  sendRows(pair, 100, 3)
  const confirm = (sequence: number): string =>
    pair.outbound
      .onFrames([{ type: 'confirm', sequence }], pair.nowUs)
      .map(({ type }) => type)
      .join()
  deepStrictEqual(
    [confirm(2), confirm(2), confirm(1), confirm(3)],
    ['confirmed', '', '', 'confirmed'],
  )
  deepStrictEqual([confirm(4), confirm(Number.MAX_SAFE_INTEGER)], ['broken', 'broken'])
})

test('a confirm or credit that comes before the rules accept changes nothing', () => {
  const pair = new SessionPair(65_536)
  const early: Frame[] = [
    { type: 'confirm', sequence: 7 },
    { type: 'credit', offset: Number.MAX_SAFE_INTEGER },
  ]
  const opened = { type: 'opened', credit: 5, datagramBytesMax: 5, ...openedFacts } as const
  deepStrictEqual(pair.outbound.onFrames([...early, opened], 0), [])
  pair.outbound.onStream(openFrame)
  pair.carry()
  pair.inbound.onAccepted({ ...openedFacts, datagramBytesMax: 65_507 })
  pair.carryBack()
  deepStrictEqual(pair.outbound.onFrames([opened, ...early], pair.nowUs), [])
  pair.outbound.onAccepted(pair.nowUs)
  sendRows(pair, 100_000, 9)
  ok(pair.outbound.isUnconfirmed(1), 'No confirm counts.')
  let came = 0
  for (let turns = 0; turns < 50; turns++) {
    pair.nowUs += 10_000
    pair.carryBack()
    for (const frame of pair.carry()) {
      if (frame.type === 'stream') came = Math.max(came, frame.offset + frame.bytes.length)
    }
  }
  ok(came <= 65_536, 'Nor does a credit.')
  deepStrictEqual(pair.outbound.onFrames([opened], pair.nowUs), [], 'It is open already.')
})

test('an ack for a packet that was never sent breaks a rule', () => {
  const pair = openPair()
  const ack = ackOf(pair)
  ok(ack.type === 'ack')
  const largest = ack.largest + 1
  const ranges = [{ first: largest, last: largest }]
  const [fact] = pair.outbound.onFrames([{ ...ack, largest, ranges }], pair.nowUs)
  deepStrictEqual(fact?.type, 'broken')
})

test('too many rows without a confirm are not followed by more', () => {
  const pair = openPair()
  sendRows(pair, 100, unconfirmedRowsMax)
  deepStrictEqual(pair.outbound.takeRead(1_000_000), undefined)
  pair.outbound.onFrames([{ type: 'confirm', sequence: 1 }], pair.nowUs)
  ok(pair.outbound.takeRead(1_000_000) !== undefined)
})

test('it is idle 60 s after the last confirm, while the store waits for rows', () => {
  const pair = openPair()
  sendRows(pair, 100, 1)
  pair.outbound.onFrames([{ type: 'confirm', sequence: 1 }], pair.nowUs)
  deepStrictEqual(pair.outbound.isIdle(pair.nowUs + 2 * idleCloseUs), false)
  ok(pair.outbound.takeRead(1_000_000) !== undefined)
  deepStrictEqual(pair.outbound.deadlineUs(pair.nowUs), pair.nowUs + idleCloseUs)
  deepStrictEqual(pair.outbound.isIdle(pair.nowUs + idleCloseUs - 1), false)
  deepStrictEqual(pair.outbound.isIdle(pair.nowUs + idleCloseUs), true)
})

test('it is old after an hour', () => {
  const pair = openPair()
  deepStrictEqual(pair.outbound.needsRenewal(renewAfterUs - 1), false)
  deepStrictEqual(pair.outbound.needsRenewal(renewAfterUs), true)
})

test('lost rows go again in packets with new numbers, and the probe carries the oldest', () => {
  const pair = openPair()
  pair.outbound.onRows(
    Uint8Array.from({ length: 100 }, (_, index) => index),
    1,
    pair.nowUs,
  )
  const lost = pair.sent()
  pair.toDeadline()
  const probes = pair.sent()
  const newest = lost.map((datagram) => dataPacket(datagram).packetNumber).at(-1) ?? 0
  ok(probes.every((datagram) => dataPacket(datagram).packetNumber > newest))
  deepStrictEqual(typesOf(pair.carry(probes)), 'stream stream')
  deepStrictEqual(pair.inbound.takeRows().bytes.length, 100)
  pair.nowUs += 5_000
  pair.carryBack()
  deepStrictEqual(pair.outbound.heldBytes, 0)
})

test('a probe carries every small message that waits, however often the first of them went', () => {
  const pair = openPair()
  pair.outbound.onRows(new Uint8Array(100), 1, pair.nowUs)
  pair.sent()
  for (let silent = 0; silent < 2; silent++) {
    pair.toDeadline()
    pair.sent()
  }
  pair.outbound.onRows(new Uint8Array(100), 2, pair.nowUs)
  pair.sent()
  pair.toDeadline()
  for (const probe of pair.sent()) {
    const frames = framesOf(probe, pair.keys.responder, 'initiator')
    const bytes = frames.map((frame) => (frame.type === 'stream' ? frame.bytes.length : 0))
    deepStrictEqual(
      bytes.reduce((sum, length) => sum + length, 0),
      200,
    )
  }
})

test('a close is reported, and one can be sent with the longest reason', () => {
  const pair = openPair()
  const close = { type: 'close', code: closeCode.busy, sequence: 0, retryAfterMs: 7 } as const
  const frame = { ...close, reason: 'x'.repeat(200) }
  deepStrictEqual(pair.outbound.onFrames([frame], 0), [{ type: 'closed', frame }])
  const datagram = pair.outbound.closeDatagram(frame)
  deepStrictEqual(framesOf(datagram, pair.keys.responder, 'initiator'), [frame])
  deepStrictEqual(concat(datagram).length, 31 + 6 + 200)
})
