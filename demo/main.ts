/**
 * `tinymq demo`: two real daemons on two database files, and messages that go both ways by plain
 * SQL. It ends by itself, with 0 when every message has arrived. Must never leave a process behind,
 * nor a file that was not asked for.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { DemoMachine } from './demo-machine.ts'
import { Show } from './show.ts'

const usage = `Usage: tinymq demo [--keep DIRECTORY] [--stay]

Starts two daemons on this machine, each with a SQLite file of its own, lets messages cross between
them, kills one and starts it again. It takes some seconds and cleans up behind itself.

  --keep DIRECTORY  leave the two databases there, which must be empty or not exist
  --stay            let the daemons run until Ctrl-C, for you to play with
`

export type DemoIo = {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Ends it before its time; everything is cleaned up all the same. */
  readonly signal: AbortSignal
}

type Request = { readonly keep: string | undefined; readonly stay: boolean }

/** The number that the process should end with. */
export async function demo(args: readonly string[], io: DemoIo): Promise<number> {
  try {
    const request = parse(args)
    if (request === 'help') {
      io.out(usage)
      return 0
    }
    await run(request, io)
    return 0
  } catch (error) {
    if (error instanceof TypeError) {
      io.err(`tinymq demo: ${error.message}\n${usage}`)
      return 64
    }
    if (io.signal.aborted) {
      io.err('tinymq demo: ended before its time.\n')
      return 130
    }
    io.err(`tinymq demo: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

/** @throws TypeError when it was called wrongly. */
function parse(args: readonly string[]): Request | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keep: { type: 'string' },
      stay: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) return 'help'
  return { keep: values.keep, stay: values.stay }
}

async function run({ keep, stay }: Request, { out, signal }: DemoIo): Promise<void> {
  const directory = keep === undefined ? mkdtempSync(join(tmpdir(), 'tinymq-demo-')) : place(keep)
  const machine = (name: string): DemoMachine =>
    new DemoMachine(name, join(directory, `${name}.db`), signal)
  using _ = {
    [Symbol.dispose]: () => {
      if (keep === undefined) rmSync(directory, { recursive: true })
    },
  }
  await using a = machine('MachineA')
  await using b = machine('MachineB')
  const show = new Show({ a, b, out, signal })
  await show.play()
  if (stay) await show.stay()
  else show.sayWhatIsNext(keep === undefined ? undefined : directory)
}

/** @throws TypeError when something is there already: nothing of the user's is touched. */
function place(path: string): string {
  const directory = resolve(path)
  mkdirSync(directory, { recursive: true })
  if (readdirSync(directory).length === 0) return directory
  throw new TypeError(`--keep needs a directory that is empty, and ${directory} is not`)
}
