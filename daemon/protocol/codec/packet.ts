/**
 * The seven packets (PROTOCOL §3), one in each datagram. Decoding answers `undefined` for what is
 * to be dropped without a word, most often after a look at its first byte and length. Must never
 * decide what a packet is good for.
 *
 *   HELLO1   10 | version 1 | scid 8 | hint 8 | n 1 | versions n | c 1 | cookie c (0 or 16) | e 32
 *               | tag (0 or 16) | zeros -> 256
 *   HELLO2   20 | version 1 | dcid 8 | scid 8 | e 32 | tag 16
 *   RETRY    30 | version 1 | dcid 8 | cookie 16
 *   DATA     40 | dcid 8 | packet number 6 | sealed frames | tag 16
 *   VERSIONS 50 | dcid 8 | n 1 | versions n
 *   UNKNOWN  60 | dcid 8
 *   WAKE     70 | zeros -> 128
 */
import { assert, unreachable } from '../assert.ts'
import { isAllZero, Reader, uint48At, writeUint48, Writer } from './buffer.ts'

declare const brand: unique symbol

/**
 * Eight bytes as a string of eight characters, one for each byte: a Map finds it by value. It is
 * made and looked up in 50 ns, a bigint in 60 to 100, hexadecimal digits in 200. Never print it.
 */
export type ConnectionId = string & { readonly [brand]: 'ConnectionId' }

/** What names a key without naming it (PROTOCOL §4.4), in the form of a connection id. */
export type KeyId = string & { readonly [brand]: 'KeyId' }

/** Bytes in a decoded packet are views of its datagram. */
export type Packet =
  | Hello1
  /** HELLO1 in a version that is not ours: VERSIONS is the answer. */
  | { readonly type: 'foreign-hello1'; readonly version: number; readonly scid: ConnectionId }
  | Hello2
  | { readonly type: 'retry'; readonly dcid: ConnectionId; readonly cookie: Uint8Array }
  | DataPacket
  | { readonly type: 'versions'; readonly dcid: ConnectionId; readonly versions: Uint8Array }
  | { readonly type: 'unknown'; readonly dcid: ConnectionId }
  | { readonly type: 'wake' }

/** What a responder may say to a HELLO1. */
export type Answer = Extract<Packet, { readonly type: 'hello2' | 'retry' | 'versions' }>

export type Hello1 = {
  readonly type: 'hello1'
  readonly scid: ConnectionId
  /** `undefined`: keyless. */
  readonly keyId: KeyId | undefined
  /** All that the initiator speaks, one byte each; ours is among them. */
  readonly versions: Uint8Array
  readonly cookie: Uint8Array | undefined
  /** The first message of the handshake: e, and under a key the tag. */
  readonly noise: Uint8Array
}

export type Hello2 = {
  readonly type: 'hello2'
  readonly dcid: ConnectionId
  readonly scid: ConnectionId
  /** The second message of the handshake: e and the tag. */
  readonly noise: Uint8Array
}

export type DataPacket = {
  readonly type: 'data'
  readonly dcid: ConnectionId
  readonly packetNumber: number
  /** The whole: it is split (`dataHeader`, `dataSealed`) only for a session that exists. */
  readonly datagram: Uint8Array
}

/** The version that this codec speaks. */
export const protocolVersion = 1
export const dataHeaderBytes = 15
export const tagBytes = 16
export const cookieBytes = 16
export const hello1Bytes = 256
const wakeBytes = 128

const idBytes = 8
const keyBytes = 32
const versionsMax = 16
const hello2Bytes = 66
const retryBytes = 26
const unknownBytes = 9
const dataBytesMin = dataHeaderBytes + 1 + tagBytes
export const dataBytesMax = 65_507
const packetNumberEnd = 2 ** 48

const wireType = {
  hello1: 0x10,
  hello2: 0x20,
  retry: 0x30,
  data: 0x40,
  versions: 0x50,
  unknown: 0x60,
  wake: 0x70,
} as const

