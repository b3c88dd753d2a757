/**
 * Runs the store, in whatever thread it lives: gathers what is asked while the last commit ran into
 * one transaction, looks for what others have written, and leaves the database alone for as long as
 * the store says. Must never know what a task means.
 */
import type { StoreResult } from '../../protocol/store-messages.ts'
import type { Peer, Store, StoreTask } from '../store.ts'
import { FileMonitor, type Backlog, type StoreEvent } from './file-monitor.ts'
import type { StoreFault } from '../error-classification.ts'
import type { Totals } from '../metrics.ts'
import { DatabaseFiles } from '../../../sdk/schema/database-files.ts'
import { CommitNotifier, type WatchDirectory } from '../../../sdk/schema/commit-notifier.ts'
import { type Cancel, type Scheduler, systemScheduler } from '../../../sdk/schema/scheduler.ts'
import type { Loss } from './salvage.ts'

/** What the store has done since it was last reported. */
export type StoreUsage = Readonly<Totals> & { readonly busyUs: number }

export type StoreHostEvents = {
  readonly onResults: (results: StoreResult[], effort: StoreUsage) => void
  /** Once a second at most, when anybody has written something: what waits now. */
  readonly onBacklog: (backlog: Backlog, effort: StoreUsage) => void
  /** The store has something to say to the operator. */
  readonly onNoted: (events: readonly StoreEvent[]) => void
  /** What keeps the store from writing; undefined when that is over. */
  readonly onFault: (fault: StoreFault | undefined) => void
  /** The database cannot be used any more: the daemon must end. */
  readonly onFailed: (error: unknown) => void
  /** The files are gone, or are other ones: the store does nothing more, and must be closed. */
  readonly onLost: (loss: Loss) => void
  /** Changes are noticed later than they should be. */
  readonly onWatchUnavailable: (reason: string) => void
}

/** What the runner knows of `Store`. */
type RunStore = Pick<
  Store,
  | 'run'
  | 'commits'
  | 'hasWork'
  | 'pauseUs'
  | 'fault'
  | 'drainTotals'
  | 'checkpointWhenIdle'
  | 'peers'
  | 'close'
>

/** The system's, where left out. */
type RunnerSurroundings = {
  readonly scheduler?: Scheduler
  readonly watchDirectory?: WatchDirectory
}

/** Shorter pauses are slept through, longer ones are left to a timer. */
const timerUsMin = 1_000
/** The operator is informed within this time. */
const tailEveryUs = 1_000_000
/** What cannot be written in this time (somebody holds the lock) is done by the next daemon. */
const closeUsMax = 3_000_000
/** For so long after a commit, events on the files are likely our own. */
const quietUs = 3_000
/** Without any commit for so long nobody is likely to wait for one soon. */
const restAfterMs = 10

export class StoreRunner {
  readonly #store: RunStore
  readonly #events: StoreHostEvents
  readonly #files: DatabaseFiles
  readonly #notifier: CommitNotifier
  readonly #side: FileMonitor
  readonly #scheduler: Scheduler
  #tasks: StoreTask[] = []
  #fault: StoreFault | undefined
  #cancelTurn: Cancel | undefined
  #cancelPause: Cancel | undefined
  #cancelCheckpoint: Cancel | undefined
  /** The next transaction may begin. */
  #readyUs = 0
  #wroteUs = Number.NEGATIVE_INFINITY
  #busyUs = 0
  #tailedUs = Number.NEGATIVE_INFINITY
  /**
   * `failed`: the store must not be asked any more. `lost`: so are the files, and it is closed.
   */
  #state: 'open' | 'failed' | 'lost' | 'closed' = 'open'

