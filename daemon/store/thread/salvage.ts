/**
 * What is done when the files of the database are no longer the ones that the daemon has open: what
 * they hold stays, and what others have made in their place is left alone. Must never write into a
 * database that somebody else may have opened without the log that is lost.
 */
import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs'
import type Database from 'better-sqlite3'
import { copyDatabase } from '../../../sdk/schema/open-database.ts'
import { type DatabaseFiles, ifThere } from '../../../sdk/schema/database-files.ts'

export type Loss = {
  /**
   * `log`: the -wal or the -shm was removed or replaced. `database`: the file itself. `directory`:
   * another directory is there, or none.
   */
  readonly what: 'log' | 'database' | 'directory'
  /** Where the rows are that the daemon had and the file at the path has not, or may not have. */
  readonly copy?: string
  /** Why there is no such copy, although there should be one. */
  readonly problem?: string
  /** The name that a -wal has now which holds what could not be written into the old file. */
  readonly wal?: string
}

/** `db` is open on `files`, writes nothing at this moment and is not used again. */
export function salvage(db: Database.Database, files: DatabaseFiles): Loss {
  if (files.change === 'log') return { what: 'log', ...saveWithoutLog(db, files) }
  // The files are whole, in the directory that was here.
  if (files.isDirectoryGone) return { what: 'directory' }
  // A link leads elsewhere now: the old file is where it was, and in order.
  if (files.isInPlace) return { what: 'database' }
  const copy = hasNoName(files) && hasRows(db) ? copyOut(db, files) : {}
  const wal = takeLogAway(db, files)
  return { what: 'database', ...copy, ...(wal !== undefined && { wal }) }
}

/**
 * As long as nobody has begun another log, what ours holds belongs into the file. Afterwards
 * somebody counts on what the file says without it: then it goes into a copy.
 */
function saveWithoutLog(db: Database.Database, files: DatabaseFiles): Omit<Loss, 'what'> {
  if (files.hasNoOtherLog && isSaved(db, files)) return {}
  return copyOut(db, files)
}

/** The directory in the place of a missing -shm keeps everybody else from opening the database. */
function isSaved(db: Database.Database, files: DatabaseFiles): boolean {
  const guard = files.isSame('-shm') ? undefined : `${files.realPath}-shm`
  try {
    if (guard !== undefined) mkdirSync(guard)
    try {
      return isMoved(db)
    } finally {
      if (guard !== undefined) rmdirSync(guard)
    }
  } catch {
    // Somebody has made a -shm meanwhile, or the disk fails.
    return false
  }
}

/** Moves all that the log holds into the file, unless somebody writes or reads an older state. */
function isMoved(db: Database.Database): boolean {
  const [result] = db.pragma('wal_checkpoint(FULL)') as [Checkpoint]
  return result.busy === 0 && result.checkpointed === result.log
}

type Checkpoint = { readonly busy: number; readonly log: number; readonly checkpointed: number }

function copyOut(
  db: Database.Database,
  files: DatabaseFiles,
): { copy: string } | { problem: string } {
  const copy = `${files.realPath}${copySuffix}${Date.now()}`
  try {
    copyDatabase(db, copy)
    return { copy }
  } catch (error) {
    return { problem: (error as Error).message }
  }
}

const copySuffix = '.rescued-'

/** Copies of what was in the database at this path, the latest last. */
export function rescuedCopies(directory: string, name: string): string[] {
  const start = name + copySuffix
  const time = (file: string): number => Number(file.slice(start.length))
  return readdirSync(directory)
    .filter((file) => file.startsWith(start) && /^\d+$/.test(file.slice(start.length)))
    .toSorted((one, other) => time(one) - time(other))
}

function hasRows(db: Database.Database): boolean {
  const some = ['mqout', 'mqin', 'mqdead'].map((table) => `EXISTS (SELECT 1 FROM ${table})`)
  try {
    return (
      db
        .prepare<[], number>(`SELECT ${some.join(' OR ')}`)
        .pluck()
        .get() !== 0
    )
  } catch {
    // It cannot be read: the copy says why.
    return true
  }
}

/** Whether the old file was removed, so that it is gone with its last user, and not renamed. */
function hasNoName(files: DatabaseFiles): boolean {
  for (const descriptor of openDescriptors()) {
    const stats = statSync(`/proc/self/fd/${descriptor}`, { bigint: true, throwIfNoEntry: false })
    if (stats !== undefined && files.isDatabase(stats)) return stats.nlink === 0n
  }
  // A system that does not tell.
  return true
}

function openDescriptors(): string[] {
  try {
    return readdirSync('/proc/self/fd')
  } catch {
    return []
  }
}

/**
 * SQLite would take the old file's -wal and -shm, which are still there, for the new one's, and mix
 * two databases: so the old file gets what its -wal holds, and the two leave the path. Programs
 * that have the old file open keep it to themselves.
 * @returns the name that the -wal has now, if there was something in it that could not be saved.
 */
function takeLogAway(db: Database.Database, files: DatabaseFiles): string | undefined {
  try {
    db.pragma('wal_checkpoint(TRUNCATE)')
  } catch {
    // Somebody reads the old file at this moment: its -wal is kept under another name.
  }
  const { realPath } = files
  if (files.isSame('-shm')) rmSync(`${realPath}-shm`, { force: true })
  if (!files.isSame('-wal')) return undefined
  const bytes = statSync(`${realPath}-wal`, { throwIfNoEntry: false })?.size ?? 0
  if (bytes === 0) {
    rmSync(`${realPath}-wal`, { force: true })
    return undefined
  }
  const aside = `${realPath}-wal.replaced-${Date.now()}`
  return ifThere(() => {
    renameSync(`${realPath}-wal`, aside)
    return aside
  })
}
