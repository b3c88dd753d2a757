import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  bodyLength,
  decodeBody,
  encodeBodyHead,
  encodeMessageHead,
  encodeResumeHead,
  encodeSkip,
  type Message,
  type RecordEvent,
  RecordParser,
} from './record.ts'
import { fromHex } from '../../test/support/hex.ts'
import { mutated } from '../../test/support/mutate.ts'
import { bodyOf, messages, records, type SampleRecord } from '../../test/support/records.ts'
import { concat, Writer } from '../protocol/codec/buffer.ts'
import { scaled } from '../../test/support/scale.ts'

const bodyBytesMax = 10_000
const small: Message = {
  uid: fromHex('000102030405060708090a0b0c0d0e0f'),
  isText: true,
  row: 7,
  timeMs: 1_700_000_000_000,
  token: 'token',
  headers: undefined,
  digest: undefined,
  data: new TextEncoder().encode('HelloMachineBFromMachineA'),
}

function written(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(16)
  write(writer)
  return writer.written
}

/** The bytes in pieces of these lengths, over and over. */
function pieces(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const cut: Uint8Array[] = []
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const end = start + (lengths[turn % lengths.length] ?? 1)
    cut.push(bytes.subarray(start, end))
    start = end
  }
  return cut
}

function expected(record: SampleRecord): RecordEvent {
  if (record.type === 'skip') return { type: 'skip', uids: record.uids }
  return { type: 'message', body: bodyOf(record.message) }
}

const lengths = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 })

test('a body reads as it was written, in the length that was foretold', () => {
  fc.assert(
    fc.property(messages, (message) => {
      const body = bodyOf(message)
      assert.equal(body.length, bodyLength(message))
      assert.deepEqual(decodeBody(body), message)
    }),
  )
})

test('one byte string for one body: what is decoded from any bytes encodes to them again', () => {
  const bodies = fc.oneof(mutated(messages.map(bodyOf)), fc.uint8Array({ maxLength: 60 }))
  fc.assert(
    fc.property(bodies, (body) => {
      const message = decodeBody(body)
      if (message !== undefined) assert.deepEqual(bodyOf(message), body)
    }),
    { numRuns: scaled(2_000) },
  )
})

test('a long body has a digest, a short one has none', () => {
  const long: Message = {
    ...small,
    digest: new Uint8Array(32).fill(9),
    data: new Uint8Array(1_048_577),
  }
  const body = bodyOf(long)
  assert.deepEqual(decodeBody(body)?.digest, long.digest)
  assert.equal(decodeBody(body.subarray(0, -1)), undefined)
  const bare = { ...small, data: new Uint8Array(1_048_576) }
  assert.ok(decodeBody(bodyOf(bare)))
  assert.equal(decodeBody(concat(bodyOf(bare), new Uint8Array(1))), undefined)
})

test('a body with unknown flags, bytes missing or over-long texts is malformed', () => {
  const uid = '11'.repeat(16)
  const wrong = [
    ['unknown flag', `${uid} 08 01 01 00`],
    ['no token', `${uid} 00 01 01`],
    ['no headers', `${uid} 02 01 01 00`],
    ['token of 256 bytes', `${uid} 00 01 01 4100 ${'61'.repeat(256)}`],
    ['token that is not UTF-8', `${uid} 00 01 01 01 ff`],
    ['headers of 65537 bytes', `${uid} 02 01 01 00 80010001 ${'61'.repeat(65_537)}`],
    ['digest cut off', `${uid} 04 01 01 00 ${'22'.repeat(31)}`],
  ] as const
  for (const [name, digits] of wrong) {
    assert.equal(decodeBody(fromHex(digits)), undefined, name)
  }
})

test('records come out whole and in order, whatever pieces the stream comes in', () => {
  fc.assert(
    fc.property(fc.array(records, { maxLength: 8 }), lengths, (sample, lengths) => {
      const parser = new RecordParser(bodyBytesMax)
      const stream = concat(...sample.map(({ bytes }) => bytes))
      const events = pieces(stream, lengths).flatMap((piece) => parser.feed(piece))
      assert.deepEqual(events, sample.map(expected))
      assert.equal(parser.heldBytes, 0)
    }),
    { numRuns: scaled(300) },
  )
})

test('records come out whole in pieces of one byte', () => {
  fc.assert(
    fc.property(records, (record) => {
      const parser = new RecordParser(bodyBytesMax)
      const events = pieces(record.bytes, [1]).flatMap((piece) => parser.feed(piece))
      assert.deepEqual(events, [expected(record)])
    }),
    { numRuns: 30 },
  )
})

test('held bytes are those of the record that is not complete, but for its head', () => {
  const parser = new RecordParser(bodyBytesMax)
  const body = bodyOf(small)
  const head = written((writer) => encodeMessageHead(writer, body.length))
  assert.equal(head.length, 2)
  parser.feed(head.subarray(0, 1))
  assert.equal(parser.heldBytes, 1)
  parser.feed(concat(head.subarray(1), body.subarray(0, 5)))
  assert.equal(parser.heldBytes, 5)
  assert.deepEqual(parser.incompleteBody, { length: body.length, offset: 0, held: 5 })
  parser.feed(body.subarray(5))
  assert.equal(parser.incompleteBody, undefined)
})

