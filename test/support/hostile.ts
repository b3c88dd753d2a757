/**
 * What somebody says who means harm: bytes that are nearly right, and frames that are sound and
 * senseless. Must never be used outside tests.
 */
import { closeCode, type Frame } from '../../daemon/protocol/codec/frame.ts'
import type { Address } from '../../daemon/protocol/io.ts'
import type { SessionKeys } from '../../daemon/protocol/crypto/packet-protection.ts'
import type { RawPeer } from './raw-peer.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { openedFacts, openFrame } from './session-pair.ts'
import { Writer } from '../../daemon/protocol/codec/buffer.ts'

const max = Number.MAX_SAFE_INTEGER

/** Of `bytes` some are replaced, cut off, added or repeated. */
export function mutated(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = Uint8Array.from(bytes)
  for (let changes = random.below(4); changes > 0 && copy.length > 0; changes--) {
    copy[random.below(copy.length)] = random.below(256)
  }
  const how = random.below(6)
  if (how === 0) return copy.subarray(0, random.below(copy.length + 1))
  if (how === 1) return Uint8Array.of(...copy, ...copy.subarray(0, random.below(copy.length + 1)))
  return copy
}

export function noise(random: SeededRandom): Uint8Array {
  const lengths = [0, 1, 8, 9, 26, 31, 32, 66, 128, 256, 300, 1200]
  const bytes = new Uint8Array(random.one(lengths))
  for (let index = 0; index < bytes.length; index++) bytes[index] = random.below(256)
  if (bytes.length > 0) bytes[0] = 0x10 * random.below(9)
  return bytes
}

/** A value as a peer might choose it. */
function wild(random: SeededRandom): number {
  return random.one([0, 1, 2, 63, 64, 1_000, 65_536, 2 ** 31, 2 ** 40, max - 1, max])
}

function wildId(random: SeededRandom): Uint8Array {
  return new Uint8Array(16).fill(random.below(3))
}

export function wildFrame(random: SeededRandom): Frame {
  const [one, two, three] = [wild(random), wild(random), wild(random)]
  const [first, last] = [Math.min(one, two), Math.max(one, two)]
  switch (random.below(8)) {
    case 0:
      return { type: 'ping' }
    case 1:
      return { type: 'ack', largest: last, delayUs: three, ranges: [{ first, last }] }
    case 2:
      return { type: 'credit', offset: one }
    case 3:
      return { type: 'confirm', sequence: one }
    case 4:
      return { ...openFrame, stream: wildId(random), confirmed: two }
    case 5: {
      const limits = { credit: one, datagramBytesMax: two, messageBytesMax: three }
      const facts = { ...openedFacts, database: wildId(random), watermark: two, part: three }
      return { type: 'opened', ...facts, ...limits }
    }
    case 6: {
      const code = random.one(Object.values(closeCode))
      const sequence = code === closeCode.refused ? Math.max(1, one) : 0
      return { type: 'close', code, sequence, retryAfterMs: two, reason: 'x'.repeat(200) }
    }
    default: {
      const bytes = new Uint8Array(1 + random.below(1_000)).fill(1)
      return { type: 'stream', offset: Math.min(one, max - bytes.length), bytes }
    }
  }
}

/** Frames that are sound, or nearly: whoever has the keys can send them. */
function wildPlain(random: SeededRandom): Frame[] {
  return Array.from({ length: 1 + random.below(4) }, () => wildFrame(random))
}

/** One packet of a peer that has the keys. */
export function sendWild(
  peer: RawPeer,
  keys: SessionKeys,
  to: Address,
  random: SeededRandom,
): void {
  const bytesMin = random.one([40, 128, 1200])
  if (random.chance(0.8)) {
    const frames = wildPlain(random)
    peer.inject(to, keys, frames, bytesMin)
    return
  }
  const writer = new Writer(64)
  writer.bytes(Uint8Array.from({ length: 1 + random.below(150) }, () => random.below(11)))
  peer.injectPlain(to, keys, writer.written)
}
