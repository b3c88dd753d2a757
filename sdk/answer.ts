/**
 * Waits for the answer to a question about the database: asked at once and after each commit. Must
 * never sleep, nor ask when nothing has changed.
 */

import type { CommitWatch } from './commit-watch.ts'

/**
 * Resolves with the first answer that is neither undefined, null, false, 0 nor empty.
 * @throws what `ask` throws, why the watch has ended, and the reason of the signal.
 */
export async function answered<Value>(
  watch: CommitWatch,
  ask: () => Value,
  signal: AbortSignal,
): Promise<NonNullable<Value>> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<NonNullable<Value>>()
  const look = (): void => {
    try {
      const answer = ask()
      if (answer) resolve(answer)
    } catch (error) {
      reject(error)
    }
  }
  const listener = { onCommit: look, onEnd: reject }
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    watch.add(listener)
    look()
    return await promise
  } finally {
    signal.removeEventListener('abort', onAbort)
    watch.remove(listener)
  }
}
