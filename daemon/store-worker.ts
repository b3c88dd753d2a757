/**
 * The entry of the store's thread: opens the store, says so, and hands messages to and fro. Must
 * never be imported but for its types.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { explained } from '../sdk/database.ts'
import { fromSqlite, TinymqError, type TinymqErrorCode } from '../sdk/errors.ts'
import { unreachable } from './protocol/assert.ts'
import type { StoreResult } from './protocol/store-port.ts'
import type { KeyingChoice } from './store/keying.ts'
import { openStore, type Peer, type Store, type StoreTask } from './store/store.ts'
import type { StoreFault } from './store/store-fault.ts'
import { trimMemoryAfterStart } from './memory.ts'
import type { Loss } from './salvage.ts'
import type { Backlog, NotedEvent } from './side-connection.ts'
import { StoreHost, type StoreEffort } from './store-host.ts'
import { movable } from './transfer.ts'

export type StoreThreadData = { readonly path: string; readonly keying: KeyingChoice }

export type ThreadRequest =
  | { readonly type: 'start' }
  | { readonly type: 'tasks'; readonly tasks: readonly StoreTask[] }
  | { readonly type: 'peers' }
  | { readonly type: 'close' }

export type ThreadMessage =
  | { readonly type: 'ready' }
  | {
      readonly type: 'results'
      readonly results: readonly StoreResult[]
      readonly effort: StoreEffort
    }
  | { readonly type: 'peers'; readonly peers: readonly Peer[] }
  | { readonly type: 'noted'; readonly events: readonly NotedEvent[] }
  | { readonly type: 'backlog'; readonly backlog: Backlog; readonly effort: StoreEffort }
  | { readonly type: 'fault'; readonly fault: StoreFault | undefined }
  /** Errors lose their class on the way: these two are what a `TinymqError` is made of. */
  | { readonly type: 'failed'; readonly code: TinymqErrorCode; readonly sentence: string }
  | { readonly type: 'lost'; readonly loss: Loss }
  | { readonly type: 'deaf'; readonly reason: string }

const port = parentPort

function post(message: ThreadMessage, buffers: readonly ArrayBuffer[] = []): void {
  port?.postMessage(message, buffers)
}

function attempt(work: () => void): void {
  try {
    work()
  } catch (error) {
    fail(error)
  }
}

/** What is not the world's doing is our bug, and ends the thread. */
function fail(error: unknown): void {
  const translated = fromSqlite(error)
  if (!(translated instanceof TinymqError)) throw error
  post({ type: 'failed', code: translated.code, sentence: translated.message })
}

function open(path: string, keying: KeyingChoice): Store {
  try {
    return openStore(path, { keying })
  } catch (error) {
    throw explained(path, error)
  }
}

function serve({ path, keying }: StoreThreadData): void {
  const host = new StoreHost(open(path, keying), path, {
    onResults: (results, effort) => {
      const { items, buffers } = movable(results)
      post({ type: 'results', results: items, effort }, buffers)
    },
    onBacklog: (backlog, effort) => post({ type: 'backlog', backlog, effort }),
    onFault: (fault) => post({ type: 'fault', fault }),
    onNoted: (events) => post({ type: 'noted', events }),
    onFailed: fail,
    onLost: (loss) => post({ type: 'lost', loss }),
    onDeaf: (reason) => post({ type: 'deaf', reason }),
  })
  port?.on('message', (request: ThreadRequest) => attempt(() => perform(request, host)))
  post({ type: 'ready' })
  trimMemoryAfterStart()
}

function perform(request: ThreadRequest, host: StoreHost): void {
  switch (request.type) {
    case 'start':
      return host.start()
    case 'tasks':
      return host.submit(request.tasks)
    case 'peers':
      return post({ type: 'peers', peers: host.peers() })
    case 'close':
      host.close()
      return port?.close()
    default:
      return unreachable(request)
  }
}

attempt(() => serve(workerData as StoreThreadData))
