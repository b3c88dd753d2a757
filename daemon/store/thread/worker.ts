/**
 * The entry of the store's thread: opens the store, says so, and hands messages to and fro. Must
 * never be imported but for its types.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { explained } from '../../../sdk/schema/open-database.ts'
import { fromSqlite, TinymqError, type TinymqErrorCode } from '../../../sdk/schema/errors.ts'
import { unreachable } from '../../protocol/assert.ts'
import type { StoreResult } from '../../protocol/store-messages.ts'
import type { KeyPolicyChoice } from '../key-policy.ts'
import { openStore, type Peer, type Store, type StoreTask } from '../store.ts'
import type { StoreFault } from '../error-classification.ts'
import { trimMemoryAfterStart } from './startup-memory.ts'
import type { Loss } from './salvage.ts'
import type { Backlog, StoreEvent } from './file-monitor.ts'
import { StoreRunner, type StoreUsage } from './runner.ts'
import { withTransferList } from './transfer.ts'

export type StoreThreadData = { readonly path: string; readonly keyPolicy: KeyPolicyChoice }

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
      readonly effort: StoreUsage
    }
  | { readonly type: 'peers'; readonly peers: readonly Peer[] }
  | { readonly type: 'store-event'; readonly events: readonly StoreEvent[] }
  | { readonly type: 'backlog'; readonly backlog: Backlog; readonly effort: StoreUsage }
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

function open(path: string, keyPolicy: KeyPolicyChoice): Store {
  try {
    return openStore(path, { keyPolicy })
  } catch (error) {
    throw explained(path, error)
  }
}

function serve({ path, keyPolicy }: StoreThreadData): void {
  const host = new StoreRunner(open(path, keyPolicy), path, {
    onResults: (results, effort) => {
      const { items, buffers } = withTransferList(results)
      post({ type: 'results', results: items, effort }, buffers)
    },
    onBacklog: (backlog, effort) => post({ type: 'backlog', backlog, effort }),
    onFault: (fault) => post({ type: 'fault', fault }),
    onNoted: (events) => post({ type: 'store-event', events }),
    onFailed: fail,
    onLost: (loss) => post({ type: 'lost', loss }),
    onWatchUnavailable: (reason) => post({ type: 'deaf', reason }),
  })
  port?.on('message', (request: ThreadRequest) => attempt(() => perform(request, host)))
  post({ type: 'ready' })
  trimMemoryAfterStart()
}

function perform(request: ThreadRequest, host: StoreRunner): void {
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
