/** Records that are sound, with values at the bounds of what they may be. */
import { encodeMessage, encodeSkip } from '../../daemon/store/record.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { Writer } from '../../daemon/protocol/codec/buffer.ts'

const encoder = new TextEncoder()
const bytesMax = 300

/** @param number distinguishes messages; now and then one comes under the identity of another. */
export function hostileRecord(random: SeededRandom, number: number): Uint8Array {
  const writer = new Writer(64)
  if (random.chance(0.1)) {
    encodeSkip(writer, new Uint8Array(16 * (1 + random.below(20))).fill(random.below(256)))
    return writer.written
  }
  const uid = new Uint8Array(16)
  new DataView(uid.buffer).setUint32(4, random.chance(0.9) ? number : 1)
  encodeMessage(writer, {
    uid,
    isText: random.chance(0.5),
    row: random.one([0, 1, 2 ** 31, Number.MAX_SAFE_INTEGER]),
    timeMs: random.one([0, 1_700_000_000_000, Number.MAX_SAFE_INTEGER]),
    token: random.one(['', 'token', "'; DROP TABLE mqin; --", '\0', 'ü'.repeat(100)]),
    headers: random.one([{ text: undefined }, { text: '{}' }, { text: 'no JSON\0' }]).text,
    digest: undefined,
    data: dataOf(random, number),
  })
  return writer.written
}

/** Some of it is no UTF-8, though its sender says that it is text. */
function dataOf(random: SeededRandom, number: number): Uint8Array {
  const data = encoder.encode(`unauthenticated peer ${number} `.padEnd(random.below(bytesMax), '.'))
  if (random.chance(0.2)) data[random.below(data.length)] = random.one([0, 0x80, 0xff])
  return data
}
