import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  asksForAck,
  closeCode,
  decodeFrames,
  encodeFrame,
  type Frame,
  framesPerPacketMax,
  isCloseCode,
  type Role,
  streamBytesThatFit,
} from './frame.ts'
import { framesOf } from '../../../test/support/frames.ts'
import { fromHex } from '../../../test/support/hex.ts'
import { mutated } from '../../../test/support/mutate.ts'
import { isAllZero, Writer } from './buffer.ts'
import { scaled } from '../../../test/support/scale.ts'

const roles: readonly Role[] = ['initiator', 'responder']

const id = fromHex('11'.repeat(16))
const open = {
  type: 'open',
  databaseId: id,
  stream: id,
  confirmed: 0,
  host: 'h'.repeat(255),
  port: 65_535,
} as const
const opened = {
  type: 'opened',
  database: id,
  watermark: 0,
  digest: id,
  part: 0,
  logStart: 1,
  credit: 0,
  messageBytesMax: 0,
  datagramBytesMax: 0,
} as const

function encoded(...frames: Frame[]): Uint8Array {
  const writer = new Writer(64)
  for (const frame of frames) encodeFrame(writer, frame)
  return writer.written
}

function close(change: Partial<Extract<Frame, { type: 'close' }>>): Frame {
  return {
    type: 'close',
    code: closeCode.done,
    sequence: 0,
    retryAfterMs: 0,
    reason: '',
    ...change,
  }
}

test('frames read as they were written, padding or not', () => {
  for (const role of roles) {
    const packets = fc.tuple(fc.array(framesOf[role], { minLength: 1 }), fc.nat({ max: 1_200 }))
    fc.assert(
      fc.property(packets, ([frames, padding]) => {
        const bytes = Uint8Array.of(...encoded(...frames), ...new Uint8Array(padding))
        assert.deepEqual(decodeFrames(bytes, role), frames)
      }),
    )
  }
})

test('one byte string for one packet: what is decoded from any bytes encodes to them again', () => {
  for (const role of roles) {
    const packets = fc.array(framesOf[role], { maxLength: 4 }).map((frames) => encoded(...frames))
    fc.assert(
      fc.property(fc.oneof(mutated(packets), fc.uint8Array({ maxLength: 40 })), (bytes) => {
        const frames = decodeFrames(bytes, role)
        if (frames === undefined) return
        const again = encoded(...frames)
        assert.deepEqual(bytes.subarray(0, again.length), again)
        assert.ok(isAllZero(bytes.subarray(again.length)))
      }),
      { numRuns: scaled(2_000) },
    )
  }
})

test('what a decoder makes of bytes is never larger than they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
      for (const role of roles) {
        for (const frame of decodeFrames(bytes, role) ?? []) {
          if (frame.type === 'stream') assert.equal(frame.bytes.buffer, bytes.buffer)
          if (frame.type === 'ack') assert.ok(frame.ranges.length <= bytes.length)
        }
      }
    }),
  )
})

test('a frame in the wrong direction is an error', () => {
  for (const frames of [framesOf.initiator, framesOf.responder]) {
    fc.assert(
      fc.property(frames, (frame) => {
        const sides = roles.filter((role) => decodeFrames(encoded(frame), role) !== undefined)
        const expected = frame.type === 'close' ? 2 : 1
        assert.equal(sides.length, expected)
      }),
    )
  }
})

test('a packet without a frame is an error, one of padding alone is not', () => {
  assert.equal(decodeFrames(new Uint8Array(0), 'initiator'), undefined)
  assert.deepEqual(decodeFrames(new Uint8Array(1), 'initiator'), [])
})

test('padding fills the rest of the packet', () => {
  assert.equal(decodeFrames(fromHex('01 00 00 01'), 'initiator'), undefined)
})

test('more frames than the limit are an error', () => {
  const most = new Uint8Array(framesPerPacketMax).fill(1)
  assert.equal(decodeFrames(most, 'initiator')?.length, framesPerPacketMax)
  assert.equal(decodeFrames(Uint8Array.of(...most, 0, 0), 'initiator')?.length, framesPerPacketMax)
  assert.equal(decodeFrames(Uint8Array.of(...most, 1), 'initiator'), undefined)
})

