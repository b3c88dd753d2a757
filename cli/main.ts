/**
 * The commands of `tinymq`: from the command line to the number that the program ends with. Must
 * never end the process itself.
 */
import { Command, CommanderError } from 'commander'
import {
  exitBug,
  exitCodeOfTinymq,
  exitInterrupted,
  exitIo,
  exitReaderGone,
  exitUsage,
  fromSqlite,
  isError,
  TinymqError,
  withoutFullStop,
} from '../sdk/schema/errors.ts'
import { describeError, exitCodeOf, StartError } from '../daemon/platform/start-error.ts'
import type { Context } from './context.ts'
import { OutputError, type Terminal } from './output.ts'

/** Runs the command line `args`, without the name of the program. @returns the exit code. */
export async function runCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  let code = 0
  const end = (wanted: number): void => void (code = wanted)
  try {
    const program = await createProgram(args[0] ?? '', { terminal, end })
    await program.parseAsync([...args], { from: 'user' })
    return code
  } catch (error) {
    return tell(fromSqlite(error), terminal)
  }
}

type Add = (program: Command, context: Context) => void

/** Only the command that was asked for is loaded: that is half of the time that it takes. */
const commands: { readonly [name: string]: () => Promise<Add> } = {
  send: async () => (await import('./send.ts')).addSend,
  inbox: async () => (await import('./inbox.ts')).addInbox,
  status: async () => (await import('./status.ts')).addStatus,
  peers: async () => (await import('./peers.ts')).addPeers,
  top: async () => (await import('./top.ts')).addTop,
  cancel: async () => (await import('./retry.ts')).addCancel,
  retry: async () => (await import('./retry.ts')).addRetry,
  dead: async () => (await import('./dead.ts')).addDead,
  backup: async () => (await import('./backup.ts')).addBackup,
  bench: async () => (await import('./bench.ts')).addBench,
  check: async () => (await import('./check.ts')).addCheck,
  doctor: async () => (await import('./doctor.ts')).addDoctor,
  keys: async () => (await import('./keys.ts')).addKeys,
  ui: async () => (await import('./ui.ts')).addUi,
  demo: async () => (await import('./demo.ts')).addDemo,
  completion: async () => (await import('./completion.ts')).addCompletion,
}

async function createProgram(wanted: string, context: Context): Promise<Command> {
  const { terminal } = context
  const program = new Command('tinymq')
    .exitOverride()
    .showHelpAfterError('(--help says more)')
    .configureOutput({
      // Who has asked for help and does not read it need not be reported.
      writeOut: (text) => void Promise.resolve(terminal.out(text)).catch(() => undefined),
      writeErr: (text) => terminal.say(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'tinymq: ')),
    })
  // The completions are of all of them.
  const one = wanted === 'completion' ? undefined : commands[wanted]
  const loads = one === undefined ? Object.values(commands) : [one]
  for (const add of await Promise.all(loads.map(async (load) => load()))) add(program, context)
  // A word that is none of them may be meant for one.
  if (!Object.hasOwn(commands, wanted)) {
    const { elsewhere } = await import('./completion.ts')
    for (const name of elsewhere) program.command(name)
  }
  return program
}

function tell(error: unknown, terminal: Terminal): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitUsage
  if (error instanceof TinymqError) {
    const sentence = withoutFullStop(error.message)
    // Who typed a command made no call.
    const hint = error.code === 'TINYMQ_INVALID_ARGUMENT' ? '--help says more.' : error.hint
    terminal.say(`tinymq: ${sentence}. ${hint} (${error.code})\n`)
    return exitCodeOfTinymq(error.code) ?? exitUsage
  }
  if (error instanceof OutputError) {
    if (error.reason === 'reader gone') return exitReaderGone
    if (error.reason === 'interrupted') return exitInterrupted
    terminal.say(`tinymq: ${error.message}. Free space on that disk, or print elsewhere.\n`)
    return exitIo
  }
  if (error instanceof StartError) {
    terminal.say(`${describeError(error)}\n`)
    return exitCodeOf(error)
  }
  const detail = isError(error) ? (error.stack ?? error.message) : String(error)
  terminal.say(`tinymq: a bug of its own ended the command. ${detail}\n`)
  return exitBug
}
