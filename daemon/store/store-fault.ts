/**
 * What keeps the store from writing, for whoever can fix it at this end: a full disk, a lock that
 * another program holds, temporary files without room. Must never change what the store does.
 */
import { TinymqError, type TinymqErrorCode } from '../../sdk/schema/errors.ts'
import { remedyFor } from '../../sdk/schema/stuck-view.ts'
import type { StoreEvent } from './event-log.ts'

export type StoreFault = {
  /** The same in log, `mqevent`, `mqlane`, `tinymq check`, /readyz, doctor, page and metrics. */
  readonly code: TinymqErrorCode
  /** `error`: nothing is sent or received; `warn`: all goes on, but not as it should. */
  readonly level: 'error' | 'warn'
  /** What is wrong, without a full stop. */
  readonly sentence: string
  /** What to do. */
  readonly hint: string
  readonly sinceMs: number
}

/** A fault that has not come again for so long is over, if something was written since. */
const overMs = 5_000
/** Of faults of the same kind one event is enough in this time. */
const eventMs = 600_000

export class FaultWatch {
  #fault: StoreFault | undefined
  #seenAtMs = -Infinity
  #hasWritten = false
  readonly #eventAtMs = new Map<TinymqErrorCode, number>()

  /** Undefined when the store can write. */
  get current(): StoreFault | undefined {
    return this.#fault
  }

  /** @returns the event that is to be written as soon as that is possible. */
  on(
    code: TinymqErrorCode,
    level: StoreFault['level'],
    sentence: string,
    nowMs: number,
  ): StoreEvent | undefined {
    const hint = remedyFor(code) ?? new TinymqError(code, sentence).hint
    const known = this.#fault
    const isSame = known?.code === code && known.level === level
    // What stops everything is not hidden by what stops little, nor made to last by it; the same
    // that stops less now, and lets something be written, has become that.
    const isLess = level === 'warn' && known?.level === 'error'
    if (!isLess || (known.code === code && this.#hasWritten)) {
      if (!isSame) this.#fault = { code, level, sentence, hint, sinceMs: nowMs }
      this.#seenAtMs = nowMs
      this.#hasWritten = false
    }
    if (Math.abs(nowMs - (this.#eventAtMs.get(code) ?? -Infinity)) < eventMs) return undefined
    this.#eventAtMs.set(code, nowMs)
    return { code, detail: `${sentence}: ${hint}` }
  }

  onCommitted(): void {
    this.#hasWritten = true
  }

  /** To be called in each turn. */
  look(nowMs: number): void {
    // Either way: the clock may have been set back.
    if (this.#hasWritten && Math.abs(nowMs - this.#seenAtMs) >= overMs) this.#fault = undefined
  }
}
