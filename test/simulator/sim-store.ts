/**
 * The thread of the store of one process in virtual time: the daemon's own `StoreRunner` over the
 * real store, where a commit takes time, and is durable only then. Must never hand out an answer
 * before its sync is over.
 *
 * It differs from a thread of a daemon in this: a lock that others hold is waited for in several
 * turns, not in one, and the store itself holds it for no virtual time.
 */
import { basename } from 'node:path'
import type { StoreResult } from '../../daemon/protocol/store-messages.ts'
import type { StoreTask } from '../../daemon/store/store.ts'
import type { StoreListener, StorePort } from '../../daemon/store/thread/client.ts'
import { StoreRunner } from '../../daemon/store/thread/runner.ts'
import type { VirtualTime } from './core/virtual-time.ts'
import type { Disk } from './disk.ts'
import type { Sync } from './sync-ledger.ts'
import type { VirtualThread } from './core/virtual-thread.ts'

type SimStoreParts = {
  readonly time: VirtualTime
  readonly disk: Disk
  /** The store's own, and the one of the event loop. */
  readonly thread: VirtualThread
  readonly network: VirtualThread
  /** How long the next commit takes, in virtual microseconds. */
  readonly commitUs: () => number
  /** May the machine die here? It has died when this returns true. */
  readonly onTask: () => boolean
  /** Just run, not synced yet: the machine may die here. */
  readonly onRan: (tasks: readonly StoreTask[]) => void
  /** The sync that SQLite has asked for is over. */
  readonly onSynced: (sync: Sync, results: readonly StoreResult[]) => void
  /** Durable now; the core is about to hear of it. */
  readonly onDurable: (results: readonly StoreResult[]) => void
  readonly onFailed: (error: unknown) => void
}

/** From thread to thread. */
const messageUs = 30
/** A turn of the store, besides its commit. */
const runUs = 60
/** A turn that finds the database locked takes so long: SQLite waits for the lock. */
const lockUs = 10_000
/** From a commit to the event on its file. */
const eventUs = 50

export class SimStore implements StorePort {
  readonly #parts: SimStoreParts
  readonly #runner: StoreRunner
  #listener: StoreListener | undefined
  readonly #tasks: StoreTask[] = []
  /** What is on its way to the store's thread. */
  readonly #requests: (() => void)[] = []
  #onFileEvent: () => void = () => {}
  #isClosing = false
  #isOver = false

  /** The store of `disk` is open. */
  constructor(parts: SimStoreParts) {
    const { disk, thread, onFailed } = parts
    this.#parts = parts
    const log = `${basename(disk.path)}-wal`
    this.#runner = new StoreRunner(
      this.#store(),
      disk.path,
      {
        onResults: (results, effort) =>
          this.#toNetwork(() => {
            parts.onDurable(results)
            this.#listener?.onResults(results, effort)
          }),
        onBacklog: () => {},
        onNoted: () => {},
        onFault: () => {},
        onFailed: (error) => {
          if (!this.#isOver) onFailed(error)
        },
        onLost: () => onFailed(new Error('Nobody takes the files away while the daemon runs.')),
        // The poll has found three times in a row what no event had announced: that happens here.
        onWatchUnavailable: () => {},
      },
      {
        scheduler: thread,
        watchDirectory: (_path, onChange) => {
          this.#onFileEvent = () => onChange('change', log)
          return { close: () => (this.#onFileEvent = () => {}) }
        },
      },
    )
  }

  listen(listener: StoreListener): void {
    this.#listener = listener
    this.#request(() => this.#runner.start())
  }

  submit(task: StoreTask): void {
    if (this.#isOver || this.#parts.onTask()) return
    this.#tasks.push(task)
  }

  flush(): void {
    const tasks = this.#tasks.splice(0)
    if (tasks.length > 0) this.#request(() => this.#runner.submit(tasks))
  }

  askPeers(): void {
    this.#request(() => {
      const peers = this.#runner.peers()
      this.#toNetwork(() => this.#listener?.onPeers(peers))
    })
  }

  /** At once: time goes on when all is over. The process may die on the way. */
  async close(): Promise<void> {
    this.flush()
    this.#isClosing = true
    for (const request of this.#requests.splice(0)) request()
    this.#runner.close()
    return Promise.resolve()
  }

  /** The process is gone. */
  kill(): void {
    this.#isOver = true
    this.#requests.length = 0
    // What it has open besides the store.
    this.#runner.close()
  }

  /** A file of the database was written. */
  onFileEvent(): void {
    this.#parts.thread.post(eventUs, () => this.#onFileEvent())
  }

  #request(run: () => void): void {
    if (this.#isOver) return
    this.#requests.push(run)
    this.#parts.thread.post(messageUs, () => this.#requests.shift()?.())
  }

  #toNetwork(run: () => void): void {
    if (this.#isOver) return
    const { thread, network, time } = this.#parts
    if (this.#isClosing) run()
    else network.post(thread.freeUs - time.nowUs + messageUs, run)
  }

  #run(tasks: readonly StoreTask[], nowMs: number): StoreResult[] {
    const { disk, thread, time, onRan, onSynced, commitUs } = this.#parts
    const results = disk.runStore(tasks, nowMs)
    const sync = disk.onStoreRan()
    onRan(tasks)
    if (this.#isOver) return []
    thread.block(runUs)
    if (sync.hasWritten) thread.block(commitUs())
    else if (disk.store.hasWork && disk.isLocked) thread.block(lockUs)
    const end = (): void => {
      if (this.#isOver) return
      disk.onSynced(sync)
      onSynced(sync, results)
      if (sync.hasWritten) this.onFileEvent()
    }
    if (this.#isClosing) end()
    else time.at(thread.freeUs, end)
    return results
  }

  /** What the runner drives; nothing any more when the process is gone. */
  #store(): ConstructorParameters<typeof StoreRunner>[0] {
    const { disk } = this.#parts
    const isOver = (): boolean => this.#isOver
    return {
      run: (tasks, nowMs) => (isOver() ? [] : this.#run(tasks, nowMs)),
      peers: () => disk.store.peers(),
      drainTotals: () => disk.store.drainTotals(),
      checkpointWhenIdle: () => {
        disk.store.checkpointWhenIdle()
        disk.onSynced(disk.onStoreRan())
      },
      // The disk closes it when the process ends.
      close: () => {},
      get commits() {
        return isOver() ? 0 : disk.store.commits
      },
      get hasWork() {
        return !isOver() && disk.store.hasWork
      },
      get pauseUs() {
        return isOver() ? 0 : disk.store.pauseUs
      },
      get fault() {
        return isOver() ? undefined : disk.store.fault
      },
    }
  }
}
