/** Arbitrary frames, as a correct peer sends them. Must never be used outside tests. */
import * as fc from 'fast-check'
import {
  type AckFrame,
  closeCode,
  type Frame,
  type Role,
} from '../../daemon/protocol/codec/frame.ts'
import type { AckRange } from '../../daemon/protocol/recovery/ack-tracker.ts'
import { clampText } from '../../daemon/protocol/codec/buffer.ts'

export const numbers = fc.oneof(fc.maxSafeNat(), fc.nat({ max: 70_000 }), fc.nat({ max: 64 }))
// What is decoded is compared with plain objects.
const plain = { noNullPrototype: true } as const
const ids = fc.uint8Array({ minLength: 16, maxLength: 16 })

export function texts(bytesMax: number): fc.Arbitrary<string> {
  return fc.string({ unit: 'binary', maxLength: bytesMax }).map((text) => clampText(text, bytesMax))
}

// Built upwards from the lowest number, so that any steps make sound ranges.
const ranges: fc.Arbitrary<AckRange[]> = fc
  .array(fc.tuple(fc.nat({ max: 20_000 }), fc.nat({ max: 20_000 })), {
    minLength: 1,
    maxLength: 64,
  })
  .map((steps) => {
    let next = 0
    return steps
      .map(([gap, length]) => {
        const range = { first: next + gap, last: next + gap + length }
        next = range.last + 2
        return range
      })
      .toReversed()
  })

export const acks: fc.Arbitrary<AckFrame> = fc.tuple(ranges, numbers).map(([ranges, delayUs]) => ({
  type: 'ack',
  largest: ranges[0]?.last ?? 0,
  delayUs,
  ranges,
}))

const pings: fc.Arbitrary<Frame> = fc.constant({ type: 'ping' })
const streams: fc.Arbitrary<Frame> = fc.record(
  {
    type: fc.constant('stream'),
    offset: fc.nat({ max: 2 ** 40 }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 100 }),
  },
  plain,
)
const credits: fc.Arbitrary<Frame> = fc.record(
  { type: fc.constant('credit'), offset: numbers },
  plain,
)
const confirms: fc.Arbitrary<Frame> = fc.record(
  {
    type: fc.constant('confirm'),
    sequence: numbers,
  },
  plain,
)
const opens: fc.Arbitrary<Frame> = fc.record(
  {
    type: fc.constant('open'),
    databaseId: ids,
    stream: ids,
    confirmed: numbers,
    host: texts(255),
    port: fc.nat({ max: 65_535 }),
  },
  plain,
)
const openeds: fc.Arbitrary<Frame> = fc.record(
  {
    type: fc.constant('opened'),
    database: ids,
    watermark: numbers,
    digest: ids,
    part: numbers,
    logStart: numbers,
    credit: numbers,
    messageBytesMax: numbers,
    datagramBytesMax: numbers,
  },
  plain,
)
const closes: fc.Arbitrary<Frame> = fc
  .record({
    code: fc.constantFrom(...Object.values(closeCode)),
    row: fc.integer({ min: 1, max: 2 ** 40 }),
    retryAfterMs: numbers,
    reason: texts(200),
  })
  .map(({ code, row, ...rest }) => ({
    type: 'close',
    code,
    sequence: code === closeCode.refused ? row : 0,
    ...rest,
  }))

/** Frames that this side may send. */
export const framesOf: Readonly<Record<Role, fc.Arbitrary<Frame>>> = {
  initiator: fc.oneof(pings, streams, opens, closes),
  responder: fc.oneof(acks, credits, confirms, openeds, closes),
}
