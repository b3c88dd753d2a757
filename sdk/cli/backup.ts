/** `tinymq backup`: a consistent copy of the database while everything goes on. */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { fromSqlite, TinymqError } from '../errors.ts'
import { type Context, type DatabaseFlags, Opened, withDatabase } from './command.ts'
import { bytesText } from './table.ts'

export function addBackup(program: Command, context: Context): void {
  const command = program
    .command('backup')
    .description('copy the database to a new file; the daemon and everybody else go on')
    .argument('<file>', 'the copy, which must not exist yet')
    .addHelpText('after', restoring)
  withDatabase(command).action(async (file: string, flags: DatabaseFlags) => {
    using opened = new Opened(flags)
    const target = resolve(file)
    refuseExisting(target)
    context.terminal.say(`tinymq: copying ${opened.path} …\n`)
    copy(opened, target)
    await context.terminal.out(`${target}  ${bytesText(statSync(target).size)}\n`)
  })
}

const restoring = `
To restore: stop the daemon; move the database and its -wal and -shm aside; put the copy
in its place; start the daemon. What was received or sent since the copy is noticed in the
next handshake: rows that may be lost or double are listed in mqevent, nothing is sent
twice without being told. A copy on a second machine is a clone: it gets an identity of
its own at its first contact.
`

function refuseExisting(target: string): void {
  if (!existsSync(target)) return
  throw new TinymqError('TINYMQ_BAD_ARGUMENT', `${target} exists: name a file that does not`)
}

/**
 * VACUUM INTO reads in one transaction, so that the copy is of one moment, and needs no -wal beside
 * it. It is synced under another name first: a file of the name that was asked for is whole.
 */
function copy(opened: Opened, target: string): void {
  const unfinished = `${target}.unfinished-${process.pid}`
  create(unfinished, target)
  try {
    opened.db.prepare('VACUUM INTO ?').run(unfinished)
    sync(unfinished)
    renameSync(unfinished, target)
    sync(dirname(target))
  } catch (error) {
    rmSync(unfinished, { force: true })
    throw fromSqlite(error)
  }
}

/** Empty, and for nobody but owner and group to read: SQLite would let everybody. */
function create(unfinished: string, target: string): void {
  try {
    closeSync(openSync(unfinished, 'wx', 0o660))
  } catch (cause) {
    const sentence = `${target} cannot be written: ${(cause as Error).message}`
    throw new TinymqError('TINYMQ_BAD_ARGUMENT', sentence, { cause })
  }
}

function sync(path: string): void {
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
