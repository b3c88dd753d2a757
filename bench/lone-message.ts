/**
 * One message from a sender's file to a receiver's, watched by a reader that polls. Must never send
 * a second one before the first has come.
 */
import type { Tinymq } from '../sdk/index.ts'
import type { InboxWatch } from './daemon-pair.ts'

// The reader sleeps so long between two looks: fine enough for milliseconds, and it leaves the
// cores to the daemons.
const lookMs = 0.1
const deadlineMs = 30_000
export const loneData = 'x'.repeat(100)

/** Nanoseconds of the monotonic clock, which all processes of a machine share. */
export type Passage = {
  /** When the INSERT was committed. */
  readonly committedNs: number
  /** When a reader saw the row in the other file. */
  readonly seenNs: number
}

/** @throws when it does not come within half a minute. */
export function passOne(mq: Pick<Tinymq, 'send'>, inbox: InboxWatch, port: number): Passage {
  const nap = new Int32Array(new SharedArrayBuffer(4))
  const wanted = inbox.arrived + 1
  mq.send('127.0.0.1', port, 'bench', loneData)
  const committedNs = monotonicNs()
  while (inbox.arrived < wanted) {
    if (monotonicNs() - committedNs > deadlineMs * 1e6) {
      throw new Error('A message does not come.')
    }
    Atomics.wait(nap, 0, 0, lookMs)
  }
  return { committedNs, seenNs: monotonicNs() }
}

function monotonicNs(): number {
  return Number(process.hrtime.bigint())
}
