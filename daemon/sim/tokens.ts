/**
 * The tokens of rows in a simulation, and a key for each of them. Must never be drawn: what a seed
 * does with them is in its plan.
 */
import type { Key } from '../protocol/handshake.ts'

export const goodToken = 'good'
/** What the trigger of a picky inbox refuses. */
export const refusedToken = 'bad'

export const allKeys: readonly Key[] = [goodToken, refusedToken].map((name, index) => ({
  name,
  secret: new Uint8Array(32).fill(index + 1),
}))
