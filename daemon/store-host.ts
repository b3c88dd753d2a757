/**
 * Runs the store, in whatever thread it lives: gathers what is asked while the last commit ran into
 * one transaction, looks for what others have written, and leaves the database alone for as long as
 * the store says. Must never know what a task means.
 */
import type { StoreResult } from './protocol/store-port.ts'
import type { Peer, Store, StoreTask } from './store/store.ts'
import { SideConnection, type Backlog, type NotedEvent } from './side-connection.ts'
import type { StoreFault } from './store/store-fault.ts'
import type { Done } from './store/tally.ts'
import { DatabaseFiles } from '../sdk/database-files.ts'
import { Wake } from '../sdk/wake.ts'
import type { Loss } from './salvage.ts'

/** What the store has done since it was last told. */
export type StoreEffort = Readonly<Done> & { readonly busyUs: number }

export type StoreHostEvents = {
  readonly onResults: (results: StoreResult[], effort: StoreEffort) => void
  /** Once a second at most, when anybody has written something: what waits now. */
  readonly onBacklog: (backlog: Backlog, effort: StoreEffort) => void
  /** The store has something to say to the operator. */
  readonly onNoted: (events: readonly NotedEvent[]) => void
  /** What keeps the store from writing; undefined when that is over. */
  readonly onFault: (fault: StoreFault | undefined) => void
  /** The database cannot be used any more: the daemon must end. */
  readonly onFailed: (error: unknown) => void
  /** The files are gone, or are other ones: the store does nothing more, and must be closed. */
  readonly onLost: (loss: Loss) => void
  /** Changes are noticed later than they should be. */
  readonly onDeaf: (reason: string) => void
}

/** Shorter pauses are slept through, longer ones are left to a timer. */
const timerUsMin = 1_000
/** The operator is told within this time. */
const tailEveryUs = 1_000_000
/** What cannot be written in this time (somebody holds the lock) is done by the next daemon. */
const closeUsMax = 3_000_000
/** For so long after a commit, events on the files are likely our own. */
const quietUs = 3_000
/** Without any commit for so long nobody is likely to wait for one soon. */
const restAfterMs = 10

export class StoreHost {
  readonly #store: Store
  readonly #events: StoreHostEvents
  readonly #files: DatabaseFiles
  readonly #wake: Wake
  readonly #side: SideConnection
  readonly #sleep = new Int32Array(new SharedArrayBuffer(4))
  #tasks: StoreTask[] = []
  #fault: StoreFault | undefined
  #turn: NodeJS.Immediate | undefined
  #pauseTimer: NodeJS.Timeout | undefined
  #restTimer: NodeJS.Timeout | undefined
  /** The next transaction may begin. */
  #readyUs = 0
  #wroteUs = Number.NEGATIVE_INFINITY
  #busyUs = 0
  #tailedUs = Number.NEGATIVE_INFINITY
  /**
   * `failed`: the store must not be asked any more. `lost`: so are the files, and it is closed.
   */
  #state: 'open' | 'failed' | 'lost' | 'closed' = 'open'

