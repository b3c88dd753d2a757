import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { fromHex, hex } from '../../../test/support/hex.ts'
import {
  clampText,
  equalBytes,
  isAllZero,
  Reader,
  textLength,
  utf8Length,
  varintLength,
  Writer,
} from './buffer.ts'
import { scaled } from '../../../test/support/scale.ts'

// Numbers near the borders of the four lengths, where a codec goes wrong, and at random.
const varints = fc.oneof(
  fc.maxSafeNat(),
  fc.nat({ max: 70_000 }),
  fc
    .tuple(fc.constantFrom(6, 14, 30, 31, 32, 52), fc.integer({ min: -2, max: 2 }))
    .map(([power, step]) => 2 ** power + step),
)

function written(write: (writer: Writer) => void, capacity = 0): Uint8Array {
  const writer = new Writer(capacity)
  write(writer)
  return writer.written
}

test('a varint reads as it was written, in the length that was foretold', () => {
  fc.assert(
    fc.property(varints, (value) => {
      const bytes = written((writer) => writer.varint(value))
      assert.equal(bytes.length, varintLength(value))
      const reader = new Reader(bytes)
      assert.equal(reader.varint(), value)
      assert.equal(reader.remaining, 0)
      assert.equal(reader.failed, false)
    }),
  )
})

test('the borders of the four lengths of a varint', () => {
  const borders: [number, string][] = [
    [0, '00'],
    [63, '3f'],
    [64, '4040'],
    [16_383, '7fff'],
    [16_384, '80004000'],
    [2 ** 30 - 1, 'bfffffff'],
    [2 ** 30, 'c000000040000000'],
    [2 ** 53 - 1, 'c01fffffffffffff'],
  ]
  for (const [value, digits] of borders) {
    assert.equal(hex(written((writer) => writer.varint(value))), digits)
    assert.equal(new Reader(fromHex(digits)).varint(), value)
  }
})

test('a varint that is cut off, longer than needed or not below 2^53 fails', () => {
  const wrong = [
    ['', '40', '800000', 'c0000000000000'],
    ['403f', '80003fff', 'c00000003fffffff', 'c000000000000000'],
    ['c020000000000000', 'ffffffffffffffff'],
  ].flat()
  for (const digits of wrong) {
    const reader = new Reader(fromHex(digits))
    assert.equal(reader.varint(), 0, digits)
    assert.equal(reader.failed, true, digits)
    assert.equal(reader.remaining, 0, digits)
  }
})

test('one byte string for one varint: any bytes that are taken are those that are written', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9 }), (bytes) => {
      const reader = new Reader(bytes)
      const value = reader.varint()
      if (reader.failed) return
      const again = written((writer) => writer.varint(value))
      assert.deepEqual(again, bytes.subarray(0, reader.offset))
    }),
    { numRuns: scaled(1_000) },
  )
})

test('a text reads as it was written, in the length that was foretold', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
      const bytes = written((writer) => writer.text(text))
      assert.equal(bytes.length, textLength(text))
      const reader = new Reader(bytes)
      assert.equal(reader.text(1_000), text)
      assert.equal(reader.failed, false)
    }),
    { examples: [['\ufeffmark'], ['\ufffd'], ['𝄞'.repeat(30)], ['a'.repeat(25)], ['']] },
  )
})

test('the length of a text is that of its UTF-8, lone surrogates included', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.integer({ max: 0xffff }).map(toUnit) }), (text) => {
      assert.equal(utf8Length(text), new TextEncoder().encode(text).length)
    }),
    {
      examples: [
        ['\u007f\u0080\u07ff\u0800'],
        ['\ud800'],
        ['\udc00\ud800'],
        ['\ud800a'],
        ['\ud83d\ude00'],
      ],
    },
  )
})

test('bytes that are not UTF-8 fail, short and long', () => {
  for (const invalid of ['80', 'c0af', 'eda080', 'f4908080', 'e282', 'ff']) {
    for (const before of ['', '61'.repeat(40)]) {
      const text = fromHex(before + invalid)
      const reader = new Reader(Uint8Array.of(text.length, ...text))
      assert.equal(reader.text(255), '')
      assert.equal(reader.failed, true)
    }
  }
})

test('a text beyond its bound fails before it is read', () => {
  const reader = new Reader(written((writer) => writer.text('host')))
  assert.equal(reader.text(3), '')
  assert.equal(reader.failed, true)
})

test('a failed reader answers nothing more', () => {
  const reader = new Reader(fromHex('0102030405'))
  assert.equal(reader.u8(), 1)
  assert.equal(reader.bytes(9).length, 0)
  assert.equal(reader.failed, true)
  assert.equal(reader.u8(), 0)
  assert.equal(reader.varint(), 0)
  assert.equal(reader.text(9), '')
  assert.equal(reader.rest().length, 0)
})

test('bytes that are read share the memory of what is read', () => {
  const source = fromHex('01020304')
  const reader = new Reader(source)
  reader.u8()
  const view = reader.bytes(2)
  assert.equal(view.buffer, source.buffer)
  assert.deepEqual(view, fromHex('0203'))
  assert.deepEqual(reader.rest(), fromHex('04'))
})

test('a writer grows and can be used again', () => {
  const writer = new Writer(1)
  for (let byte = 0; byte < 100; byte++) writer.u8(byte)
  assert.equal(writer.length, 100)
  assert.equal(writer.written[99], 99)
  writer.reset()
  writer.bytes(fromHex('aabb'))
  writer.zeros(2)
  writer.patch(1, 0xcc)
  assert.equal(hex(writer.written), 'aacc0000')
})

test('zeros overwrite what an earlier use has left in the buffer', () => {
  const writer = new Writer(4)
  writer.bytes(fromHex('ffffffff'))
  writer.reset()
  writer.zeros(4)
  assert.equal(isAllZero(writer.written), true)
})

test('a writer rejects what cannot be a varint', () => {
  for (const value of [-1, 2 ** 53, 0.5, Number.NaN, Infinity]) {
    assert.throws(() => new Writer(8).varint(value), { name: 'AssertionFailure' })
  }
})

test('a clamped text is a beginning of whole characters within its bound', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat({ max: 20 }), (text, bytesMax) => {
      const clamped = clampText(text, bytesMax)
      assert.ok(text.startsWith(clamped))
      assert.ok(utf8Length(clamped) <= bytesMax)
      assert.ok(clamped.isWellFormed())
      if (clamped !== text) assert.ok(utf8Length(clamped) > bytesMax - 4)
    }),
  )
})

test('bytes are equal when lengths and values are', () => {
  assert.equal(equalBytes(fromHex('0102'), fromHex('0102')), true)
  assert.equal(equalBytes(fromHex('0102'), fromHex('0103')), false)
  assert.equal(equalBytes(fromHex('0102'), fromHex('01')), false)
})

function toUnit(code: number): string {
  return String.fromCharCode(code)
}