test('what a correct peer would not send is an error', () => {
  const wrong: [Role, string, string][] = [
    ['initiator', 'unknown type', '08'],
    ['initiator', 'type beyond all', 'ff'],
    ['initiator', 'type that is 1 modulo 32', '21'],
    ['initiator', 'stream without bytes', '03 00 00'],
    ['initiator', 'stream with bytes missing', '03 00 02 ff'],
    ['initiator', 'stream that ends at 2^53', '03 c01fffffffffffff 01 ff'],
    ['initiator', 'port 65536', `06 ${'11'.repeat(32)} 00 00 80010000`],
    ['initiator', 'host that is not UTF-8', `06 ${'11'.repeat(32)} 00 01 ff 00`],
    ['initiator', 'host of 256 bytes', `06 ${'11'.repeat(32)} 00 4100 ${'61'.repeat(256)} 00`],
    ['initiator', 'open cut off', `06 ${'11'.repeat(20)}`],
    ['responder', 'opened cut off', `07 ${'11'.repeat(16)} 00 ${'11'.repeat(16)} 00000000`],
    ['responder', 'close with an unknown code', '09 09 00 00 00'],
    ['responder', 'close 4 without a row', '09 04 00 00 00'],
    ['responder', 'close 3 with a row', '09 03 01 00 00'],
    ['responder', 'reason of 201 bytes', `09 00 00 00 40c9 ${'61'.repeat(201)}`],
  ]
  for (const [role, name, digits] of wrong) {
    assert.equal(decodeFrames(fromHex(digits), role), undefined, name)
  }
})

test('values at their bounds are taken', () => {
  const reason = 'r'.repeat(200)
  const refused = close({ code: closeCode.refused, sequence: 1, reason })
  assert.deepEqual(decodeFrames(encoded(open, refused), 'initiator'), [open, refused])
  assert.deepEqual(decodeFrames(encoded(opened), 'responder'), [opened])
  const last: Frame = { type: 'stream', offset: 2 ** 53 - 2, bytes: Uint8Array.of(1) }
  assert.deepEqual(decodeFrames(encoded(last), 'initiator'), [last])
})

test('stream bytes are a view of the packet, ids are not', () => {
  const packet = encoded({ type: 'stream', offset: 5, bytes: fromHex('aabb') })
  const [frame] = decodeFrames(packet, 'initiator') ?? []
  assert.ok(frame?.type === 'stream' && frame.bytes.buffer === packet.buffer)
  const [opened] = decodeFrames(encoded(open), 'initiator') ?? []
  assert.ok(opened?.type === 'open' && opened.databaseId.buffer.byteLength === 16)
})

test('the most stream bytes that fit do, and one more does not', () => {
  const rooms = fc.oneof(fc.nat({ max: 100 }), fc.integer({ min: 16_300, max: 16_500 }))
  fc.assert(
    fc.property(
      fc.nat({ max: 2 ** 40 }),
      fc.oneof(rooms, fc.nat({ max: 65_000 })),
      (offset, room) => {
        const most = streamBytesThatFit(offset, room)
        const lengthOf = (count: number): number =>
          encoded({ type: 'stream', offset, bytes: new Uint8Array(count) }).length
        assert.ok(lengthOf(Math.max(1, most + 1)) > room)
        if (most > 0) assert.ok(lengthOf(most) <= room)
      },
    ),
  )
})

test('an encoder rejects what a correct peer would not take', () => {
  const wrong: Frame[] = [
    { type: 'stream', offset: 0, bytes: new Uint8Array(0) },
    close({ code: closeCode.refused }),
    close({ sequence: 1 }),
    close({ reason: 'ä'.repeat(101) }),
    { type: 'credit', offset: -1 },
    { ...open, port: 65_536 },
    { ...open, host: 'h'.repeat(256) },
    { ...open, databaseId: new Uint8Array(15) },
  ]
  for (const frame of wrong) assert.throws(() => encoded(frame), { name: 'AssertionFailure' })
})

test('a packet of nothing but closes and padding asks for no ack', () => {
  assert.equal(asksForAck([]), false)
  assert.equal(asksForAck([close({})]), false)
  assert.equal(asksForAck([close({}), { type: 'ping' }]), true)
})

test('the codes of a close are 0 to 8', () => {
  assert.ok([0, 4, 8].every(isCloseCode))
  assert.ok(![-1, 9, 0.5, Number.NaN].some(isCloseCode))
})
