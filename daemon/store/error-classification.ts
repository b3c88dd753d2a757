/**
 * What can go wrong with the database, sorted by what is to be done about it. Must never tell
 * errors apart by their text.
 */
import { TinymqError, type TinymqErrorCode, fromSqlite } from '../../sdk/schema/errors.ts'
import { remedyFor } from '../../sdk/schema/stuck-view.ts'
import type { StoreEvent } from './event-log.ts'
import { isQuotaSpent } from '../../sdk/schema/open-database.ts'
import type { Connection } from './connection.ts'

/**
 * The database no longer says what it said when it was read: it was restored or edited under the
 * running daemon. Everything is read again.
 */
export class DatabaseChanged extends Error {
  override readonly name = 'DatabaseChanged'

  constructor(table: string) {
    super(`${table} was changed by another program while it was in use`)
  }
}

/**
 * `wait`: the same may succeed later. `fatal`: the process must end and begin again, for what the
 * database says now may not be what is on the disk. `bug`: not an error of the database at all.
 */
export type Fault =
  | { readonly type: 'wait'; readonly reason: string; readonly code: TinymqErrorCode | undefined }
  | { readonly type: 'fatal'; readonly error: TinymqError }
  | { readonly type: 'bug' }

/** After these the state of the file is not known. A sync that has failed is never tried again. */
const fatal: readonly string[] = [
  'IOERR',
  'CORRUPT',
  'NOTADB',
  'CANTOPEN',
  'READONLY',
  'PROTOCOL',
  'FORMAT',
  'MISUSE',
  'NOLFS',
]

export function faultOf(error: unknown): Fault {
  if (error instanceof DatabaseChanged)
    return { type: 'wait', reason: error.message, code: undefined }
  if (error instanceof TinymqError) {
    const { retryable, message: reason, code } = error
    return retryable ? { type: 'wait', reason, code } : { type: 'fatal', error }
  }
  const code = sqliteCode(error)
  if (code === undefined) return { type: 'bug' }
  const translated = fromSqlite(error)
  if (!(translated instanceof TinymqError)) return { type: 'bug' }
  if (fatal.includes(primary(code)) && code !== corruptVirtualTable)
    return { type: 'fatal', error: translated }
  return { type: 'wait', reason: translated.message, code: translated.code }
}

/** A constraint or a trigger rejects the row, and would reject it again. */
export function isRefusal(error: unknown): boolean {
  const code = sqliteCode(error)
  return code !== undefined && ['CONSTRAINT', 'TOOBIG', 'MISMATCH'].includes(primary(code))
}

/**
 * A trigger, an index or a virtual table of the owner's does not work: with this row (JSON that is
 * none, a sum that is too large), or with any.
 */
function isBroken(error: unknown): boolean {
  const code = sqliteCode(error)
  if (code === undefined) return false
  return code === corruptVirtualTable || ['ERROR', 'AUTH', 'LOCKED'].includes(primary(code))
}

/** An object of the owner's keeps the statement from succeeding; the file is sound. */
export const isOwners = (error: unknown): error is Error => isRefusal(error) || isBroken(error)

/** A statement that compiles says this of what it meets in its row. */
export const isOfRow = (error: unknown): boolean => sqliteCode(error) === 'SQLITE_ERROR'

/** FTS5, say, finds its own tables damaged: that is no damage of the file. */
const corruptVirtualTable = 'SQLITE_CORRUPT_VTAB'

/** The name of SQLite's extended result code, if the error is one of SQLite's. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' && error.code.startsWith('SQLITE_') ? error.code : undefined
}

function primary(code: string): string {
  return code.split('_')[1] ?? ''
}

// What a fault really is, where SQLite's word for it misleads. Must never add a fault of its own to
// the one that it explains.

export function explainedFault(error: unknown, connection: Connection): Fault {
  const fault = faultOf(error)
  if (fault.type === 'wait') return spentIds(fault, connection) ?? fault
  // The write was undone, as when the disk is full, and nothing was synced.
  const isWrite = sqliteCode(error) === 'SQLITE_IOERR_WRITE'
  if (!isWrite || !isQuotaSpent(connection.file)) return fault
  const reason = 'a quota of the disk is used up'
  return { type: 'wait', code: 'TINYMQ_DISK_FULL', reason }
}

/**
 * Why a large write that others can do without found no room; undefined when it was not that. Of a
 * quota nothing can be seen any more: SQLite has given back what it had written.
 */
