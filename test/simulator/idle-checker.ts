/**
 * That a node rests between its turns: a loop that never does costs a whole core, and ends no
 * simulation. Must never slow a node down.
 */
import type { VirtualTime } from './core/virtual-time.ts'
import { expect } from './violation.ts'

/** A turn takes 50 µs here: a loop that never rests makes 20,000; a full link made 6,000. */
const turnsPerSecondMax = 12_000
/** A run without a commit takes 60 µs here. */
const storeRunsPerSecondMax = 12_000

export class IdleChecker {
  readonly #name: string
  readonly #time: VirtualTime
  readonly #turns = { count: 0, sinceUs: 0 }
  readonly #storeRuns = { count: 0, sinceUs: 0 }

  constructor(name: string, time: VirtualTime) {
    this.#name = name
    this.#time = time
  }

  onTurn(): void {
    this.#count(this.#turns, turnsPerSecondMax, 'turns')
  }

  onStoreRun(): void {
    this.#count(this.#storeRuns, storeRunsPerSecondMax, 'runs of the store')
  }

  #count(counter: { count: number; sinceUs: number }, most: number, what: string): void {
    if (this.#time.nowUs - counter.sinceUs >= 1_000_000) {
      counter.sinceUs = this.#time.nowUs
      counter.count = 0
    }
    counter.count++
    expect(counter.count <= most, 'busy', () => `${this.#name} makes ${most} ${what} in a second.`)
  }
}
