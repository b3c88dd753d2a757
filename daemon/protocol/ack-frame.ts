/**
 * The ACK frame (PROTOCOL §5.1): which packet numbers have come, as ranges. Must never know which
 * of them are asked for.
 *
 * ACK 02 | largest | delay | ranges | first | (gap | length) * ranges
 *
 * `first` and `length` are numbers of a range minus one, `gap` is missing numbers minus one.
 */
import type { AckRange } from './ack-ranges.ts'
import { assert } from './assert.ts'
import { varintLength } from './wire.ts'
import type { Reader, Writer } from './wire.ts'

export type AckFrame = {
  readonly type: 'ack'
  /** `last` of the first range. */
  readonly largest: number
  readonly delayUs: number
  /** 1 to 64, newest first, with at least one missing number between two of them. */
  readonly ranges: readonly AckRange[]
}

export const ackType = 2
// The first range stands apart from the pairs. As a varint of one byte their number can be patched.
const pairsMax = 63

/** Bytes that `encodeAck` writes when nothing bounds it. */
export function ackLength(ack: AckFrame): number {
  const newest = newestRange(ack)
  let length = headLength(ack.delayUs, newest)
  let smallest = newest.first
  for (const range of ack.ranges) {
    if (range === newest) continue
    length += pairLength(smallest, range)
    smallest = range.first
  }
  return length
}

/**
 * Writes as many ranges, newest first, as keep the frame within `bytesMax`. Answers how many were
 * written; 0: not even the newest fits, and nothing was written.
 */
export function encodeAck(writer: Writer, ack: AckFrame, bytesMax: number): number {
  const newest = newestRange(ack)
  let room = bytesMax - headLength(ack.delayUs, newest)
  if (room < 0) return 0
  const countAt = encodeHead(writer, ack.delayUs, newest)
  let pairs = 0
  let smallest = newest.first
  for (const range of ack.ranges) {
    if (range === newest) continue
    room -= pairLength(smallest, range)
    if (room < 0) break
    writer.varint(smallest - range.last - 2)
    writer.varint(range.last - range.first)
    smallest = range.first
    pairs++
  }
  writer.patch(countAt, pairs)
  return 1 + pairs
}

/** `undefined`, or a failed reader: malformed. */
export function decodeAck(reader: Reader): AckFrame | undefined {
  const largest = reader.varint()
  const delayUs = reader.varint()
  const pairs = reader.varint()
  let first = largest - reader.varint()
  if (pairs > pairsMax || first < 0) return undefined
  const ranges: AckRange[] = [{ first, last: largest }]
  for (let pair = 0; pair < pairs; pair++) {
    const last = first - reader.varint() - 2
    first = last - reader.varint()
    if (first < 0) return undefined
    ranges.push({ first, last })
  }
  return { type: 'ack', largest, delayUs, ranges }
}

function newestRange(ack: AckFrame): AckRange {
  const newest = ack.ranges[0]
  assert(newest !== undefined && ack.ranges.length <= 1 + pairsMax, 'An ack has 1 to 64 ranges.')
  assert(newest.last === ack.largest, 'The newest range ends with the largest number.')
  return newest
}

// Answers where the count of the pairs stands.
function encodeHead(writer: Writer, delayUs: number, newest: AckRange): number {
  writer.u8(ackType)
  writer.varint(newest.last)
  writer.varint(delayUs)
  const countAt = writer.length
  writer.u8(0)
  writer.varint(newest.last - newest.first)
  return countAt
}

function headLength(delayUs: number, newest: AckRange): number {
  const numbers = varintLength(newest.last) + varintLength(newest.last - newest.first)
  return 2 + numbers + varintLength(delayUs)
}

function pairLength(smallest: number, range: AckRange): number {
  return varintLength(smallest - range.last - 2) + varintLength(range.last - range.first)
}
