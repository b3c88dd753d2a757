/**
 * Runs the store of one machine in virtual time, as `StoreHost` and its thread do in a daemon: what
 * comes while a commit runs goes into the next one, and answers leave only when that commit is on
 * disk. Must never hand out an answer before its sync is over.
 *
 * It differs from `StoreHost` in this: a lock that others hold is found at once, not after the busy
 * timeout; the lock is held for no virtual time; and the looks of `Wake` are drawn by chance.
 */
import type { VirtualTime } from '../protocol/testing/virtual-time.ts'
import type { StoreResult } from '../protocol/store-port.ts'
import type { StoreTask } from '../store/store.ts'
import type { Disk } from './disk.ts'
import type { MachineClock } from './machine-clock.ts'
import type { Sync } from './sync-ledger.ts'

export type SimStoreParts = {
  readonly time: VirtualTime
  readonly clock: MachineClock
  readonly disk: Disk
  /** How long the next commit takes, in virtual microseconds. */
  readonly commitUs: () => number
  /** Just run, not synced yet: the machine may die here. */
  readonly onRan: (tasks: readonly StoreTask[]) => void
  /** The sync that SQLite has asked for is over. */
  readonly onSynced: (sync: Sync, results: readonly StoreResult[]) => void
  /** Durable now; the core is about to hear of it. */
  readonly onResults: (results: readonly StoreResult[], tasks: readonly StoreTask[]) => void
  readonly onFailed: (error: unknown) => void
}

/** From thread to thread. */
const messageUs = 30
/** As `StoreHost`: shorter pauses are slept through. */
const pollUs = 1_000_000

export class SimStore {
  readonly #parts: SimStoreParts
  #tasks: StoreTask[] = []
  #life = 0
  #state: 'off' | 'idle' | 'scheduled' | 'busy' = 'off'
  #readyUs = 0
  /** Since when the process stands still; what is due meanwhile waits. */
  #isFrozen = false
  #runs = 0

  constructor(parts: SimStoreParts) {
    this.#parts = parts
  }

  /** Ever. */
  get runs(): number {
    return this.#runs
  }

  start(): void {
    this.#state = 'idle'
    this.#isFrozen = false
    this.#readyUs = 0
    this.submit([{ type: 'scan' }])
    this.#poll(this.#life)
  }

  /** The process is gone. */
  kill(): void {
    this.#life++
    this.#state = 'off'
    this.#tasks = []
  }

  submit(tasks: readonly StoreTask[]): void {
    if (this.#state === 'off') return
    for (const task of tasks) this.#tasks.push(task)
    if (this.#state === 'idle') this.#schedule()
  }

  setFrozen(isFrozen: boolean): void {
    this.#isFrozen = isFrozen
    if (!isFrozen && this.#state === 'idle') this.#schedule()
  }

  /** As `StoreHost.close`: does what was asked. */
  close(): void {
    const { disk, clock } = this.#parts
    const life = this.#life
    for (let runs = 0; runs < 1_000; runs++) {
      const tasks = this.#tasks.splice(0)
      disk.runStore(tasks, clock.nowMs())
      disk.onSynced(disk.onStoreRan())
      this.#parts.onRan(tasks)
      if (life !== this.#life) return
      if (!disk.store.hasWork) break
    }
    this.kill()
  }

  #schedule(): void {
    const { time, clock } = this.#parts
    this.#state = 'scheduled'
    const atUs = time.nowUs + messageUs
    this.#at(Math.max(atUs, clock.worldUsIn(this.#readyUs - clock.nowUs())), () => this.#run())
  }

  #run(): void {
    if (this.#isFrozen) {
      this.#state = 'idle'
      return
    }
    const { disk, clock, time } = this.#parts
    const tasks = this.#tasks.splice(0)
    const life = this.#life
    this.#state = 'busy'
    this.#runs++
    let results: StoreResult[]
    try {
      results = disk.runStore(tasks, clock.nowMs())
    } catch (error) {
      this.#parts.onFailed(error)
      return
    }
    const sync = disk.onStoreRan()
    this.#parts.onRan(tasks)
    if (life !== this.#life) return
    const commitUs = sync.hasWritten ? this.#parts.commitUs() : 0
    this.#at(time.nowUs + commitUs, () => {
      disk.onSynced(sync)
      this.#parts.onSynced(sync, results)
      this.#onSynced(results, tasks)
    })
  }

  #onSynced(results: readonly StoreResult[], tasks: readonly StoreTask[]): void {
    const { disk, clock, time } = this.#parts
    this.#readyUs = clock.nowUs() + disk.store.pauseUs
    this.#state = 'idle'
    this.#at(time.nowUs + messageUs, () => this.#parts.onResults(results, tasks))
    if (this.#tasks.length > 0 || disk.store.hasWork) this.#schedule()
    else this.#rest()
  }

  #rest(): void {
    const { disk } = this.#parts
    try {
      disk.store.rest()
    } catch (error) {
      this.#parts.onFailed(error)
      return
    }
    disk.onSynced(disk.onStoreRan())
  }

  /** The net under `Wake`. */
  #poll(life: number): void {
    this.#at(this.#parts.time.nowUs + pollUs, () => {
      if (!this.#isFrozen) this.submit([{ type: 'scan' }])
      this.#poll(life)
    })
  }

  #at(atUs: number, run: () => void): void {
    const life = this.#life
    this.#parts.time.at(atUs, () => {
      if (life === this.#life) run()
    })
  }
}