  constructor(
    store: RunStore,
    path: string,
    events: StoreHostEvents,
    { scheduler = systemScheduler, ...surroundings }: RunnerSurroundings = {},
  ) {
    this.#store = store
    this.#scheduler = scheduler
    this.#events = events
    this.#files = new DatabaseFiles(path)
    this.#side = new FileMonitor(this.#files, scheduler)
    this.#notifier = new CommitNotifier({
      files: this.#files,
      look: () => this.#look(),
      isQuiet: () => this.#scheduler.nowUs() - this.#wroteUs > quietUs && this.#tasks.length === 0,
      onReplaced: () => this.#onLost(),
      onWatchUnavailable: (reason) => events.onWatchUnavailable(reason),
      scheduler,
      ...surroundings,
    })
  }

  /** Begins to look for what is there and for what comes. */
  start(): void {
    this.#notifier.start()
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
    const untilUs = this.#scheduler.nowUs() + closeUsMax
    do this.#run()
    while (this.#state === 'open' && this.#store.hasWork && this.#scheduler.nowUs() < untilUs)
    if (this.#state === 'closed') return
    const isLost = this.#state === 'lost'
    this.#leave('closed')
    // The last one that is closed moves the log into the file: never into one that is lost.
    this.#side.close()
    if (!isLost) this.#store.close()
  }

  /**
   * What was not committed yet has no place any more: the senders have it still. The side
   * connection outlives every other one of the daemon.
   */
  #onLost(): void {
    if (this.#state === 'closed' || this.#state === 'lost') return
    this.#leave('lost')
    this.#store.close()
    this.#events.onLost(this.#side.salvage())
  }

  #leave(state: 'closed' | 'lost'): void {
    this.#state = state
    this.#notifier.stop()
    this.#cancelTurn?.()
    this.#cancelPause?.()
    this.#cancelCheckpoint?.()
  }

  /** A run that has written is followed by a pause. */
  #onRan(startUs: number, hasWritten: boolean): void {
    const endUs = this.#scheduler.nowUs()
    this.#busyUs += endUs - startUs
    this.#readyUs = endUs + this.#store.pauseUs
    if (!hasWritten) return
    this.#wroteUs = endUs
    this.#cancelCheckpoint ??= this.#scheduler.after(restAfterMs, () => this.#idle())
  }

  #idle(): void {
    this.#cancelCheckpoint = undefined
    if (this.#state !== 'open') return
    const leftUs = this.#wroteUs + restAfterMs * 1_000 - this.#scheduler.nowUs()
    if (leftUs > 0 || this.#tasks.length > 0) {
      const leftMs = Math.max(1, Math.ceil(leftUs / 1_000))
      this.#cancelCheckpoint = this.#scheduler.after(leftMs, () => this.#idle())
    } else if (!this.#notifier.checkFiles()) this.#attempt(() => this.#store.checkpointWhenIdle())
  }

  #tellFault(): void {
    const { fault } = this.#store
    if (fault === this.#fault) return
    this.#fault = fault
    this.#events.onFault(fault)
  }

  #takeUsage(): StoreUsage {
    const effort = { ...this.#store.drainTotals(), busyUs: Math.round(this.#busyUs) }
    this.#busyUs = 0
    return effort
  }

  #tellNoted(): void {
    this.#tailedUs = this.#scheduler.nowUs()
    const events = this.#side.newEvents()
    if (events.length > 0) this.#events.onNoted(events)
    const backlog = this.#side.newBacklog()
    if (backlog !== undefined) this.#events.onBacklog(backlog, this.#takeUsage())
  }

  /** In the next turn of the loop, when all that has come meanwhile is there. */
  #schedule(): void {
    if (this.#cancelTurn !== undefined || this.#cancelPause !== undefined) return
    const pauseUs = this.#readyUs - this.#scheduler.nowUs()
    if (pauseUs >= timerUsMin) {
      this.#cancelPause = this.#scheduler.after(Math.floor(pauseUs / 1_000), () => {
        this.#cancelPause = undefined
        this.#schedule()
      })
      return
    }
    this.#cancelTurn = this.#scheduler.nextTurn(() => {
      this.#cancelTurn = undefined
      const restUs = this.#readyUs - this.#scheduler.nowUs()
      if (restUs > 0) this.#scheduler.sleep(restUs / 1_000)
      this.#run()
    })
  }

  /** @returns whether another program has written something that matters here. */
  #look(): boolean {
    if (this.#state !== 'open') return false
    if (this.#tasks.length > 0 || this.#readyUs > this.#scheduler.nowUs()) {
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
      const startUs = this.#scheduler.nowUs()
      const commits = this.#store.commits
      const results = this.#store.run(tasks, this.#scheduler.wallMs())
      this.#tellFault()
      const hasWritten = this.#store.commits > commits
      // What went into files that are lost is on no disk: nothing may be confirmed.
      if (hasWritten && this.#files.changeInDirectory !== undefined) return this.#onLost()
      this.#onRan(startUs, hasWritten)
      if (results.length > 0) this.#events.onResults(results, this.#takeUsage())
      if (this.#scheduler.nowUs() - this.#tailedUs >= tailEveryUs) this.#tellNoted()
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
      this.#notifier.stop()
      this.#events.onFailed(error)
    }
  }
}
