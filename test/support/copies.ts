/**
 * What people do to the file of a database: copy it, put an older copy in its place, remove it;
 * with the daemon stopped, as they should, and under the running daemon, as they do all the same.
 */
import { copyFileSync, renameSync, rmSync } from 'node:fs'
import type { Machine } from './machine.ts'
import { until } from './until.ts'

/** Copies the database as it is now, whoever uses it meanwhile. Returns the path of the copy. */
export async function copyDatabase(machine: Machine): Promise<string> {
  const path = `${machine.database}.copy`
  await machine.sql(`VACUUM INTO '${path}';`)
  return path
}

/** A change of the file at the path. Resolves when a daemon works with what is there then. */
type Change = (machine: Machine, copy: string) => Promise<void>

/** The ways in which an older copy comes to stand where the database was. */
export const restorings: Readonly<Record<string, Change>> = {
  'while its daemon is stopped': async (machine, copy) => {
    await machine.daemon.stop()
    removeFiles(machine)
    copyFileSync(copy, machine.database)
    await machine.start()
  },
  'by another file in its place, under the running daemon': async (machine, copy) => {
    await underRunningDaemon(machine, () => {
      copyFileSync(copy, `${machine.database}.new`)
      renameSync(`${machine.database}.new`, machine.database)
    })
  },
  'by .restore, under the running daemon': async (machine, copy) => {
    await machine.sql(`.restore '${copy}'`)
  },
}

/** The ways in which a database comes to be gone. */
export const removals: Readonly<Record<string, (machine: Machine) => Promise<void>>> = {
  'while its daemon is stopped': async (machine) => {
    await machine.daemon.stop()
    removeFiles(machine)
    await machine.start()
  },
  'under the running daemon': async (machine) => {
    removeFiles(machine)
    // It makes none where one was removed: a supervisor starts it again, for an empty one.
    await until({ what: 'the daemon to end', withinMs: 20_000 }, () => machine.daemon.hasEnded)
    await machine.startAgainIfEnded()
  },
}

function removeFiles({ database }: Machine): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${database}${suffix}`, { force: true })
}

async function underRunningDaemon(machine: Machine, change: () => void): Promise<void> {
  const starts = (): number => machine.logged('restarted').length
  const before = starts()
  change()
  const what = 'the daemon to notice that its database is another one'
  await until({ what, withinMs: 20_000 }, () => starts() > before)
}
