/**
 * Notices when the wall clock and the monotonic one move apart: the clock was set, the machine
 * slept, or it is a copy of a running machine that has been woken. Must never be asked after what
 * depends on it.
 */

/** A clock that is only slewed stays below this between two looks. */
const jumpMsMin = 2_000

export class ClockWatch {
  readonly #apartMs: () => number
  #knownMs: number

  constructor(wallMs = Date.now, monotonicMs = (): number => performance.now()) {
    this.#apartMs = () => wallMs() - monotonicMs()
    this.#knownMs = this.#apartMs()
  }

  /** Since the last time. */
  hasJumped(): boolean {
    const apartMs = this.#apartMs()
    const isJump = Math.abs(apartMs - this.#knownMs) > jumpMsMin
    this.#knownMs = apartMs
    return isJump
  }
}
