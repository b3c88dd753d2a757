import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { nodeEnvironment } from '../../node-crypto.ts'
import {
  type ConnectionId,
  type DataPacket,
  decodePacket,
  toConnectionId,
} from '../codec/packet.ts'
import { PacketProtection } from './packet-protection.ts'
import { mutated } from '../../../test/support/mutate.ts'

const environment = nodeEnvironment()
const initiatorId = newId()
const responderId = newId()

function newId(): ConnectionId {
  return toConnectionId(environment.randomBytes(8))
}

/** Both sides of one session. */
function pair(): { initiator: PacketProtection; responder: PacketProtection } {
  const direction = (): { key: Uint8Array; iv: Uint8Array } => ({
    key: environment.randomBytes(16),
    iv: environment.randomBytes(12),
  })
  const keys = { fromInitiator: direction(), fromResponder: direction() }
  return {
    initiator: new PacketProtection(environment, keys, 'initiator', responderId),
    responder: new PacketProtection(environment, keys, 'responder', initiatorId),
  }
}

function data(datagram: Uint8Array): DataPacket {
  const packet = decodePacket(datagram)
  assert.ok(packet?.type === 'data')
  return packet
}

const frames = fc.uint8Array({ minLength: 1, maxLength: 300 })
const packetNumbers = fc.nat({ max: 2 ** 48 - 1 })

test('what one side seals the other opens, in both directions', () => {
  const { initiator, responder } = pair()
  fc.assert(
    fc.property(packetNumbers, frames, (packetNumber, frames) => {
      const there = data(initiator.seal(packetNumber, frames))
      assert.equal(there.dcid, responderId)
      assert.equal(there.packetNumber, packetNumber)
      assert.equal(there.datagram.length, frames.length + 31)
      assert.deepEqual(responder.open(there), frames)
      const back = data(responder.seal(packetNumber, frames))
      assert.equal(back.dcid, initiatorId)
      assert.deepEqual(initiator.open(back), frames)
    }),
  )
  assert.equal(initiator.failedOpens + responder.failedOpens, 0)
})

test('a packet that comes back to its sender does not open', () => {
  const { initiator } = pair()
  assert.equal(initiator.open(data(initiator.seal(0, Uint8Array.of(1)))), undefined)
})

test('a packet of another session does not open', () => {
  const sealed = data(pair().initiator.seal(0, Uint8Array.of(1)))
  const { responder } = pair()
  assert.equal(responder.open(sealed), undefined)
  assert.equal(responder.failedOpens, 1)
})

test('no byte of a packet can be changed, and each that does not open is counted', () => {
  const { initiator, responder } = pair()
  const genuine = initiator.seal(77, new Uint8Array(40).fill(1))
  let failed = 0
  fc.assert(
    fc.property(mutated(fc.constant(genuine)), (datagram) => {
      const packet = decodePacket(datagram)
      if (packet?.type !== 'data') return
      const opened = responder.open(packet)
      if (opened === undefined) failed++
      else assert.deepEqual(datagram, genuine)
      assert.equal(responder.failedOpens, failed)
    }),
  )
})

test('two numbers seal the same frames into different bytes', () => {
  const { initiator } = pair()
  const one = initiator.seal(1, new Uint8Array(32)).subarray(15)
  const other = initiator.seal(2 ** 40 + 1, new Uint8Array(32)).subarray(15)
  assert.notDeepEqual(one, other)
})
