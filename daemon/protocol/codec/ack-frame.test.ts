import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type AckFrame, ackLength, decodeFrames, encodeAck } from './frame.ts'
import { acks } from '../../../test/support/frames.ts'
import { fromHex } from '../../../test/support/hex.ts'
import { Writer } from './buffer.ts'
import { scaled } from '../../../test/support/scale.ts'

test('gaps and lengths are numbers minus one', () => {
  const ranges = [
    { first: 8, last: 10 },
    { first: 5, last: 5 },
    { first: 0, last: 3 },
  ]
  const writer = new Writer(16)
  encodeAck(writer, { type: 'ack', largest: 10, delayUs: 0, ranges }, Infinity)
  assert.deepEqual(writer.written, fromHex('02 0a 00 02 02 0100 0003'))
})

test('an ack stops at its budget and keeps the newest ranges', () => {
  fc.assert(
    fc.property(acks, fc.nat({ max: 200 }), (ack, bytesMax) => {
      const writer = new Writer(16)
      const count = encodeAck(writer, ack, bytesMax)
      assert.ok(writer.length <= bytesMax)
      const shorter = { ...ack, ranges: ack.ranges.slice(0, count) }
      if (count === 0) assert.equal(writer.length, 0)
      else assert.deepEqual(decodeFrames(writer.written, 'responder'), [shorter])
      if (count > 0) assert.equal(writer.length, ackLength(shorter))
      const longer = { ...ack, ranges: ack.ranges.slice(0, count + 1) }
      if (count < ack.ranges.length) assert.ok(ackLength(longer) > bytesMax)
    }),
    { numRuns: scaled(300) },
  )
})

test('a budget that fits exactly is used up', () => {
  fc.assert(
    fc.property(acks, (ack) => {
      for (let count = 1; count <= ack.ranges.length; count++) {
        const shorter = { ...ack, ranges: ack.ranges.slice(0, count) }
        assert.equal(encodeAck(new Writer(16), ack, ackLength(shorter)), count)
      }
    }),
    { numRuns: 20 },
  )
})

test('ranges below zero or more than 64 are an error', () => {
  const wrong: [string, string][] = [
    ['first range below zero', '02 05 00 00 06'],
    ['gap below zero', '02 05 00 01 00 04 00'],
    ['length below zero', '02 05 00 01 00 00 04'],
    ['ranges that are missing', '02 05 00 02 00 00 00'],
    ['65 ranges', `02 4400 00 4040 00 ${'0000'.repeat(64)}`],
    ['gap that a double cannot hold', `02 05 00 02 00 ${'c01fffffffffffff'.repeat(4)}`],
  ]
  for (const [name, digits] of wrong) {
    assert.equal(decodeFrames(fromHex(digits), 'responder'), undefined, name)
  }
  const lowest = fromHex('02 05 00 01 00 00 03')
  assert.deepEqual(decodeFrames(lowest, 'responder'), [
    {
      type: 'ack',
      largest: 5,
      delayUs: 0,
      ranges: [
        { first: 5, last: 5 },
        { first: 0, last: 3 },
      ],
    },
  ])
})

test('an encoder rejects ranges that are not those of its largest number', () => {
  const one = [{ first: 0, last: 3 }]
  const wrong: AckFrame[] = [
    { type: 'ack', largest: 4, delayUs: 0, ranges: one },
    { type: 'ack', largest: 3, delayUs: 0, ranges: [] },
    { type: 'ack', largest: 3, delayUs: 0, ranges: [...one, { first: 2, last: 2 }] },
    { type: 'ack', largest: 3, delayUs: 0, ranges: Array.from({ length: 65 }, () => one).flat() },
  ]
  for (const ack of wrong) {
    assert.throws(() => encodeAck(new Writer(9), ack, Infinity), { name: 'AssertionFailure' })
  }
})
