/**
 * How much a responder lets one initiator send: the durable offset plus a window that grows while
 * the store keeps up. What all windows may hold together is the owner's share, so a crowd gets
 * small windows, not a full memory (P9).
 */
import {
  creditGrowthUs,
  creditWindowFirst,
  creditWindowMax,
  creditWindowMin,
  heldBytesAll,
  spillBytesMax,
} from '../constants.ts'

/** What one of `sessions` inbound sessions may hold. */
export function creditShare(sessions: number): number {
  return Math.max(creditWindowMin, Math.floor(heldBytesAll / Math.max(1, sessions)))
}

export class Credit {
  #windowBytes: number
  #durable = 0
  #offset: number
  #grownAt = 0
  #grownAtUs: number

  constructor(shareBytes: number, nowUs: number) {
    this.#windowBytes = Math.min(creditWindowFirst, shareBytes)
    this.#offset = this.#windowBytes
    this.#grownAtUs = nowUs
  }

  /** The absolute stream offset of PROTOCOL §5.3. */
  get offset(): number {
    return this.#offset
  }

  /** What the initiator may have sent that is not on disk. */
  get outstanding(): number {
    return this.#offset - this.#durable
  }

  /**
   * How large an incomplete body may grow before it is written down: well below the window, or the
   * sender would stall.
   */
  get spillBytes(): number {
    return Math.min(spillBytesMax, this.#windowBytes >> 1)
  }

  /** The stream is on disk up to `durable`. */
  onDurable(durable: number, shareBytes: number, nowUs: number): void {
    if (durable <= this.#durable) return
    this.#durable = durable
    if (2 * (durable - this.#grownAt) >= this.#windowBytes) {
      if (nowUs - this.#grownAtUs < creditGrowthUs) this.#windowBytes *= 2
      this.#grownAt = durable
      this.#grownAtUs = nowUs
    }
    this.#windowBytes = Math.min(this.#windowBytes, creditWindowMax, shareBytes)
    this.#offset = Math.max(this.#offset, durable + this.#windowBytes)
  }
}
