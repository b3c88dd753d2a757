/**
 * A thread of one process in virtual time: what is due while it is busy or does not move comes
 * after that, in order. Must never run anything once the process is gone.
 */
import type { Cancel, Scheduler } from '../../../sdk/schema/scheduler.ts'
import type { VirtualTime } from './virtual-time.ts'
import type { MachineClock } from '../machine-clock.ts'

type ThreadParts = {
  readonly time: VirtualTime
  readonly clock: MachineClock
  /** How late the loop gets to what is due. */
  readonly turnUs: () => number
}

export class VirtualThread implements Scheduler {
  readonly #parts: ThreadParts
  /** In the time of the world: so long it is busy. */
  #freeUs = 0
  #isFrozen = false
  #isOver = false
  /** What is due while it does not move. */
  #held: (() => void)[] = []

  constructor(parts: ThreadParts) {
    this.#parts = parts
  }

  get isFrozen(): boolean {
    return this.#isFrozen
  }

  /** When it is done with what it does now, in the time of the world. */
  get freeUs(): number {
    return Math.max(this.#freeUs, this.#parts.time.nowUs)
  }

  readonly nowUs = (): number => this.#parts.clock.nowUs() + this.#aheadUs

  readonly wallMs = (): number => this.#parts.clock.nowMs() + Math.floor(this.#aheadUs / 1_000)

  readonly nextTurn = (run: () => void): Cancel => this.#at(this.freeUs + this.#parts.turnUs(), run)

  readonly after = (ms: number, run: () => void): Cancel =>
    this.#at(this.#parts.clock.worldUsIn(ms * 1_000 + this.#aheadUs), run)

  readonly sleep = (ms: number): void => this.block(Math.ceil(ms * 1_000))

  /** What it does now takes so long. */
  block(us: number): void {
    this.#freeUs = this.freeUs + us
  }

  /** Another thread, or the network, has something for it, after `us` from now. */
  post(us: number, run: () => void): void {
    this.#at(this.#parts.time.nowUs + us, run)
  }

  /** At once, unless it does not move. */
  run(run: () => void): void {
    if (this.#isOver) return
    if (this.#isFrozen) this.#held.push(run)
    else run()
  }

  freeze(): void {
    this.#isFrozen = true
  }

  thaw(): void {
    this.#isFrozen = false
    for (const run of this.#held.splice(0)) this.run(run)
  }

  /** The process is gone. */
  end(): void {
    this.#isOver = true
    this.#held = []
  }

  get #aheadUs(): number {
    return Math.max(0, this.#freeUs - this.#parts.time.nowUs)
  }

  #at(atUs: number, run: () => void): Cancel {
    const { time } = this.#parts
    let isCancelled = false
    const due = (): void => {
      if (isCancelled || this.#isOver) return
      if (this.#isFrozen) this.#held.push(due)
      else if (this.#freeUs > time.nowUs) time.at(this.#freeUs, due)
      else run()
    }
    time.at(atUs, due)
    return () => void (isCancelled = true)
  }
}