/** `undefined`: drop it silently. */
export function decodePacket(datagram: Uint8Array): Packet | undefined {
  switch (byteAt(datagram, 0)) {
    case wireType.data:
      return decodeData(datagram)
    case wireType.hello1:
      return datagram.length === hello1Bytes ? decodeHello1(datagram) : undefined
    case wireType.hello2:
      return datagram.length === hello2Bytes ? decodeHello2(datagram) : undefined
    case wireType.retry:
      return datagram.length === retryBytes ? decodeRetry(datagram) : undefined
    case wireType.versions:
      return decodeVersions(datagram)
    case wireType.unknown:
      if (datagram.length !== unknownBytes) return undefined
      return { type: 'unknown', dcid: connectionIdAt(datagram, 1) }
    case wireType.wake:
      if (datagram.length !== wakeBytes || !isAllZero(datagram.subarray(1))) return undefined
      return { type: 'wake' }
    default:
      return undefined
  }
}

/** The datagram of any packet but a foreign one. */
export function encodePacket(packet: Exclude<Packet, { type: 'foreign-hello1' }>): Uint8Array {
  switch (packet.type) {
    case 'hello1':
      return encodeHello1(packet)
    case 'hello2':
      return encodeHello2(packet)
    case 'retry':
      return encodeRetry(packet.dcid, packet.cookie)
    case 'data':
      return packet.datagram
    case 'versions':
      return encodeVersions(packet.dcid, packet.versions)
    case 'unknown':
      return datagramOf(unknownBytes, wireType.unknown, packet.dcid).written
    case 'wake':
      return Uint8Array.of(wireType.wake, ...new Uint8Array(wakeBytes - 1))
    default:
      return unreachable(packet)
  }
}

/** Writes the clear part of a DATA packet at the beginning of `target`. */
export function writeDataHeader(
  target: Uint8Array,
  dcid: ConnectionId,
  packetNumber: number,
): void {
  assert(packetNumber >= 0 && packetNumber < packetNumberEnd, 'A packet number has 48 bits.')
  target[0] = wireType.data
  for (let index = 0; index < idBytes; index++) target[1 + index] = dcid.charCodeAt(index)
  writeUint48(target, 9, packetNumber)
}

/** The associated data: a view. */
export function dataHeader(packet: DataPacket): Uint8Array {
  return packet.datagram.subarray(0, dataHeaderBytes)
}

/** The sealed frames and their tag: a view. */
export function dataSealed(packet: DataPacket): Uint8Array {
  return packet.datagram.subarray(dataHeaderBytes)
}

/** From eight bytes: random ones for an own id. */
export function toConnectionId(bytes: Uint8Array): ConnectionId {
  assert(bytes.length === idBytes, 'A connection id has eight bytes.')
  return connectionIdAt(bytes, 0)
}

/** From eight bytes. */
export function toKeyId(bytes: Uint8Array): KeyId {
  assert(bytes.length === idBytes, 'A hint has eight bytes.')
  return textAt(bytes, 0) as KeyId
}

/** The eight bytes again; zeros for no hint. */
export function idBytesOf(id: ConnectionId | KeyId | undefined): Uint8Array {
  const bytes = new Uint8Array(idBytes)
  for (let index = 0; index < (id?.length ?? 0); index++) bytes[index] = id?.charCodeAt(index) ?? 0
  return bytes
}

function decodeData(datagram: Uint8Array): DataPacket | undefined {
  if (datagram.length < dataBytesMin || datagram.length > dataBytesMax) return undefined
  const dcid = connectionIdAt(datagram, 1)
  return { type: 'data', dcid, packetNumber: uint48At(datagram, 9), datagram }
}

function decodeHello1(datagram: Uint8Array): Packet | undefined {
  const reader = new Reader(datagram)
  reader.u8()
  const version = reader.u8()
  const scid = toConnectionId(reader.bytes(idBytes))
  if (version !== protocolVersion) return { type: 'foreign-hello1', version, scid }
  const keyIdBytes = reader.bytes(idBytes)
  const keyId = isAllZero(keyIdBytes) ? undefined : toKeyId(keyIdBytes)
  const versions = reader.bytes(reader.u8())
  const cookieLength = reader.u8()
  if (cookieLength !== 0 && cookieLength !== cookieBytes) return undefined
  const cookie = cookieLength === 0 ? undefined : reader.bytes(cookieBytes)
  const noise = reader.bytes(hello1NoiseBytes(keyId))
  if (!areVersions(versions) || !versions.includes(version)) return undefined
  if (!isAllZero(reader.rest()) || reader.failed) return undefined
  return { type: 'hello1', scid, keyId, versions, cookie, noise }
}

