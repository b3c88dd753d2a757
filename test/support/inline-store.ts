/**
 * The store behind the same port without a thread, for small tests: an fsync stalls everything
 * here.
 */
import { openStore, type StoreTask } from '../../daemon/store/store.ts'
import { StoreRunner } from '../../daemon/store/thread/runner.ts'
import type { StoreListener, StorePort, StorePortEvents } from '../../daemon/store/thread/client.ts'

/** @throws TinymqError when the database cannot be opened. */
export function openStoreInline(path: string, events: StorePortEvents): StorePort {
  let listener: StoreListener | undefined
  const store = openStore(path)
  const host = new StoreRunner(store, path, {
    ...events,
    onResults: (results, effort) => listener?.onResults(results, effort),
  })
  let tasks: StoreTask[] = []
  const flush = (): void => {
    host.submit(tasks)
    tasks = []
  }
  return {
    listen: (reported) => {
      listener = reported
      host.start()
    },
    submit: (task) => void tasks.push(task),
    flush,
    askPeers: () => listener?.onPeers(host.peers()),
    close: async () => {
      flush()
      return Promise.resolve(host.close())
    },
  }
}
