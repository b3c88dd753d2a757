/**
 * The frames inside a DATA packet (PROTOCOL §5). Encoding asserts, decoding answers `undefined` for
 * anything that a correct peer would not have sent. Must never hold state.
 *
 *   PAD     00
 *   PING    01
 *   ACK     02 | largest | delay | ranges | first | (gap | length) * ranges
 *   STREAM  03 | offset | length | bytes
 *   CREDIT  04 | offset
 *   CONFIRM 05 | sequence
 *   OPEN    06 | databaseId 16 | stream 16 | confirmed | host text | port
 *   OPENED  07 | database 16 | watermark | digest 16 | part | logStart | credit | messageBytesMax
 *              | datagramBytesMax
 *   CLOSE   09 | code | sequence | retryAfter | reason text
 */
import { assert, unreachable } from '../assert.ts'
import type { AckRange } from '../recovery/ack-tracker.ts'
import { isAllZero, Reader, utf8Length, varintLength, type Writer } from './buffer.ts'

/** Who opened the session, and who was asked. */
export type Role = 'initiator' | 'responder'

export type Frame =
  | { readonly type: 'ping' }
  | AckFrame
  /** Decoded `bytes` are a view of the packet. */
  | { readonly type: 'stream'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: 'credit'; readonly offset: number }
  | { readonly type: 'confirm'; readonly sequence: number }
  | OpenFrame
  | OpenedFrame
  | CloseFrame

export type OpenFrame = {
  readonly type: 'open'
  /** 16 bytes. */
  readonly databaseId: Uint8Array
  /** 16 bytes. */
  readonly stream: Uint8Array
  readonly confirmed: number
  /** '' and 0: answer to where this came from. */
  readonly host: string
  readonly port: number
}

export type OpenedFrame = {
  readonly type: 'opened'
  /** 16 bytes. */
  readonly database: Uint8Array
  readonly watermark: number
  /** 16 bytes. */
  readonly digest: Uint8Array
  /** Bytes of the next body that the responder keeps already. */
  readonly part: number
  /** In milliseconds since 1970 (PROTOCOL §7.5). 0: nothing is forgotten. */
  readonly logStart: number
  readonly credit: number
  readonly messageBytesMax: number
  readonly datagramBytesMax: number
}

export type CloseFrame = {
  readonly type: 'close'
  readonly code: CloseCode
  /** The rejected row, 0 with every other code. */
  readonly sequence: number
  readonly retryAfterMs: number
  readonly reason: string
}

/** PROTOCOL §9. */
export const closeCode = {
  done: 0,
  superseded: 1,
  stopping: 2,
  protocol: 3,
  refused: 4,
  closed: 5,
  busy: 6,
  store: 7,
  damaged: 8,
} as const

export type CloseCode = (typeof closeCode)[keyof typeof closeCode]

/** PROTOCOL §10. */
export const framesPerPacketMax = 256
const hostBytesMax = 255
export const reasonBytesMax = 200
const portMax = 65_535
const idBytes = 16

const wireType = {
  pad: 0,
  ping: 1,
  ack: 2,
  stream: 3,
  credit: 4,
  confirm: 5,
  open: 6,
  opened: 7,
  close: 9,
} as const

// One bit for each wire type that the side may send.
const sendable: Readonly<Record<Role, number>> = {
  initiator: bits(wireType.ping, wireType.stream, wireType.open, wireType.close),
  responder: bits(wireType.ack, wireType.credit, wireType.confirm, wireType.opened, wireType.close),
}

/** Whether a session may answer this packet with an ack (PROTOCOL §5.1). */
export function asksForAck(frames: readonly Frame[]): boolean {
  return frames.some((frame) => frame.type !== 'close')
}

/** The most bytes that a STREAM frame at `offset` can carry in `room` bytes of packet; 0: none. */
export function streamBytesThatFit(offset: number, room: number): number {
  const beforeLength = room - 1 - varintLength(offset)
  const oneByte = Math.min(beforeLength - 1, 2 ** 6 - 1)
  const twoBytes = Math.min(beforeLength - 2, 2 ** 14 - 1)
  return Math.max(oneByte, twoBytes, beforeLength - 4, 0)
}

/** Asserts that a correct peer will take the frame. */
export function encodeFrame(writer: Writer, frame: Frame): void {
  switch (frame.type) {
    case 'ping':
      return writer.u8(wireType.ping)
    case 'ack':
      encodeAck(writer, frame, Infinity)
      return
    case 'stream':
      return encodeStream(writer, frame.offset, frame.bytes)
    case 'credit':
      writer.u8(wireType.credit)
      return writer.varint(frame.offset)
    case 'confirm':
      writer.u8(wireType.confirm)
      return writer.varint(frame.sequence)
    case 'open':
      return encodeOpen(writer, frame)
    case 'opened':
      return encodeOpened(writer, frame)
    case 'close':
      return encodeClose(writer, frame)
    default:
      return unreachable(frame)
  }
}

/**
 * The frames of an opened packet that `sender` has sent, PAD left out; `undefined` is a protocol
 * error: malformed, wrong direction, too many, too long.
 */
export function decodeFrames(bytes: Uint8Array, sender: Role): Frame[] | undefined {
  if (bytes.length === 0) return undefined
  const reader = new Reader(bytes)
  const frames: Frame[] = []
  while (reader.remaining > 0) {
    const type = reader.u8()
    // PROTOCOL §5: "PAD fills the rest of the packet".
    if (type === wireType.pad) return isAllZero(reader.rest()) ? frames : undefined
    if (frames.length === framesPerPacketMax || !maySend(sender, type)) return undefined
    const frame = decodeFrame(reader, type)
    if (frame === undefined || reader.failed) return undefined
    frames.push(frame)
  }
  return frames
}

