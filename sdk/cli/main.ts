/**
 * The commands of `tinymq` that work on the tables: from the command line to the number that the
 * program ends with. Must never end the process itself.
 */
import { Command, CommanderError } from 'commander'
import { fromSqlite, TinymqError } from '../errors.ts'
import { exitBug, exitCodeOfTinymq, exitUsage } from '../exit-code.ts'
import { addBackup } from './backup.ts'
import { addCancel } from './cancel.ts'
import type { Context } from './command.ts'
import { addCompletion } from './completion.ts'
import { addDead } from './dead.ts'
import { addInbox } from './inbox.ts'
import { addPeers } from './peers.ts'
import { addRetry } from './retry.ts'
import { addSend } from './send.ts'
import { addStatus } from './status.ts'
import type { Terminal } from './terminal.ts'
import { addTop } from './top.ts'

/** Runs the command line `args`, without the name of the program. @returns the exit code. */
export async function runCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  let code = 0
  const end = (wanted: number): void => void (code = wanted)
  const program = createProgram({ terminal, end })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return code
  } catch (error) {
    return tell(fromSqlite(error), terminal)
  }
}

function createProgram(context: Context): Command {
  const { terminal } = context
  const program = new Command('tinymq')
    .exitOverride()
    .showHelpAfterError('(--help says more)')
    .configureOutput({
      writeOut: (text) => void terminal.out(text),
      writeErr: (text) => terminal.say(text),
    })
  for (const add of commands) add(program, context)
  return program
}

const commands: readonly ((program: Command, context: Context) => void)[] = [
  addSend,
  addInbox,
  addStatus,
  addPeers,
  addTop,
  addCancel,
  addRetry,
  addDead,
  addBackup,
  addCompletion,
]

function tell(error: unknown, terminal: Terminal): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitUsage
  if (error instanceof TinymqError) {
    const sentence = error.message.replace(/\.$/, '')
    terminal.say(`tinymq: ${sentence}. ${error.hint} (${error.code})\n`)
    return exitCodeOfTinymq(error.code) ?? exitUsage
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
  terminal.say(`tinymq: a bug of its own ended the command. ${detail}\n`)
  return exitBug
}
