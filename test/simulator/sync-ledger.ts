/**
 * What of a database is on the durable medium: reported after every operation on it, it says which
 * part of the log and which version of the file a power cut cannot take back. SQLite in WAL mode
 * syncs by these rules (sqlite.org/pragma.html#pragma_synchronous): FULL syncs the log at every
 * commit; NORMAL and FULL sync the header of a log that begins again, the log before a checkpoint,
 * and the database after one; OFF syncs nothing. docs/proof.md has the system calls that these
 * rules were held against. Must never count as durable what SQLite has not synced.
 */
import type { WalMark } from './wal-index.ts'

/** `PRAGMA synchronous` of the connection that did it. */
export type SyncLevel = 'off' | 'normal' | 'full'

/** Up to where the log is durable. */
type DurableMark = { readonly salt: string; readonly frames: number }

/** What an operation has synced. */
export type Sync = {
  readonly salt: string
  /** So much of the log, 0 when it is its header only; undefined: nothing. */
  readonly frames: number | undefined
  /** So many operations are covered. */
  readonly operations: number
  readonly hasWritten: boolean
}

export class SyncLedger {
  #written: WalMark
  #durable: DurableMark
  #operations = 0
  #durableOperations = 0
  #isFileCurrent = true
  #isFileDue = false

  /** Everything that is there now is durable. */
  constructor(mark: WalMark) {
    this.#written = mark
    this.#durable = mark
  }

  get durable(): DurableMark {
    return this.#durable
  }

  get written(): WalMark {
    return this.#written
  }

  /** Operations that have written, and how many of the first of them no power cut takes back. */
  get operations(): number {
    return this.#operations
  }

  get durableOperations(): number {
    return this.#durableOperations
  }

  /** The database file is as it was when `takeFile` said so last. */
  get isFileCurrent(): boolean {
    return this.#isFileCurrent
  }

  /** Something was written, or copied into the database. */
  isNews({ salt, frames, backfilled }: WalMark): boolean {
    const before = this.#written
    return salt !== before.salt || frames !== before.frames || backfilled !== before.backfilled
  }

  /** An operation is over that may have written. */
  onOperation(mark: WalMark, level: SyncLevel): Sync {
    const before = this.#written
    this.#written = mark
    const isNew = mark.salt !== before.salt
    const hasWritten = isNew || mark.frames !== before.frames
    const isCheckpoint = mark.backfilled !== 0 && (isNew || mark.backfilled !== before.backfilled)
    if (hasWritten) this.#operations++
    if (isCheckpoint) this.#isFileCurrent = false
    const sync = { salt: mark.salt, operations: this.#operations, hasWritten }
    if (level === 'off' || !(hasWritten || isCheckpoint)) return { ...sync, frames: undefined }
    if (isNew) this.#onNewLog(mark, isCheckpoint)
    if (isCheckpoint || level === 'full') return { ...sync, frames: mark.frames }
    return { ...sync, frames: undefined }
  }

  /** What `onOperation` said was synced has reached the disk. */
  onSynced({ salt, frames, operations }: Sync): void {
    // If the log has begun again since, all that was in the old one is in the file.
    if (frames === undefined || salt !== this.#written.salt) return
    if (frames < this.#durable.frames || operations < this.#durableOperations) return
    this.#durable = { salt, frames }
    this.#durableOperations = operations
  }

  /**
   * The log began again: all of the old one was copied into the file, and that was synced; and so
   * is the header of the new one. An operation that also copies the new one is taken to be synced
   * at once, for then the file is ahead of what came before it.
   */
  #onNewLog({ salt, frames }: WalMark, isCheckpoint: boolean): void {
    this.#durable = { salt, frames: isCheckpoint ? frames : 0 }
    this.#durableOperations = isCheckpoint ? this.#operations : this.#operations - 1
    this.#isFileDue = !isCheckpoint
  }

  /** @returns whether the file as it is now is durable, and differs from the last that was. */
  takeFile(): boolean {
    const { salt, frames, backfilled } = this.#written
    // The log is synced before it is copied: a file may never be ahead of its log.
    const isLogDurable = this.#durable.salt === salt && this.#durable.frames === frames
    const isCopied = !this.#isFileCurrent && backfilled === frames && isLogDurable
    const isDue = this.#isFileDue || isCopied
    this.#isFileDue = false
    if (isDue) this.#isFileCurrent = true
    return isDue
  }
}
