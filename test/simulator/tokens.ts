/**
 * The tokens of rows in a simulation, and a key for each of them. Must never be drawn: what a seed
 * does with them is in its plan.
 */
import { tokenBytesMax } from '../../daemon/store/record.ts'
import type { Key } from '../../daemon/protocol/crypto/handshake.ts'

export const goodToken = 'good'
/** What the trigger of a picky inbox rejects. */
export const refusedToken = 'bad'

/** Without keys a token is a label: any text of up to 255 bytes. */
export const labels: readonly string[] = [
  goodToken,
  '',
  'ü 漢 🐦',
  `${'y'.repeat(tokenBytesMax - 1)}z`,
]

export const allKeys: readonly Key[] = [goodToken, refusedToken].map((name, index) => ({
  name,
  secret: new Uint8Array(32).fill(index + 1),
}))
