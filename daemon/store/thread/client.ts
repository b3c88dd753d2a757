/**
 * The store in a thread of its own, behind an asynchronous port: work in, committed out. An fsync
 * stalls no packet there. Must never hold more than what was asked in one turn of the loop.
 */
import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { TinymqError } from '../../../sdk/schema/errors.ts'
import type { StoreResult } from '../../protocol/store-messages.ts'
import type { KeyPolicyChoice } from '../key-policy.ts'
import type { Peer, StoreTask } from '../store.ts'
import type { StoreUsage, StoreHostEvents } from './runner.ts'
import type { StoreThreadData, ThreadMessage, ThreadRequest } from './worker.ts'
import { withTransferList } from './transfer.ts'

/** Who gets what the store reports. */
export type StoreListener = {
  readonly onResults: (results: readonly StoreResult[], effort: StoreUsage) => void
  /** The answer to `askPeers`. */
  readonly onPeers: (peers: readonly Peer[]) => void
}

export interface StorePort {
  /** Before this is called, nothing happens. Called once. */
  listen(listener: StoreListener): void
  /** Asks for work; it goes over with the next `flush`. */
  submit(task: StoreTask): void
  /** At the end of a turn of the loop: everything of the turn goes over in one message. */
  flush(): void
  /** Who may have something for this node. */
  askPeers(): void
  /** Resolves when everything that was submitted is on disk, and the database is closed. */
  close(): Promise<void>
}

export type StorePortEvents = Omit<StoreHostEvents, 'onResults'>

/**
 * Rows live for a moment. More room for the young costs memory that is never given back (P9), less
 * makes the collector run more often: at 16 a drain is as fast as at the 48 of the runtime.
 */
const youngMebibytes = 16

/** @throws TinymqError when the database cannot be opened. */
export async function openStoreThread(
  path: string,
  events: StorePortEvents,
  keyPolicy: KeyPolicyChoice = { type: 'keyless' },
): Promise<StorePort> {
  const workerData: StoreThreadData = { path, keyPolicy }
  const resourceLimits = { maxYoungGenerationSizeMb: youngMebibytes }
  const worker = new Worker(workerUrl(), { workerData, name: 'tinymq store', resourceLimits })
  const [first] = (await once(worker, 'message')) as [ThreadMessage]
  if (first.type === 'failed') throw errorOf(path, first)
  return new StoreThread(worker, path, events)
}

/**
 * The compiler rewrites the endings of imports, not of paths: the worker ends like this file, .ts
 * or .js.
 */
function workerUrl(): URL {
  return new URL(`./worker${extname(import.meta.filename)}`, import.meta.url)
}

class StoreThread implements StorePort {
  readonly #worker: Worker
  readonly #path: string
  readonly #events: StorePortEvents
  #listener: StoreListener | undefined
  #tasks: StoreTask[] = []
  #isClosing = false
  readonly #exited = Promise.withResolvers<void>()

  constructor(worker: Worker, path: string, events: StorePortEvents) {
    this.#worker = worker
    this.#path = path
    this.#events = events
    worker.on('message', (message: ThreadMessage) => this.#onMessage(message))
    worker.on('error', (error) => events.onFailed(error))
    worker.on('exit', (code) => {
      this.#exited.resolve()
      if (this.#isClosing) return
      events.onFailed(new Error(`The store's thread ended with code ${code}.`))
    })
  }

  listen(listener: StoreListener): void {
    this.#listener = listener
    this.#post({ type: 'start' })
  }

  submit(task: StoreTask): void {
    this.#tasks.push(task)
  }

  askPeers(): void {
    this.#post({ type: 'peers' })
  }

  async close(): Promise<void> {
    this.flush()
    this.#isClosing = true
    this.#post({ type: 'close' })
    return this.#exited.promise
  }

  flush(): void {
    const tasks = this.#tasks
    if (tasks.length === 0) return
    this.#tasks = []
    const { items, buffers } = withTransferList(tasks)
    this.#post({ type: 'tasks', tasks: items }, buffers)
  }

  #post(request: ThreadRequest, buffers: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, buffers)
  }

  #onMessage(message: ThreadMessage): void {
    switch (message.type) {
      case 'results':
        return this.#listener?.onResults(message.results, message.effort)
      case 'peers':
        return this.#listener?.onPeers(message.peers)
      case 'store-event':
        return this.#events.onNoted(message.events)
      case 'fault':
        return this.#events.onFault(message.fault)
      case 'backlog':
        return this.#events.onBacklog(message.backlog, message.effort)
      case 'failed':
        return this.#events.onFailed(errorOf(this.#path, message))
      case 'lost':
        return this.#events.onLost(message.loss)
      case 'deaf':
        return this.#events.onWatchUnavailable(message.reason)
      case 'ready':
        return undefined
    }
  }
}

/** Which file it is about is reported, whoever has noticed it. */
function errorOf(path: string, failed: ThreadMessage & { readonly type: 'failed' }): TinymqError {
  const { code, sentence } = failed
  return new TinymqError(code, sentence.includes(path) ? sentence : `${path}: ${sentence}`)
}
