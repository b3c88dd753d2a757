import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { packetsMax, packetsToEnd } from '../constants.ts'
import { transportKeys } from './noise.ts'
import { toConnectionId } from '../codec/packet.ts'
import { PacketProtection, SessionKeys } from './packet-protection.ts'
import { dataPacket, keysPair } from '../../../test/support/session-pair.ts'
import { seededEnvironment } from '../../../test/support/seeded-environment.ts'

const frames = Uint8Array.of(1)

test('each packet has the next number, and opens once at the other side', () => {
  const { initiator, responder } = keysPair()
  const packets = [0, 1, 2].map(() => dataPacket(initiator.seal(frames)))
  deepStrictEqual(
    packets.map(({ packetNumber }) => packetNumber),
    [0, 1, 2],
  )
  for (const packet of packets.toReversed()) {
    deepStrictEqual(responder.open(packet), frames)
    deepStrictEqual(responder.open(packet), undefined)
  }
  deepStrictEqual(initiator.nextPacketNumber, 3)
})

test('a forged packet does not open, and does not mark its number', () => {
  const { initiator, responder } = keysPair()
  const datagram = initiator.seal(frames)
  const forged = Uint8Array.from(datagram)
  forged[20] = (forged[20] ?? 0) ^ 1
  deepStrictEqual(responder.open(dataPacket(forged)), undefined)
  deepStrictEqual(responder.open(dataPacket(datagram)), frames)
})

test('nobody opens what it sealed itself', () => {
  const { initiator, responder } = keysPair()
  deepStrictEqual(initiator.open(dataPacket(initiator.seal(frames))), undefined)
  deepStrictEqual(responder.open(dataPacket(responder.seal(frames))), undefined)
})

test('keys are worn while there are still some packets for a good end', () => {
  const environment = seededEnvironment(1)
  const agreement = {
    payload: new Uint8Array(0),
    chainingKey: new Uint8Array(32),
    hash: new Uint8Array(32),
  }
  const cid = toConnectionId(new Uint8Array(8))
  const transport = transportKeys(environment, agreement)
  const protection = new PacketProtection(environment, transport, 'initiator', cid)
  const keys = new SessionKeys(protection, cid, packetsMax - packetsToEnd - 1)
  deepStrictEqual(keys.needsRekey, false)
  keys.seal(frames)
  deepStrictEqual(keys.needsRekey, true)
  ok(keys.nextPacketNumber < packetsMax)
})