  constructor(store: Store, path: string, events: StoreHostEvents) {
    this.#store = store
    this.#events = events
    this.#files = new DatabaseFiles(path)
    this.#side = new SideConnection(this.#files)
    this.#wake = new Wake({
      files: this.#files,
      look: () => this.#look(),
      isQuiet: () => nowUs() - this.#wroteUs > quietUs && this.#tasks.length === 0,
      onReplaced: () => this.#onLost(),
      onDeaf: (reason) => events.onDeaf(reason),
    })
  }

  /** Begins to look for what is there and for what comes. */
  start(): void {
    this.#wake.start()
    this.submit([{ type: 'scan' }])
  }

  submit(tasks: readonly StoreTask[]): void {
    for (const task of tasks) this.#tasks.push(task)
    this.#schedule()
  }

  peers(): Peer[] {
    return this.#state === 'open' ? this.#store.peers() : []
  }

  /** Does what was asked, and closes the database. */
  close(): void {
    this.#tailedUs = Number.NEGATIVE_INFINITY
    const untilUs = nowUs() + closeUsMax
    do this.#run()
    while (this.#state === 'open' && this.#store.hasWork && nowUs() < untilUs)
    if (this.#state === 'closed') return
    const isLost = this.#state === 'lost'
    this.#leave('closed')
    // The last one that is closed moves the log into the file: never into one that is lost.
    this.#side.close()
    if (!isLost) this.#store.close()
  }

  /**
   * What was not committed yet has no place any more: the senders have it still. The side
   * connection stays open as long as the daemon has any other.
   */
  #onLost(): void {
    if (this.#state === 'closed' || this.#state === 'lost') return
    this.#leave('lost')
    this.#store.close()
    this.#events.onLost(this.#side.salvage())
  }

  #leave(state: 'closed' | 'lost'): void {
    this.#state = state
    this.#wake.stop()
    clearImmediate(this.#turn)
    clearTimeout(this.#pauseTimer)
    clearTimeout(this.#restTimer)
  }

  /** A run that has written is followed by a pause. */
  #onRan(startUs: number, hasWritten: boolean): void {
    const endUs = nowUs()
    this.#busyUs += endUs - startUs
    this.#readyUs = endUs + this.#store.pauseUs
    if (!hasWritten) return
    this.#wroteUs = endUs
    this.#restTimer ??= setTimeout(() => this.#rest(), restAfterMs)
  }

  #rest(): void {
    this.#restTimer = undefined
    if (this.#state !== 'open') return
    const leftUs = this.#wroteUs + restAfterMs * 1_000 - nowUs()
    if (leftUs > 0 || this.#tasks.length > 0) {
      this.#restTimer = setTimeout(() => this.#rest(), Math.max(1, Math.ceil(leftUs / 1_000)))
    } else if (!this.#wake.checkFiles()) this.#attempt(() => this.#store.rest())
  }

  #tellFault(): void {
    const { fault } = this.#store
    if (fault === this.#fault) return
    this.#fault = fault
    this.#events.onFault(fault)
  }

  #takeEffort(): StoreEffort {
    const effort = { ...this.#store.takeDone(), busyUs: Math.round(this.#busyUs) }
    this.#busyUs = 0
    return effort
  }

  #tellNoted(): void {
    this.#tailedUs = nowUs()
    const events = this.#side.newEvents()
    if (events.length > 0) this.#events.onNoted(events)
    const backlog = this.#side.newBacklog()
    if (backlog !== undefined) this.#events.onBacklog(backlog, this.#takeEffort())
  }

  /** In the next turn of the loop, when all that has come meanwhile is there. */
  #schedule(): void {
    if (this.#turn !== undefined || this.#pauseTimer !== undefined) return
    const pauseUs = this.#readyUs - nowUs()
    if (pauseUs >= timerUsMin) {
      this.#pauseTimer = setTimeout(
        () => {
          this.#pauseTimer = undefined
          this.#schedule()
        },
        Math.floor(pauseUs / 1_000),
      )
      return
    }
    this.#turn = setImmediate(() => {
      this.#turn = undefined
      const restUs = this.#readyUs - nowUs()
      if (restUs > 0) Atomics.wait(this.#sleep, 0, 0, restUs / 1_000)
      this.#run()
    })
  }

  /** @returns whether another program has written something that matters here. */
  #look(): boolean {
    if (this.#state !== 'open') return false
    if (this.#tasks.length > 0 || this.#readyUs > nowUs()) {
      this.submit([{ type: 'scan' }])
      return false
    }
    this.#tasks.push({ type: 'scan' })
    return this.#run()
  }

  #run(): boolean {
    if (this.#state !== 'open') return false
    let found = false
    this.#attempt(() => {
      const tasks = this.#tasks
      this.#tasks = []
      const startUs = nowUs()
      const commits = this.#store.commits
      const results = this.#store.run(tasks, Date.now())
      this.#tellFault()
      const hasWritten = this.#store.commits > commits
      // What went into files that are lost is on no disk: nothing may be confirmed.
      if (hasWritten && this.#files.changeInDirectory !== undefined) return this.#onLost()
      this.#onRan(startUs, hasWritten)
      if (results.length > 0) this.#events.onResults(results, this.#takeEffort())
      if (nowUs() - this.#tailedUs >= tailEveryUs) this.#tellNoted()
      if (this.#store.hasWork) this.#schedule()
      found = results.length > 0
    })
    return found
  }

  #attempt(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#state = 'failed'
      this.#wake.stop()
      this.#events.onFailed(error)
    }
  }
}

function nowUs(): number {
  return performance.now() * 1_000
}
