/**
 * Keys, and an outbound and an inbound session, that belong together: what is left of two nodes
 * when everything but one session is taken away. Must never be used outside tests.
 */
import { assert } from '../../daemon/protocol/assert.ts'
import type { Environment } from '../../daemon/protocol/crypto/provider.ts'
import {
  decodeFrames,
  encodeFrame,
  type Frame,
  type OpenFrame,
  type Role,
} from '../../daemon/protocol/codec/frame.ts'
import { InitiatorHandshake, type Key, respond } from '../../daemon/protocol/crypto/handshake.ts'
import { ResponderSession } from '../../daemon/protocol/session/responder-session.ts'
import { renewAfterPackets } from '../../daemon/protocol/constants.ts'
import type { Address } from '../../daemon/protocol/io.ts'
import {
  type OutboundFact,
  InitiatorSession,
} from '../../daemon/protocol/session/initiator-session.ts'
import { Rtt } from '../../daemon/protocol/recovery/rtt.ts'
import {
  type DataPacket,
  decodePacket,
  toConnectionId,
} from '../../daemon/protocol/codec/packet.ts'
import type { SessionKeys } from '../../daemon/protocol/crypto/packet-protection.ts'
import type { OpenedFacts } from '../../daemon/protocol/store-messages.ts'
import { Writer } from '../../daemon/protocol/codec/buffer.ts'
import { seededEnvironment } from './seeded-environment.ts'

export const initiatorAddress: Address = { ip: '10.0.0.1', port: 9000 }
export const responderAddress: Address = { ip: '10.0.0.2', port: 9000 }

export type KeysPair = { readonly initiator: SessionKeys; readonly responder: SessionKeys }

export function keysPair(environment: Environment = seededEnvironment(1), key?: Key): KeysPair {
  const localCid = toConnectionId(environment.randomBytes(8))
  const scid = toConnectionId(environment.randomBytes(8))
  const handshake = new InitiatorHandshake(environment, scid, key)
  const hello1 = decodePacket(handshake.hello1())
  assert(hello1?.type === 'hello1', 'A HELLO1 can be read.')
  const response = respond(environment, hello1, localCid, key)
  const hello2 = response === undefined ? undefined : decodePacket(response.hello2)
  assert(hello2?.type === 'hello2' && response !== undefined, 'A HELLO2 answers.')
  const initiator = handshake.finish(hello2)
  assert(initiator !== undefined, 'Both have the key.')
  return { initiator, responder: response.keys }
}

/** The frames of a datagram that `sender` has sent, opened by the other one's keys. */
export function framesOf(datagram: Uint8Array, keys: SessionKeys, sender: Role): Frame[] {
  const plain = keys.open(dataPacket(datagram))
  assert(plain !== undefined, 'The datagram opens.')
  const frames = decodeFrames(plain, sender)
  assert(frames !== undefined, 'The frames are sound.')
  return frames
}

/** A datagram with these frames, padded as PROTOCOL §5.8 wants it. */
export function datagramOf(
  frames: readonly Frame[],
  keys: SessionKeys,
  bytesMin = 128,
): Uint8Array {
  const writer = new Writer(bytesMin)
  for (const frame of frames) encodeFrame(writer, frame)
  writer.zeros(Math.max(0, bytesMin - 31 - writer.length))
  return keys.seal(writer.written)
}

export function dataPacket(datagram: Uint8Array): DataPacket {
  const packet = decodePacket(datagram)
  assert(packet?.type === 'data', 'A session sends DATA packets.')
  return packet
}

export const openFrame: OpenFrame = {
  type: 'open',
  databaseId: new Uint8Array(16).fill(1),
  stream: new Uint8Array(16).fill(2),
  confirmed: 0,
  host: '',
  port: 0,
}

export const openedFacts: OpenedFacts = {
  database: new Uint8Array(16).fill(3),
  watermark: 0,
  digest: new Uint8Array(16),
  part: 0,
  logStart: 0,
  messageBytesMax: 1_000_000,
}

/** Two sessions with a wire of no length between them: what is sent arrives when it is carried. */
export class SessionPair {
  readonly outbound: InitiatorSession
  readonly inbound: ResponderSession
  readonly keys: KeysPair
  /** What the initiator was reported. */
  readonly facts: OutboundFact[] = []
  nowUs = 0

  constructor(creditShareBytes = 1_000_000) {
    this.keys = keysPair()
    const { initiator, responder } = this.keys
    this.outbound = new InitiatorSession(
      {
        id: 1,
        peer: responderAddress,
        keys: initiator,
        rtt: new Rtt(),
        bytesPerSecondMax: 0,
        renewAfterPackets,
      },
      this.nowUs,
    )
    this.inbound = new ResponderSession(
      {
        id: 2,
        peer: initiatorAddress,
        keys: responder,
        key: '',
        keyId: undefined,
        creditShareBytes,
      },
      this.nowUs,
    )
  }

  /** All that the initiator may send now. */
  sent(): Uint8Array[] {
    const datagrams: Uint8Array[] = []
    for (;;) {
      const datagram = this.outbound.nextDatagram(this.nowUs)
      if (datagram === undefined) return datagrams
      datagrams.push(datagram)
    }
  }

  /** What the initiator has sent comes. */
  carry(datagrams: readonly Uint8Array[] = this.sent()): Frame[] {
    return datagrams.flatMap((datagram) => {
      const frames = framesOf(datagram, this.keys.responder, 'initiator')
      const { packetNumber } = dataPacket(datagram)
      this.inbound.onPacket(packetNumber, frames, datagram.length, initiatorAddress, this.nowUs)
      return frames
    })
  }

  /** What the responder may send now. */
  answers(): Uint8Array[] {
    const datagrams: Uint8Array[] = []
    for (;;) {
      const datagram = this.inbound.nextDatagram(this.nowUs)
      if (datagram === undefined) return datagrams
      datagrams.push(datagram)
    }
  }

  /** What the responder has sent comes back. */
  carryBack(datagrams: readonly Uint8Array[] = this.answers()): Frame[] {
    return datagrams.flatMap((datagram) => {
      const frames = framesOf(datagram, this.keys.initiator, 'responder')
      this.facts.push(...this.outbound.onFrames(frames, this.nowUs))
      return frames
    })
  }

  /** Time passes until the initiator has something to do. */
  toDeadline(): void {
    const deadlineUs = this.outbound.deadlineUs(this.nowUs)
    assert(deadlineUs !== undefined, 'The initiator waits for something.')
    this.nowUs = Math.max(this.nowUs, Math.ceil(deadlineUs))
    this.outbound.onDeadline(this.nowUs)
  }

  /** OPEN, OPENED, and the rules have accepted it. */
  open(facts: OpenedFacts = openedFacts, datagramBytesMax = 65_507): void {
    this.outbound.onStream(openFrame)
    this.carry()
    this.inbound.onAccepted({ ...facts, datagramBytesMax })
    this.nowUs += 10_000
    this.carryBack()
    this.outbound.onAccepted(this.nowUs)
  }
}
