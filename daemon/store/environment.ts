/**
 * What the store takes from the world besides the file: chance, hashing and a clock for pauses. A
 * simulator owns all three. Wall-clock time comes with each call.
 */
import { hash, randomFillSync } from 'node:crypto'
import type { Sha256 } from '../protocol/chain.ts'

export type StoreEnvironment = {
  readonly randomBytes: (length: number) => Uint8Array
  readonly sha256: Sha256
  /** Monotonic, in microseconds; it decides about pauses only, never about what is written. */
  readonly nowUs: () => number
}

/** Of the machine that this runs on. */
export const realEnvironment: StoreEnvironment = {
  randomBytes: (length) => randomFillSync(new Uint8Array(length)),
  sha256: (...parts) =>
    hash('sha256', parts.length === 1 ? first(parts) : Buffer.concat(parts), 'buffer'),
  nowUs: () => performance.now() * 1_000,
}

const first = (parts: readonly Uint8Array[]): Uint8Array => parts[0] ?? new Uint8Array(0)
