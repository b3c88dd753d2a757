/**
 * Notices that somebody has written to the database. A watch on its directory says when to look,
 * some looks follow because the event comes before the commit can be seen, and a slow poll catches
 * what no event announced. The daemon uses it in the thread of its store, the SDK in the thread of
 * the application. Must never open the database or its companions: closing them would drop SQLite's
 * locks.
 */
import { watch, type FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { DatabaseFiles } from './database-files.ts'

export type WakeOptions = {
  readonly files: DatabaseFiles
  /** Looks for commits of others; says whether there was one. */
  readonly look: () => boolean
  /**
   * The thread may be held up for a millisecond to see a commit a millisecond sooner: it has
   * nothing else to do, and an event is likely somebody else's, as we have not written for a while.
   */
  readonly isQuiet: () => boolean
  /** One of the files was removed, or is another one now. Called once. */
  readonly onReplaced: () => void
  /** The watch does not work here; the poll is faster instead. Called once. */
  readonly onDeaf: (reason: string) => void
}

/**
 * Right after an event: looks this far apart, without giving up the thread for longer than one of
 * them. A commit that waits for its fsync is seen a tenth of a millisecond after it, where timers
 * could only see it a millisecond after.
 */
const glances = 12
const glanceMs = 0.1
/** After that, or instead, since the event: slow disks. */
const laterLooksMs = [1, 2, 5, 10, 20, 50]

const pollMs = 250
const pollIdleMs = 1_000
/** Without a watch: what a quarter of a percent of a core buys. */
const deafPollMs = 25
const deafPollIdleMs = 100
/**
 * Polls that found what no event had announced, in a row: then the watch counts as deaf (shared
 * folders of a VM).
 */
const surprisesMax = 3
const statEveryMs = 1_000

export class Wake {
  readonly #options: WakeOptions
  readonly #pause = new Int32Array(new SharedArrayBuffer(4))
  #watcher: FSWatcher | undefined
  #laterTimer: NodeJS.Timeout | undefined
  /** When the timer will look. */
  #laterMs = Number.POSITIVE_INFINITY
  #glanceTimer: NodeJS.Immediate | undefined
  #pollTimer: NodeJS.Timeout | undefined
  #eventMs = Number.NEGATIVE_INFINITY
  #statMs = 0
  #glancesLeft = 0
  #pollDelayMs = pollMs
  #surprises = 0
  /** A look may find that the database is closed, and stop this: then nothing must be armed. */
  #isStopped = false

  constructor(options: WakeOptions) {
    this.#options = options
  }

  start(): void {
    try {
      const { realPath } = this.#options.files
      const name = basename(realPath)
      const names: readonly (string | null)[] = [name, `${name}-wal`, `${name}-shm`]
      this.#watcher = watch(dirname(realPath), (type, changed) => {
        if (type === 'rename' && names.includes(changed) && this.checkFiles()) return
        if (changed === null || changed === name || changed === `${name}-wal`) this.#onEvent()
      })
      this.#watcher.on('error', (error) => this.#becomeDeaf(error.message))
    } catch (error) {
      this.#becomeDeaf((error as Error).message)
    }
    this.#armPoll(false)
  }

  stop(): void {
    this.#isStopped = true
    this.#watcher?.close()
    clearTimeout(this.#laterTimer)
    clearTimeout(this.#pollTimer)
    clearImmediate(this.#glanceTimer)
  }

  #onEvent(): void {
    this.#eventMs = performance.now()
    // Our own commits make events too: under load the later looks are quick enough, and cheap.
    if (this.#glancesLeft === 0 && this.#options.isQuiet() && !this.#options.look()) {
      this.#glancesLeft = this.#isStopped ? 0 : glances
      if (!this.#isStopped) this.#glanceTimer = setImmediate(() => this.#glance())
    }
    this.#armLater()
  }

  #glance(): void {
    this.#glancesLeft--
    Atomics.wait(this.#pause, 0, 0, glanceMs)
    if (this.#options.look() || !this.#options.isQuiet() || this.#isStopped) this.#glancesLeft = 0
    if (this.#glancesLeft > 0) this.#glanceTimer = setImmediate(() => this.#glance())
  }

  /** One event after the other must not put the look off for ever: the earlier one stands. */
  #armLater(): void {
    if (this.#isStopped) return
    const nowMs = performance.now()
    const next = laterLooksMs.find((ms) => this.#eventMs + ms > nowMs)
    if (next === undefined || this.#laterMs <= this.#eventMs + next) return
    clearTimeout(this.#laterTimer)
    this.#laterMs = this.#eventMs + next
    this.#laterTimer = setTimeout(
      () => {
        this.#laterMs = Number.POSITIVE_INFINITY
        this.#options.look()
        this.#armLater()
      },
      Math.ceil(next + this.#eventMs - nowMs),
    )
  }

  #armPoll(isActive: boolean): void {
    if (this.#isStopped) return
    const idleMs = this.#watcher === undefined ? deafPollIdleMs : pollIdleMs
    const activeMs = this.#watcher === undefined ? deafPollMs : pollMs
    this.#pollDelayMs = isActive ? activeMs : Math.min(idleMs, this.#pollDelayMs * 2)
    this.#pollTimer = setTimeout(() => this.#poll(), this.#pollDelayMs)
  }

  #poll(): void {
    const found = this.#options.look()
    const nowMs = performance.now()
    const hadEvent = nowMs - this.#eventMs < pollIdleMs
    if (found) this.#onFoundByPoll(hadEvent)
    if (nowMs - this.#statMs >= statEveryMs && this.checkFiles()) return
    this.#armPoll(found || hadEvent)
  }

  #onFoundByPoll(hadEvent: boolean): void {
    this.#surprises = hadEvent ? 0 : this.#surprises + 1
    if (this.#surprises === surprisesMax) this.#becomeDeaf('changes come without events')
  }

  /**
   * Looks now whether the files are still the ones that were opened.
   * @returns whether `onReplaced` was called.
   */
  checkFiles(): boolean {
    this.#statMs = performance.now()
    if (this.#options.files.change === undefined) return false
    this.stop()
    this.#options.onReplaced()
    return true
  }

  #becomeDeaf(reason: string): void {
    this.#watcher?.close()
    this.#watcher = undefined
    this.#pollDelayMs = deafPollMs
    this.#options.onDeaf(reason)
  }
}
