/** A command of the program, run inside the test with a terminal of its own. */
import type { TestContext } from 'node:test'
import { runCommand } from '../../cli/main.ts'
import { open } from '../../sdk/open.ts'
import { scratchPath } from './scratch.ts'

export type Ran = { readonly code: number; readonly out: string; readonly said: string }

export type RunOptions = {
  readonly input?: string | Uint8Array
  /** A person looks on, at a screen of 80 columns. */
  readonly isTerminal?: boolean
  readonly signal?: AbortSignal
  /** Reported all of stdout so far, after each write. What it throws is what the write throws. */
  readonly onOut?: (out: string) => void
}

/** Runs `tinymq ARGS` on the database at `path`. */
export async function run(
  path: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  return runLine([...args, '--database', path], options)
}

/** Runs `tinymq ARGS`. */
export async function runLine(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { input, isTerminal = false, signal = new AbortController().signal, onOut } = options
  let [out, said] = ['', '']
  const chunk = typeof input === 'string' ? Buffer.from(input) : input
  const code = await runCommand(args, {
    out: (text) => {
      out += typeof text === 'string' ? text : Buffer.from(text).toString('latin1')
      onOut?.(out)
    },
    say: (text) => void (said += text),
    outIsTerminal: isTerminal,
    sayIsTerminal: isTerminal,
    columns: isTerminal ? 80 : 0,
    rows: isTerminal ? 24 : 0,
    input: chunksOf(chunk),
    inputIsTerminal: input === undefined,
    environment: {},
    signal,
  })
  return { code, out, said }
}

async function* chunksOf(bytes: Uint8Array | undefined): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < (bytes?.length ?? 0); at += 65_536) {
    yield await Promise.resolve(bytes?.subarray(at, at + 65_536) ?? new Uint8Array())
  }
}

/** The path of a database with the tables. */
export function madeDatabase(t: TestContext): string {
  const path = scratchPath(t)
  open(path).close()
  return path
}
