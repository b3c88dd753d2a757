/**
 * Waiting for what real processes do: by looking again and again, and never longer than a deadline.
 */
import { setTimeout as sleep } from 'node:timers/promises'

const pauseMs = 50

export type Until = {
  /** What is waited for, as the end of "Waited 10 s for …". */
  readonly what: string
  readonly withinMs: number
  readonly everyMs?: number
}

/** Resolves with the first result of `look` that is neither undefined nor false. */
export async function until<T>(
  { what, withinMs, everyMs = pauseMs }: Until,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > deadlineMs) throw new Error(`Waited ${withinMs / 1_000} s for ${what}.`)
    await sleep(everyMs)
  }
}
