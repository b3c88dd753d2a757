import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  dataHeader,
  dataHeaderBytes,
  dataSealed,
  decodePacket,
  encodePacket,
  hello1Bytes,
  idBytesOf,
  type Packet,
  toConnectionId,
  writeDataHeader,
} from './packet.ts'
import { fromHex, hex } from '../../../test/support/hex.ts'
import { mutated } from '../../../test/support/mutate.ts'
import { ids, type NativePacket, packets } from '../../../test/support/packets.ts'
import { scaled } from '../../../test/support/scale.ts'

const id = toConnectionId(fromHex('0102030405060708'))
const hello: NativePacket = {
  type: 'hello1',
  scid: id,
  keyId: undefined,
  versions: Uint8Array.of(1),
  cookie: undefined,
  noise: new Uint8Array(32).fill(7),
}

function changed(datagram: Uint8Array, offset: number, byte: number): Uint8Array {
  const copy = datagram.slice()
  copy[offset] = byte
  return copy
}

test('a packet reads as it was written', () => {
  fc.assert(
    fc.property(packets, (packet) => {
      assert.deepEqual(decodePacket(encodePacket(packet)), packet)
    }),
    { numRuns: scaled(500) },
  )
})

test('one byte string for one packet: what is decoded from any bytes encodes to them again', () => {
  const datagrams = fc.oneof(mutated(packets.map(encodePacket)), fc.uint8Array({ maxLength: 300 }))
  fc.assert(
    fc.property(datagrams, (datagram) => {
      const packet = decodePacket(datagram)
      if (packet === undefined || packet.type === 'foreign-hello1') return
      assert.deepEqual(encodePacket(packet), datagram)
    }),
    { numRuns: scaled(3_000) },
  )
})

test('a datagram of another length is dropped', () => {
  fc.assert(
    fc.property(packets, (packet) => {
      const datagram = encodePacket(packet)
      assert.equal(decodePacket(datagram.subarray(0, -1))?.type, shorter(packet))
      const longer = decodePacket(Uint8Array.of(...datagram, 0))
      assert.equal(longer?.type, packet.type === 'data' ? 'data' : undefined)
    }),
  )
  // The shortest DATA packet holds one byte of frames, the longest fills a datagram of IPv4.
  for (const [length, type] of [[31], [32, 'data'], [65_507, 'data'], [65_508]] as const) {
    assert.equal(decodePacket(Uint8Array.of(0x40, ...new Uint8Array(length - 1)))?.type, type)
  }
})

function shorter(packet: Packet): 'data' | undefined {
  return packet.type === 'data' && packet.datagram.length > 32 ? 'data' : undefined
}

test('a HELLO1 is as long as anything that may be answered to it', () => {
  assert.equal(encodePacket(hello).length, hello1Bytes)
})

test('a HELLO1 in another version is known by its first ten bytes alone', () => {
  const foreign = fromHex(`10 02 0102030405060708 ${'ff'.repeat(246)}`)
  assert.deepEqual(decodePacket(foreign), { type: 'foreign-hello1', version: 2, scid: id })
  assert.equal(decodePacket(foreign.subarray(1)), undefined)
  assert.equal(decodePacket(foreign.subarray(0, 255)), undefined)
})

test('a HELLO1 that is not as it must be is dropped', () => {
  const sound = encodePacket(hello)
  const versionsAt = 18
  assert.equal(decodePacket(sound)?.type, 'hello1')
  assert.equal(decodePacket(changed(sound, 255, 1)), undefined, 'padding')
  assert.equal(decodePacket(changed(sound, versionsAt, 0)), undefined, 'no versions')
  assert.equal(decodePacket(changed(sound, versionsAt, 17)), undefined, 'many versions')
  assert.equal(decodePacket(changed(sound, versionsAt, 255)), undefined, 'versions beyond the end')
  assert.equal(decodePacket(changed(sound, versionsAt + 1, 2)), undefined, 'own version not listed')
  assert.equal(decodePacket(changed(sound, versionsAt + 2, 15)), undefined, 'cookie of 15 bytes')
})

test('an answer in another version is dropped', () => {
  const noise = new Uint8Array(48)
  const cookie = new Uint8Array(16)
  const answers: NativePacket[] = [
    { type: 'hello2', dcid: id, scid: id, noise },
    { type: 'retry', dcid: id, cookie },
  ]
  for (const answer of answers) {
    assert.equal(decodePacket(encodePacket(answer))?.type, answer.type)
    assert.equal(decodePacket(changed(encodePacket(answer), 1, 2)), undefined)
  }
})

test('VERSIONS is no longer than its list', () => {
  const sound = fromHex('50 0102030405060708 02 0103')
  assert.equal(decodePacket(sound)?.type, 'versions')
  for (const wrong of ['50 0102030405060708 03 0103', '50 0102030405060708 00', '50']) {
    assert.equal(decodePacket(fromHex(wrong)), undefined)
  }
  assert.equal(decodePacket(fromHex(`50 0102030405060708 11 ${'01'.repeat(17)}`)), undefined)
})

test('the header of a DATA packet is what is authenticated, the rest is sealed', () => {
  const datagram = new Uint8Array(40)
  writeDataHeader(datagram, id, 2 ** 48 - 2)
  assert.equal(hex(datagram.subarray(0, 15)), '400102030405060708fffffffffffe')
  const packet = decodePacket(datagram)
  assert.ok(packet?.type === 'data')
  assert.equal(packet.packetNumber, 2 ** 48 - 2)
  assert.equal(dataHeader(packet).length, dataHeaderBytes)
  assert.equal(dataSealed(packet).length, 25)
  assert.equal(dataSealed(packet).buffer, datagram.buffer)
})

test('a packet number has 48 bits', () => {
  for (const wrong of [-1, 2 ** 48]) {
    assert.throws(() => writeDataHeader(new Uint8Array(15), id, wrong), {
      name: 'AssertionFailure',
    })
  }
})

test('a connection id gives its bytes again', () => {
  fc.assert(fc.property(ids, (id) => assert.equal(toConnectionId(idBytesOf(id)), id)))
})

test('an encoder rejects what a correct peer would not take', () => {
  const wrong: NativePacket[] = [
    { ...hello, versions: new Uint8Array(0) },
    { ...hello, versions: new Uint8Array(17).fill(1) },
    { ...hello, versions: Uint8Array.of(2) },
    { ...hello, noise: new Uint8Array(48) },
    { ...hello, cookie: new Uint8Array(15) },
    { type: 'versions', dcid: id, versions: new Uint8Array(0) },
    { type: 'retry', dcid: id, cookie: new Uint8Array(0) },
    { type: 'hello2', dcid: id, scid: id, noise: new Uint8Array(32) },
  ]
  for (const packet of wrong) {
    assert.throws(() => encodePacket(packet), { name: 'AssertionFailure' })
  }
})