export function whyNoRoom(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const isFull = ['SQLITE_FULL', 'SQLITE_IOERR_WRITE'].includes(sqliteCode(error) ?? '')
  return isFull ? `SQLite says: ${error.message}` : undefined
}

type Waiting = Extract<Fault, { type: 'wait' }>

/**
 * A row with the largest id that SQLite has: no other can follow it, and SQLite then says that the
 * disk is full. Undefined where it is, or where nobody can tell.
 */
function spentIds({ code }: Waiting, connection: Connection): Waiting | undefined {
  if (code !== 'TINYMQ_DISK_FULL') return undefined
  const table = tableOf(connection)
  if (table === undefined) return undefined
  const reason = `a row of ${table} has the largest id that there is, and no other can follow it`
  return { type: 'wait', code: 'TINYMQ_IDS_SPENT', reason }
}

function tableOf(connection: Connection): string | undefined {
  try {
    return connection.prepareValue<[], string>(sql).get()
  } catch {
    return undefined
  }
}

const sql = `SELECT name FROM sqlite_sequence
  WHERE seq = 9223372036854775807 AND name IN ('mqin', 'mqout')`

// What keeps the store from writing, for whoever can fix it at this end: a full disk, a lock
// that another program holds, temporary files without room. Must never change what the store
// does.

export type StoreFault = {
  /** The same in log, `mqevent`, `mqlane`, `tinymq check`, /readyz, doctor, page and metrics. */
  readonly code: TinymqErrorCode
  /** `error`: nothing is sent or received; `warn`: all goes on, but not as it should. */
  readonly level: 'error' | 'warn'
  /** What is wrong, without a full stop. */
  readonly sentence: string
  /** What to do. */
  readonly hint: string
  readonly sinceMs: number
}

/** A fault that has not come again for so long is over, if something was written since. */
const overMs = 5_000
/** Of faults of the same kind one event is enough in this time. */
const eventMs = 600_000

export class FaultWatch {
  #fault: StoreFault | undefined
  #seenAtMs = -Infinity
  #hasWritten = false
  readonly #eventAtMs = new Map<TinymqErrorCode, number>()

  /** Undefined when the store can write. */
  get current(): StoreFault | undefined {
    return this.#fault
  }

  /** @returns the event that is to be written as soon as that is possible. */
  on(
    code: TinymqErrorCode,
    level: StoreFault['level'],
    sentence: string,
    nowMs: number,
  ): StoreEvent | undefined {
    const hint = remedyFor(code) ?? new TinymqError(code, sentence).hint
    const known = this.#fault
    const isSame = known?.code === code && known.level === level
    // What stops everything is not hidden by what stops little, nor made to last by it; the same
    // that stops less now, and lets something be written, has become that.
    const isLess = level === 'warn' && known?.level === 'error'
    if (!isLess || (known.code === code && this.#hasWritten)) {
      if (!isSame) this.#fault = { code, level, sentence, hint, sinceMs: nowMs }
      this.#seenAtMs = nowMs
      this.#hasWritten = false
    }
    if (Math.abs(nowMs - (this.#eventAtMs.get(code) ?? -Infinity)) < eventMs) return undefined
    this.#eventAtMs.set(code, nowMs)
    return { code, detail: `${sentence}: ${hint}` }
  }

  onCommitted(): void {
    this.#hasWritten = true
  }

  /** To be called in each turn. */
  look(nowMs: number): void {
    // Either way: the clock may have been set back.
    if (this.#hasWritten && Math.abs(nowMs - this.#seenAtMs) >= overMs) this.#fault = undefined
  }
}
