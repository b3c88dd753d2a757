/**
 * Runs the store, in whatever thread it lives: gathers what is asked while the last commit ran into
 * one transaction, looks for what others have written, and leaves the database alone for as long as
 * the store says. Must never know what a task means.
 */
import type { StoreResult } from './protocol/store-port.ts'
import type { Peer, Store, StoreTask } from './store/store.ts'
import { EventTail, type NotedEvent } from './event-tail.ts'
import { Wake } from './wake.ts'

export type StoreHostEvents = {
  readonly onResults: (results: StoreResult[]) => void
  /** The store has something to say to the operator. */
  readonly onNoted: (events: readonly NotedEvent[]) => void
  /** The database cannot be used any more: the daemon must end. */
  readonly onFailed: (error: unknown) => void
  /** Another file is at the path now, or none: the daemon must begin anew. */
  readonly onReplaced: () => void
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

export class StoreHost {
  readonly #store: Store
  readonly #events: StoreHostEvents
  readonly #wake: Wake
  readonly #tail: EventTail
  readonly #sleep = new Int32Array(new SharedArrayBuffer(4))
  #tasks: StoreTask[] = []
  #turn: NodeJS.Immediate | undefined
  #pauseTimer: NodeJS.Timeout | undefined
  /** The next transaction may begin. */
  #readyUs = 0
  #wroteUs = Number.NEGATIVE_INFINITY
  #tailedUs = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(store: Store, path: string, events: StoreHostEvents) {
    this.#store = store
    this.#events = events
    this.#tail = new EventTail(path)
    this.#wake = new Wake({
      databasePath: path,
      look: () => this.#look(),
      isQuiet: () => nowUs() - this.#wroteUs > quietUs && this.#tasks.length === 0,
      onReplaced: () => events.onReplaced(),
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
    return this.#store.peers()
  }

  /** Does what was asked, and closes the database. */
  close(): void {
    this.#wake.stop()
    clearImmediate(this.#turn)
    clearTimeout(this.#pauseTimer)
    this.#tailedUs = Number.NEGATIVE_INFINITY
    const untilUs = nowUs() + closeUsMax
    do this.#run()
    while (!this.#isClosed && this.#store.hasWork && nowUs() < untilUs)
    this.#isClosed = true
    this.#tail.close()
    this.#store.close()
  }

  /** A run that has written is followed by a pause. */
  #onRan(pauseUs: number): void {
    this.#readyUs = nowUs() + pauseUs
    if (pauseUs > 0) this.#wroteUs = nowUs()
  }

  #tellNoted(): void {
    this.#tailedUs = nowUs()
    const events = this.#tail.next()
    if (events.length > 0) this.#events.onNoted(events)
  }

  /** In the next turn of the loop, when all that has come meanwhile is there. */
  #schedule(): void {
    if (this.#turn !== undefined || this.#pauseTimer !== undefined || this.#isClosed) return
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
    if (this.#isClosed) return false
    if (this.#tasks.length > 0 || this.#readyUs > nowUs()) {
      this.submit([{ type: 'scan' }])
      return false
    }
    this.#tasks.push({ type: 'scan' })
    return this.#run()
  }

  #run(): boolean {
    if (this.#isClosed) return false
    const tasks = this.#tasks
    this.#tasks = []
    try {
      const results = this.#store.run(tasks, Date.now())
      this.#onRan(this.#store.pauseUs)
      if (results.length > 0) this.#events.onResults(results)
      if (nowUs() - this.#tailedUs >= tailEveryUs) this.#tellNoted()
      if (this.#store.hasWork) this.#schedule()
      return results.length > 0
    } catch (error) {
      this.#isClosed = true
      this.#wake.stop()
      this.#events.onFailed(error)
      return false
    }
  }
}

function nowUs(): number {
  return performance.now() * 1_000
}
