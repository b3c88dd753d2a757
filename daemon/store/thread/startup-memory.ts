/**
 * Gives back what a thread needed to start: the code that was compiled on the way, and the room
 * that the young had. It is a tenth of an idle daemon. Must never be used in a thread that is
 * somebody else's: everything in it waits for some tens of milliseconds.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Whoever waits for the daemon to start is served first. */
const startMs = 1_500

/** What `--expose-gc` gives; `last-resort` takes the room of the young back too. */
type Collect = (options: {
  readonly type: 'major'
  readonly execution: 'sync'
  readonly flavor: 'last-resort'
}) => void

/** To be called once, when the thread begins its work; it keeps no process alive. */
export function trimMemoryAfterStart(): void {
  setTimeout(trimMemory, startMs).unref()
}

/** Collects all garbage of this thread now. */
export function trimMemory(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collect
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
