/**
 * Time as a thread has it: what it does next, what it does later, and which time it is. Here it is
 * the system's; a simulation has its own. Code that the simulator runs must never ask the system.
 */

/** Takes back what was asked for; nothing happens when it has run. */
export type Cancel = () => void

export type Scheduler = {
  /** Monotonic, in whole microseconds. */
  readonly nowUs: () => number
  /** The wall clock, in milliseconds since 1970. */
  readonly wallMs: () => number
  /** When the thread has taken in all that has come meanwhile. */
  readonly nextTurn: (run: () => void) => Cancel
  readonly after: (ms: number, run: () => void) => Cancel
  /** Holds up the whole thread. */
  readonly sleep: (ms: number) => void
}

const neverWoken = new Int32Array(new SharedArrayBuffer(4))

export const systemScheduler: Scheduler = {
  nowUs: () => Math.floor(performance.now() * 1_000),
  wallMs: Date.now,
  nextTurn: (run) => {
    const immediate = setImmediate(run)
    return () => clearImmediate(immediate)
  },
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
  sleep: (ms) => void Atomics.wait(neverWoken, 0, 0, ms),
}