function decodeFrame(reader: Reader, type: number): Frame | undefined {
  switch (type) {
    case wireType.ping:
      return { type: 'ping' }
    case wireType.ack:
      return decodeAck(reader)
    case wireType.stream:
      return decodeStream(reader)
    case wireType.credit:
      return { type: 'credit', offset: reader.varint() }
    case wireType.confirm:
      return { type: 'confirm', sequence: reader.varint() }
    case wireType.open:
      return decodeOpen(reader)
    case wireType.opened:
      return decodeOpened(reader)
    case wireType.close:
      return decodeClose(reader)
    default:
      return undefined
  }
}

function encodeStream(writer: Writer, offset: number, bytes: Uint8Array): void {
  assert(bytes.length > 0, 'A STREAM frame carries at least one byte.')
  writer.u8(wireType.stream)
  writer.varint(offset)
  writer.varint(bytes.length)
  writer.bytes(bytes)
}

function decodeStream(reader: Reader): Frame | undefined {
  const offset = reader.varint()
  const length = reader.varint()
  if (length === 0 || offset + length > Number.MAX_SAFE_INTEGER) return undefined
  return { type: 'stream', offset, bytes: reader.bytes(length) }
}

function encodeOpen(writer: Writer, open: OpenFrame): void {
  assert(open.port <= portMax, 'A port has 16 bits.')
  assert(utf8Length(open.host) <= hostBytesMax, 'A host has at most 255 bytes.')
  writer.u8(wireType.open)
  writeId(writer, open.databaseId)
  writeId(writer, open.stream)
  writer.varint(open.confirmed)
  writer.text(open.host)
  writer.varint(open.port)
}

function decodeOpen(reader: Reader): OpenFrame | undefined {
  const databaseId = readId(reader)
  const stream = readId(reader)
  const confirmed = reader.varint()
  const host = reader.text(hostBytesMax)
  const port = reader.varint()
  if (port > portMax) return undefined
  return { type: 'open', databaseId, stream, confirmed, host, port }
}

function encodeOpened(writer: Writer, opened: OpenedFrame): void {
  writer.u8(wireType.opened)
  writeId(writer, opened.database)
  writer.varint(opened.watermark)
  writeId(writer, opened.digest)
  writer.varint(opened.part)
  writer.varint(opened.logStart)
  writer.varint(opened.credit)
  writer.varint(opened.messageBytesMax)
  writer.varint(opened.datagramBytesMax)
}

function decodeOpened(reader: Reader): OpenedFrame {
  return {
    type: 'opened',
    database: readId(reader),
    watermark: reader.varint(),
    digest: readId(reader),
    part: reader.varint(),
    logStart: reader.varint(),
    credit: reader.varint(),
    messageBytesMax: reader.varint(),
    datagramBytesMax: reader.varint(),
  }
}

function encodeClose(writer: Writer, close: CloseFrame): void {
  assert(isSound(close.code, close.sequence), 'Code 4, and no other, names a row.')
  assert(utf8Length(close.reason) <= reasonBytesMax, 'A reason has at most 200 bytes.')
  writer.u8(wireType.close)
  writer.varint(close.code)
  writer.varint(close.sequence)
  writer.varint(close.retryAfterMs)
  writer.text(close.reason)
}

function decodeClose(reader: Reader): CloseFrame | undefined {
  const code = reader.varint()
  const sequence = reader.varint()
  const retryAfterMs = reader.varint()
  const reason = reader.text(reasonBytesMax)
  if (!isCloseCode(code) || !isSound(code, sequence)) return undefined
  return { type: 'close', code, sequence, retryAfterMs, reason }
}

/** Narrows a number to a code of PROTOCOL §9. */
export function isCloseCode(code: number): code is CloseCode {
  return Number.isInteger(code) && code >= closeCode.done && code <= closeCode.damaged
}

function isSound(code: CloseCode, sequence: number): boolean {
  return (code === closeCode.refused) === sequence > 0
}

function maySend(sender: Role, type: number): boolean {
  return type <= wireType.close && (sendable[sender] & (1 << type)) !== 0
}

function bits(...types: number[]): number {
  return types.reduce((all, type) => all | (1 << type), 0)
}

function writeId(writer: Writer, id: Uint8Array): void {
  assert(id.length === idBytes, 'An id or a digest has 16 bytes.')
  writer.bytes(id)
}

// A copy, unlike stream bytes: ids are kept, and must not keep a packet with them. Not by `slice`,
// which gives a view of a Buffer.
function readId(reader: Reader): Uint8Array {
  return new Uint8Array(reader.bytes(idBytes))
}

// The ACK frame (PROTOCOL §5.1): which packet numbers have come, as ranges. Must never know which
// of them are asked for.
//
// ACK 02 | largest | delay | ranges | first | (gap | length) * ranges
//
// `first` and `length` are numbers of a range minus one, `gap` is missing numbers minus one.

export type AckFrame = {
  readonly type: 'ack'
  /** `last` of the first range. */
  readonly largest: number
  readonly delayUs: number
  /** 1 to 64, newest first, with at least one missing number between two of them. */
  readonly ranges: readonly AckRange[]
}

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
function decodeAck(reader: Reader): AckFrame | undefined {
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
  writer.u8(wireType.ack)
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
