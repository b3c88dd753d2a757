/** `tinymq backup`: a consistent copy of the database while everything goes on. */
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { copyDatabase } from '../sdk/schema/open-database.ts'
import { TinymqError } from '../sdk/schema/errors.ts'
import { type Context, CliSession } from './context.ts'
import { type DatabaseFlags, withDatabase } from './command-line.ts'
import { bytesText } from './output.ts'

export function addBackup(program: Command, context: Context): void {
  const command = program
    .command('backup')
    .description('copy the database to a new file; the daemon and everybody else go on')
    .argument('<file>', 'the copy, which must not exist yet')
    .addHelpText('after', restoring)
  withDatabase(command).action(async (file: string, flags: DatabaseFlags) => {
    using opened = new CliSession(flags)
    const target = resolve(file)
    refuseExisting(target)
    context.terminal.say(`tinymq: copying ${opened.path} …\n`)
    copyDatabase(opened.db, target)
    await context.terminal.out(`${target}  ${bytesText(statSync(target).size)}\n`)
  })
}

const restoring = `
To restore: stop the daemon; move the database and its -wal and -shm aside; put the copy
in its place; start the daemon. What was received or sent since the copy is noticed in the
next handshake: rows that may be lost or double are listed in mqevent, nothing is sent
twice without being reported. A copy on a second machine is a clone: it gets an identity of
its own at its first contact.
`

function refuseExisting(target: string): void {
  if (!existsSync(target)) return
  throw new TinymqError('TINYMQ_INVALID_ARGUMENT', `${target} exists: name a file that does not`)
}
