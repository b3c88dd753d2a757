/**
 * What a running daemon knows of its own trouble, for `tinymq check` and `doctor` in other
 * processes: one small file beside the database. It has the same length always, so that it can be
 * written on a disk that is full. Must never be believed unless its daemon holds the lock.
 */
import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import type { StoreFault } from './store/store-fault.ts'

const fileBytes = 1_024

const pathOf = (database: string): string => `${database}-health`

/** Undefined: nothing is wrong. What cannot be written is in the log all the same. */
export function writeHealth(database: string, fault: StoreFault | undefined): void {
  const text = JSON.stringify({ fault: fault ?? null })
  const bytes = Buffer.alloc(fileBytes, ' ')
  if (bytes.write(text) < Buffer.byteLength(text)) return
  try {
    const file = openSync(pathOf(database), constants.O_WRONLY | constants.O_CREAT)
    try {
      writeSync(file, bytes, 0, fileBytes, 0)
    } finally {
      closeSync(file)
    }
  } catch {
    // No room and no file, or no right: whoever asks is told by the other ways.
  }
}

/** What the daemon that holds the lock of this database has last written. */
export function readHealth(database: string): StoreFault | undefined {
  try {
    const { fault } = JSON.parse(readFileSync(pathOf(database), 'utf8')) as Written
    return fault ?? undefined
  } catch {
    // An older daemon writes none, and a newer one may be writing it at this moment.
    return undefined
  }
}

type Written = { readonly fault: StoreFault | null }

export function removeHealth(database: string): void {
  rmSync(pathOf(database), { force: true })
}
