/**
 * Notices that somebody has written to the database. A watch on its directory says when to look,
 * some looks follow because the event comes before the commit can be seen, and a slow poll catches
 * what no event announced. The daemon uses it in the thread of its store, the SDK in the thread of
 * the application. Must never open the database or its companions: closing them would drop SQLite's
 * locks.
 */
import { watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { DatabaseFiles } from './database-files.ts'
import { type Cancel, type Scheduler, systemScheduler } from './scheduler.ts'

export type CommitNotifierOptions = {
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
  readonly onWatchUnavailable: (reason: string) => void
  /** The system's, if left out. */
  readonly scheduler?: Scheduler
  /** The system's, if left out. */
  readonly watchDirectory?: WatchDirectory
}

/** Reports each file of a directory that is written, made, renamed or removed, by its name. */
export type WatchDirectory = (
  path: string,
  onChange: (type: string, name: string | null) => void,
  onError: (error: Error) => void,
) => { readonly close: () => void }

const systemWatch: WatchDirectory = (path, onChange, onError) =>
  watch(path, onChange).on('error', onError)

/**
 * Right after an event: looks this far apart, without giving up the thread for longer than one of
 * them. A commit that waits for its fsync is seen a tenth of a millisecond after it, where timers
 * could only see it a millisecond after.
 */
const spinChecks = 12
const spinCheckMs = 0.1
/** After that, or instead, since the event: slow disks. */
const laterLooksMs = [1, 2, 5, 10, 20, 50]

const pollMs = 250
const pollIdleMs = 1_000
/** Without a watch: what a quarter of a percent of a core buys. */
const unwatchedPollMs = 25
const unwatchedPollIdleMs = 100
/**
 * Polls that found what no event had announced, in a row: then the watch counts as deaf (shared
 * folders of a VM).
 */
const surprisesMax = 3
const statEveryMs = 1_000

export class CommitNotifier {
  readonly #options: CommitNotifierOptions
  readonly #scheduler: Scheduler
  #watcher: { readonly close: () => void } | undefined
  #cancelLater: Cancel | undefined
  /** When the timer will look. */
  #laterMs = Number.POSITIVE_INFINITY
  #cancelSpinCheck: Cancel | undefined
  #cancelPoll: Cancel | undefined
  #eventMs = Number.NEGATIVE_INFINITY
  #statMs = 0
  #spinChecksLeft = 0
  #pollDelayMs = pollMs
  #entropyBits = 0
  /** A look may find that the database is closed, and stop this: then nothing must be armed. */
  #isStopped = false

  constructor(options: CommitNotifierOptions) {
    this.#options = options
    this.#scheduler = options.scheduler ?? systemScheduler
  }

  start(): void {
    try {
      const { realPath } = this.#options.files
      const name = basename(realPath)
      const names: readonly (string | null)[] = [name, `${name}-wal`, `${name}-shm`]
      const { watchDirectory = systemWatch } = this.#options
      this.#watcher = watchDirectory(
        dirname(realPath),
        (type, changed) => {
          if (type === 'rename' && names.includes(changed) && this.checkFiles()) return
          if (changed === null || changed === name || changed === `${name}-wal`) this.#onEvent()
        },
        (error) => this.#becomeUnwatched(error.message),
      )
    } catch (error) {
      this.#becomeUnwatched((error as Error).message)
    }
    this.#armPoll(false)
  }

  stop(): void {
    this.#isStopped = true
    this.#watcher?.close()
    this.#cancelLater?.()
    this.#cancelPoll?.()
    this.#cancelSpinCheck?.()
  }

  get #nowMs(): number {
    return this.#scheduler.nowUs() / 1_000
  }

  #onEvent(): void {
    this.#eventMs = this.#nowMs
    // Our own commits make events too: under load the later looks are quick enough, and cheap.
    if (this.#spinChecksLeft === 0 && this.#options.isQuiet() && !this.#options.look()) {
      this.#spinChecksLeft = this.#isStopped ? 0 : spinChecks
      if (!this.#isStopped) this.#nextSpinCheck()
    }
    this.#armLater()
  }

  #spinCheck(): void {
    this.#spinChecksLeft--
    this.#scheduler.sleep(spinCheckMs)
    if (this.#options.look() || !this.#options.isQuiet() || this.#isStopped)
      this.#spinChecksLeft = 0
    if (this.#spinChecksLeft > 0) this.#nextSpinCheck()
  }

  #nextSpinCheck(): void {
    this.#cancelSpinCheck = this.#scheduler.nextTurn(() => this.#spinCheck())
  }

  /** One event after the other must not put the look off for ever: the earlier one stands. */
  #armLater(): void {
    if (this.#isStopped) return
    const nowMs = this.#nowMs
    const next = laterLooksMs.find((ms) => this.#eventMs + ms > nowMs)
    if (next === undefined || this.#laterMs <= this.#eventMs + next) return
    this.#cancelLater?.()
    this.#laterMs = this.#eventMs + next
    this.#cancelLater = this.#scheduler.after(Math.ceil(next + this.#eventMs - nowMs), () => {
      this.#laterMs = Number.POSITIVE_INFINITY
      this.#options.look()
      this.#armLater()
    })
  }

  #armPoll(isActive: boolean): void {
    if (this.#isStopped) return
    const idleMs = this.#watcher === undefined ? unwatchedPollIdleMs : pollIdleMs
    const activeMs = this.#watcher === undefined ? unwatchedPollMs : pollMs
    this.#pollDelayMs = isActive ? activeMs : Math.min(idleMs, this.#pollDelayMs * 2)
    this.#cancelPoll = this.#scheduler.after(this.#pollDelayMs, () => this.#poll())
  }

  #poll(): void {
    const found = this.#options.look()
    const nowMs = this.#nowMs
    const hadEvent = nowMs - this.#eventMs < pollIdleMs
    if (found) this.#onFoundByPoll(hadEvent)
    if (nowMs - this.#statMs >= statEveryMs && this.checkFiles()) return
    this.#armPoll(found || hadEvent)
  }

  #onFoundByPoll(hadEvent: boolean): void {
    this.#entropyBits = hadEvent ? 0 : this.#entropyBits + 1
    if (this.#entropyBits === surprisesMax) this.#becomeUnwatched('changes come without events')
  }

  /**
   * Looks now whether the files are still the ones that were opened.
   * @returns whether `onReplaced` was called.
   */
  checkFiles(): boolean {
    this.#statMs = this.#nowMs
    if (this.#options.files.change === undefined) return false
    this.stop()
    this.#options.onReplaced()
    return true
  }

  #becomeUnwatched(reason: string): void {
    this.#watcher?.close()
    this.#watcher = undefined
    this.#pollDelayMs = unwatchedPollMs
    this.#options.onWatchUnavailable(reason)
  }
}