function encodeHello1(hello: Hello1): Uint8Array {
  assert(areVersions(hello.versions), 'A HELLO1 offers 1 to 16 versions.')
  assert(hello.versions.includes(protocolVersion), 'A HELLO1 offers the version that it is in.')
  assert(hello.noise.length === hello1NoiseBytes(hello.keyId), 'A key makes a tag, no key none.')
  const writer = new Writer(hello1Bytes)
  writer.u8(wireType.hello1)
  writer.u8(protocolVersion)
  writeId(writer, hello.scid)
  writer.bytes(idBytesOf(hello.keyId))
  writer.u8(hello.versions.length)
  writer.bytes(hello.versions)
  writer.u8(hello.cookie?.length ?? 0)
  if (hello.cookie !== undefined) writeCookie(writer, hello.cookie)
  writer.bytes(hello.noise)
  writer.zeros(hello1Bytes - writer.length)
  return writer.written
}

function hello1NoiseBytes(keyId: KeyId | undefined): number {
  return keyId === undefined ? keyBytes : keyBytes + tagBytes
}

function decodeHello2(datagram: Uint8Array): Hello2 | undefined {
  if (datagram[1] !== protocolVersion) return undefined
  const dcid = connectionIdAt(datagram, 2)
  const scid = connectionIdAt(datagram, 2 + idBytes)
  return { type: 'hello2', dcid, scid, noise: datagram.subarray(2 + 2 * idBytes) }
}

function encodeHello2(hello: Hello2): Uint8Array {
  assert(hello.noise.length === keyBytes + tagBytes, 'The second message has a key and a tag.')
  const writer = new Writer(hello2Bytes)
  writer.u8(wireType.hello2)
  writer.u8(protocolVersion)
  writeId(writer, hello.dcid)
  writeId(writer, hello.scid)
  writer.bytes(hello.noise)
  return writer.written
}

function decodeRetry(datagram: Uint8Array): Packet | undefined {
  if (datagram[1] !== protocolVersion) return undefined
  const cookie = datagram.subarray(2 + idBytes)
  return { type: 'retry', dcid: connectionIdAt(datagram, 2), cookie }
}

function encodeRetry(dcid: ConnectionId, cookie: Uint8Array): Uint8Array {
  const writer = new Writer(retryBytes)
  writer.u8(wireType.retry)
  writer.u8(protocolVersion)
  writeId(writer, dcid)
  writeCookie(writer, cookie)
  return writer.written
}

function decodeVersions(datagram: Uint8Array): Packet | undefined {
  const versions = datagram.subarray(2 + idBytes)
  if (!areVersions(versions) || datagram[1 + idBytes] !== versions.length) return undefined
  return { type: 'versions', dcid: connectionIdAt(datagram, 1), versions }
}

function encodeVersions(dcid: ConnectionId, versions: Uint8Array): Uint8Array {
  assert(areVersions(versions), 'VERSIONS lists 1 to 16 versions.')
  const writer = datagramOf(2 + idBytes + versions.length, wireType.versions, dcid)
  writer.u8(versions.length)
  writer.bytes(versions)
  return writer.written
}

function areVersions(versions: Uint8Array): boolean {
  return versions.length > 0 && versions.length <= versionsMax
}

function datagramOf(bytes: number, type: number, dcid: ConnectionId): Writer {
  const writer = new Writer(bytes)
  writer.u8(type)
  writeId(writer, dcid)
  return writer
}

function writeCookie(writer: Writer, cookie: Uint8Array): void {
  assert(cookie.length === cookieBytes, 'A cookie has 16 bytes.')
  writer.bytes(cookie)
}

function writeId(writer: Writer, id: ConnectionId): void {
  writer.bytes(idBytesOf(id))
}

function connectionIdAt(bytes: Uint8Array, offset: number): ConnectionId {
  return textAt(bytes, offset) as ConnectionId
}

function textAt(bytes: Uint8Array, offset: number): string {
  return String.fromCharCode(
    byteAt(bytes, offset),
    byteAt(bytes, offset + 1),
    byteAt(bytes, offset + 2),
    byteAt(bytes, offset + 3),
    byteAt(bytes, offset + 4),
    byteAt(bytes, offset + 5),
    byteAt(bytes, offset + 6),
    byteAt(bytes, offset + 7),
  )
}

// Lengths have been checked: there is no byte that is not there.
function byteAt(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? 0
}