test('an incomplete body can be taken away in parts, which with the rest make the body', () => {
  fc.assert(
    fc.property(messages, lengths, fc.integer({ min: 1, max: 300 }), (message, lengths, spill) => {
      const body = bodyOf(message)
      const head = written((writer) => encodeMessageHead(writer, body.length))
      const parser = new RecordParser(bodyBytesMax)
      const parts: Uint8Array[] = []
      for (const piece of pieces(concat(head, body), lengths)) {
        for (const event of parser.feed(piece)) {
          if (event.type === 'message') parts.push(event.body)
          if (event.type !== 'rest') continue
          assert.equal(event.length, body.length)
          assert.equal(event.offset, concat(...parts).length)
          parts.push(event.bytes)
        }
        if ((parser.incompleteBody?.held ?? 0) >= spill) parts.push(parser.takeHeld())
      }
      assert.deepEqual(concat(...parts), body)
      assert.equal(parser.heldBytes, 0)
    }),
  )
})

test('a resumed body begins where the kept part ends', () => {
  const body = bodyOf(small)
  const head = written((writer) => encodeResumeHead(writer, body.length, 30))
  const parser = new RecordParser(bodyBytesMax)
  assert.deepEqual(parser.feed(concat(head, body.subarray(30))), [
    { type: 'resume', length: body.length, offset: 30 },
    { type: 'rest', length: body.length, offset: 30, bytes: body.subarray(30) },
  ])
})

test('what breaks a rule ends the events, and those before it stand', () => {
  const message = { type: 'message', body: bodyOf(small) } as const
  const whole = concat(
    written((writer) => encodeMessageHead(writer, message.body.length)),
    message.body,
  )
  const wrong: [string, string][] = [
    ['an unknown type of record', '00 00'],
    ['an unknown type of record', '04 00'],
    ['a body of a forbidden length', '01 13'],
    ['a body of a forbidden length', `01 6711`],
    ['a body of a forbidden length', '01 4014'],
    ['a SKIP of a forbidden count', '02 00'],
    ['a SKIP of a forbidden count', '02 4401'],
    ['a RESUME that is not the first record', '03 20 10'],
  ]
  for (const [reason, digits] of wrong) {
    const parser = new RecordParser(bodyBytesMax)
    const events = parser.feed(concat(whole, fromHex(digits), whole))
    assert.deepEqual(events, [message, { type: 'malformed', reason }], digits)
    assert.deepEqual(parser.feed(whole), [])
  }
})

test('a RESUME begins inside its body', () => {
  for (const digits of ['03 20 00', '03 20 20', '03 20 21', '03 13 01', '03 6711 01']) {
    const [event] = new RecordParser(bodyBytesMax).feed(fromHex(digits))
    assert.equal(event?.type, 'malformed', digits)
  }
})

test('any bytes in any pieces end in events or in one malformed, held within bounds', () => {
  const streams = mutated(
    fc.array(records, { maxLength: 4 }).map((sample) => concat(...sample.map((r) => r.bytes))),
  )
  fc.assert(
    fc.property(
      fc.oneof(streams, fc.uint8Array({ maxLength: 100 })),
      lengths,
      (stream, lengths) => {
        const parser = new RecordParser(bodyBytesMax)
        const cut = pieces(stream, lengths)
        const events = cut.flatMap((piece) => parser.feed(piece))
        const malformed = events.findIndex(({ type }) => type === 'malformed')
        assert.ok(malformed === -1 || malformed === events.length - 1)
        assert.ok(parser.heldBytes <= stream.length)
        assert.deepEqual(new RecordParser(bodyBytesMax).feed(stream), events)
      },
    ),
    { numRuns: scaled(500) },
  )
})

test('a body in many pieces is not copied over and over', () => {
  const parser = new RecordParser(268_435_456)
  parser.feed(written((writer) => encodeMessageHead(writer, 32 * 1_048_576)))
  const piece = new Uint8Array(1_024)
  const startMs = performance.now()
  for (let fed = 0; fed < 32_767; fed++) parser.feed(piece)
  const [event] = parser.feed(piece)
  assert.ok(event?.type === 'message' && event.body.length === 32 * 1_048_576)
  // Copied again with each piece this would be half a terabyte.
  assert.ok(performance.now() - startMs < 5_000)
})

test('a record in one piece is a view of it', () => {
  const body = bodyOf(small)
  const piece = concat(
    written((writer) => encodeMessageHead(writer, body.length)),
    body,
  )
  const [event] = new RecordParser(bodyBytesMax).feed(piece)
  assert.ok(event?.type === 'message' && event.body.buffer === piece.buffer)
})

test('an encoder rejects what a correct peer would not take', () => {
  const wrong: ((writer: Writer) => void)[] = [
    (writer) => encodeSkip(writer, new Uint8Array(0)),
    (writer) => encodeSkip(writer, new Uint8Array(15)),
    (writer) => encodeSkip(writer, new Uint8Array(16 * 1_025)),
    (writer) => encodeMessageHead(writer, 19),
    (writer) => encodeMessageHead(writer, 2 ** 28 + 1),
    (writer) => encodeResumeHead(writer, 20, 20),
    (writer) => encodeBodyHead(writer, { ...small, token: 'ä'.repeat(128) }),
    (writer) => encodeBodyHead(writer, { ...small, headers: 'a'.repeat(65_537) }),
    (writer) => encodeBodyHead(writer, { ...small, digest: new Uint8Array(32) }),
  ]
  for (const write of wrong) assert.throws(() => written(write), { name: 'AssertionFailure' })
})
