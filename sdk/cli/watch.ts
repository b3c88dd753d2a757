/**
 * Waits until somebody has changed the database: a person looks on, so a twentieth of a second is
 * prompt enough, and one PRAGMA that touches no page costs nothing that could be measured.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Opened } from './command.ts'

const pauseMs = 50

/** Yields after each change by another connection, until the signal ends it. */
export async function* everyChange(opened: Opened, signal: AbortSignal): AsyncGenerator<void> {
  const version = (): number =>
    opened.rows<{ data_version: number }>('PRAGMA data_version').at(0)?.data_version ?? 0
  // What came before the first look may not have been seen.
  let seen = -1
  while (await waited(pauseMs, signal)) {
    const now = version()
    if (now === seen) continue
    seen = now
    yield
  }
}

/** @returns whether the time has passed, and nobody has ended it. */
export async function waited(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await pause(ms, undefined, { signal })
    return true
  } catch {
    return false
  }
}
