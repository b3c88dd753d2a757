import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { array, assert as always, integer, nat, property, record } from 'fast-check'
import { ReceiveStream } from './receive-stream.ts'
import { SendStream, type StreamPiece } from './send-stream.ts'
import { SeededRandom } from '../../../sdk/testing/lossy-network.ts'
import { concat } from '../codec/buffer.ts'

function numbered(start: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (start + index) % 251)
}

function streamOf(...lengths: readonly number[]): SendStream {
  const stream = new SendStream()
  let end = 0
  for (const length of lengths) {
    stream.append(numbered(end, length))
    end += length
  }
  return stream
}

function rangeOf({ offset, bytes }: StreamPiece): { start: number; end: number } {
  return { start: offset, end: offset + bytes.length }
}

function takeAll(stream: SendStream, bytesMax: number, credit = Infinity): StreamPiece[] {
  const pieces: StreamPiece[] = []
  for (let piece = stream.next(bytesMax, credit); piece; piece = stream.next(bytesMax, credit)) {
    pieces.push(piece)
  }
  return pieces
}

test('bytes go once, in order, in pieces that end with a chunk or when they are full', () => {
  const stream = streamOf(25, 10)
  const pieces = takeAll(stream, 10)
  deepStrictEqual(
    pieces.map(({ offset, bytes }) => [offset, bytes.length]),
    [
      [0, 10],
      [10, 10],
      [20, 5],
      [25, 10],
    ],
  )
  deepStrictEqual(concat(...pieces.map(({ bytes }) => bytes)), numbered(0, 35))
  deepStrictEqual(stream.hasNext(Infinity), false)
})

test('nothing goes beyond the credit, but what went before and was lost', () => {
  const stream = streamOf(30)
  deepStrictEqual(takeAll(stream, 100, 20).map(rangeOf), [{ start: 0, end: 20 }])
  deepStrictEqual(stream.hasNext(20), false)
  deepStrictEqual(stream.hasNext(21), true)
  stream.onLost({ start: 5, end: 10 })
  deepStrictEqual(stream.hasNext(0), true)
  deepStrictEqual(takeAll(stream, 100, 20).map(rangeOf), [{ start: 5, end: 10 }])
})

test('what is lost goes before what is new', () => {
  const stream = streamOf(30)
  stream.next(20, Infinity)
  stream.onLost({ start: 3, end: 6 })
  deepStrictEqual(stream.nextStart, 3)
  deepStrictEqual(takeAll(stream, 100).map(rangeOf), [
    { start: 3, end: 6 },
    { start: 20, end: 30 },
  ])
})

test('of what waits for its ack, the oldest goes again, whether it is known as lost or not', () => {
  const stream = streamOf(30, 10)
  takeAll(stream, 10, 35)
  stream.onAcked({ start: 0, end: 5 })
  stream.onAcked({ start: 10, end: 20 })
  stream.onLost({ start: 22, end: 24 })
  stream.repeatOldest(8)
  deepStrictEqual(takeAll(stream, 100, 0).map(rangeOf), [
    { start: 5, end: 10 },
    { start: 20, end: 24 },
  ])
  stream.repeatOldest(100)
  deepStrictEqual(takeAll(stream, 100, 0).map(rangeOf), [
    { start: 5, end: 10 },
    { start: 20, end: 30 },
    { start: 30, end: 35 },
  ])
  stream.repeatOldest(0)
  deepStrictEqual(stream.hasNext(0), false)
})

test('what came after all does not go again', () => {
  const stream = streamOf(30)
  stream.next(30, Infinity)
  stream.onLost({ start: 0, end: 30 })
  stream.onAcked({ start: 10, end: 20 })
  stream.onLost({ start: 5, end: 25 })
  deepStrictEqual(takeAll(stream, 100).map(rangeOf), [
    { start: 0, end: 10 },
    { start: 20, end: 30 },
  ])
})

test('memory is held until everything before is acked', () => {
  const stream = streamOf(10, 10, 10)
  takeAll(stream, 10)
  stream.onAcked({ start: 10, end: 20 })
  deepStrictEqual(stream.heldBytes, 30)
  stream.onAcked({ start: 0, end: 10 })
  deepStrictEqual(stream.heldBytes, 10)
  stream.onAcked({ start: 0, end: 20 })
  stream.onLost({ start: 0, end: 20 })
  deepStrictEqual([stream.heldBytes, stream.hasNext(Infinity)], [10, false])
  stream.append(numbered(30, 5))
  deepStrictEqual([stream.heldBytes, stream.unsentBytes], [15, 5])
})

/** What happens to a piece on its way; one that is declared lost may come all the same. */
const schedules = record({
  chunks: array(integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 12 }),
  piece: integer({ min: 1, max: 150 }),
  window: integer({ min: 1, max: 600 }),
  lossPercent: nat(60),
  seed: nat(),
})

test('whatever is lost, duplicated and reordered: the bytes come exactly', () => {
  always(
    property(schedules, ({ chunks, piece: bytesMax, window, lossPercent, seed }) => {
      const random = new SeededRandom(seed)
      const [sender, receiver] = [streamOf(...chunks), new ReceiveStream()]
      const length = chunks.reduce((sum, chunk) => sum + chunk, 0)
      const flying: StreamPiece[] = []
      const parts: Uint8Array[] = []
      let came = 0
      for (let steps = 0; sender.heldBytes > 0; steps++) {
        deepStrictEqual(steps < 100_000, true)
        // What is not durable is held back, as a store would.
        const credit = came + window
        const next = sender.next(1 + random.below(bytesMax), credit)
        if (next !== undefined) flying.push(next)
        if (next !== undefined && random.chance(0.5)) continue
        const [piece] = flying.splice(random.below(flying.length), 1)
        if (piece === undefined) continue
        const isLate = random.chance(lossPercent / 100)
        if (isLate) sender.onLost(rangeOf(piece))
        if (isLate && random.chance(0.7)) continue
        const received = receiver.onPiece(piece.offset, piece.bytes.slice(), credit, Infinity)
        deepStrictEqual(received === 'taken' || received === 'duplicate', true)
        if (random.chance(0.1)) flying.push(piece)
        sender.onAcked(rangeOf(piece))
        if (receiver.hasReady) {
          const { offset, bytes } = receiver.takeReady()
          deepStrictEqual(offset, came)
          parts.push(bytes)
          came += bytes.length
        }
      }
      deepStrictEqual(concat(...parts), numbered(0, length))
      deepStrictEqual(receiver.nextOffset, length)
    }),
  )
})
