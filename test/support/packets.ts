/** Arbitrary packets, as a correct peer sends them. Must never be used outside tests. */
import * as fc from 'fast-check'
import {
  type Packet,
  protocolVersion,
  toConnectionId,
  toKeyId,
  writeDataHeader,
} from '../../daemon/protocol/codec/packet.ts'
import { isAllZero } from '../../daemon/protocol/codec/buffer.ts'

/** A packet that has a datagram of ours. */
export type NativePacket = Exclude<Packet, { type: 'foreign-hello1' }>

const plain = { noNullPrototype: true } as const

export const ids = bytes(8).map(toConnectionId)
const hints = bytes(8)
  .filter((keyId) => !isAllZero(keyId))
  .map(toKeyId)
const versions = fc.uint8Array({ minLength: 1, maxLength: 16 })
const offers = fc.tuple(versions, fc.nat()).map(([offer, place]) => {
  const withOurs = offer.slice()
  withOurs[place % offer.length] = protocolVersion
  return withOurs
})
const cookies = fc.option(bytes(16), { nil: undefined })

const keyless = hello1(fc.constant(undefined), 32)
const keyed = hello1(hints, 48)
const hello2: fc.Arbitrary<NativePacket> = fc.record(
  { type: fc.constant('hello2'), dcid: ids, scid: ids, noise: bytes(48) },
  plain,
)
const retry: fc.Arbitrary<NativePacket> = fc.record(
  { type: fc.constant('retry'), dcid: ids, cookie: bytes(16) },
  plain,
)
const data: fc.Arbitrary<NativePacket> = fc
  .tuple(ids, fc.nat({ max: 2 ** 48 - 1 }), fc.uint8Array({ minLength: 17, maxLength: 100 }))
  .map(([dcid, packetNumber, sealed]) => {
    const datagram = Uint8Array.of(...new Uint8Array(15), ...sealed)
    writeDataHeader(datagram, dcid, packetNumber)
    return { type: 'data', dcid, packetNumber, datagram }
  })
const versionsPackets: fc.Arbitrary<NativePacket> = fc.record(
  { type: fc.constant('versions'), dcid: ids, versions },
  plain,
)
const unknown: fc.Arbitrary<NativePacket> = fc.record(
  { type: fc.constant('unknown'), dcid: ids },
  plain,
)
const wake: fc.Arbitrary<NativePacket> = fc.constant({ type: 'wake' })

export const packets: fc.Arbitrary<NativePacket> = fc.oneof(
  keyless,
  keyed,
  hello2,
  retry,
  data,
  versionsPackets,
  unknown,
  wake,
)

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length })
}

function hello1(
  keyId: typeof hints | fc.Arbitrary<undefined>,
  noiseBytes: number,
): fc.Arbitrary<NativePacket> {
  const fields = { scid: ids, keyId, versions: offers, cookie: cookies, noise: bytes(noiseBytes) }
  return fc.record({ type: fc.constant('hello1'), ...fields }, plain)
}
