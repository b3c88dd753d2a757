/**
 * Which packet numbers of one session have been opened before. Asked before the costly opening,
 * told after it, so that a forged packet can never mark a number. Must never accept a number twice.
 */
import { assert } from './assert.ts'
import { replayWindowPackets } from './recovery-limits.ts'

const wordBits = 32

/**
 * PROTOCOL §3.8: a number that was opened before, or is 2,048 or more below the highest opened one,
 * is dropped.
 */
export class ReplayWindow {
  // One bit for each of the newest numbers, at number modulo window; older ones are cleared as the
  // window moves on.
  readonly #words = new Uint32Array(replayWindowPackets / wordBits)
  #largest = -1

  /** Highest number marked, -1 before the first. */
  get largest(): number {
    return this.#largest
  }

  /** Whether a packet of this number may be opened. Any number is a legal question. */
  isFresh(packetNumber: number): boolean {
    if (packetNumber > this.#largest) return true
    if (packetNumber <= this.#largest - replayWindowPackets) return false
    return ((this.#words[wordOf(packetNumber)] ?? 0) & bitOf(packetNumber)) === 0
  }

  /** The packet has opened. Only for numbers that are fresh. */
  mark(packetNumber: number): void {
    assert(this.isFresh(packetNumber), 'Only a fresh packet number is marked.')
    if (packetNumber > this.#largest) this.#advance(packetNumber)
    const word = wordOf(packetNumber)
    this.#words[word] = (this.#words[word] ?? 0) | bitOf(packetNumber)
  }

  #advance(packetNumber: number): void {
    if (packetNumber - this.#largest >= replayWindowPackets) this.#words.fill(0)
    else for (let n = this.#largest + 1; n < packetNumber; n++) this.#clear(n)
    this.#clear(packetNumber)
    this.#largest = packetNumber
  }

  #clear(packetNumber: number): void {
    const word = wordOf(packetNumber)
    this.#words[word] = (this.#words[word] ?? 0) & ~bitOf(packetNumber)
  }
}

// The bit operators work modulo 2^32, which leaves the low bits of any safe integer as they are.
function wordOf(packetNumber: number): number {
  return (packetNumber & (replayWindowPackets - 1)) >>> 5
}

function bitOf(packetNumber: number): number {
  return 1 << (packetNumber & (wordBits - 1))
}
