/**
 * What a command may touch of the process that runs it. A command prints data to `out` and messages
 * to `say`; it must never reach for the process itself, so that a test can stand in for it.
 */
import { isatty } from 'node:tty'
import { isError } from '../sdk/schema/errors.ts'

export type Terminal = {
  /**
   * To stdout: data, for people and programs. Resolves when all of it was handed over, so that what
   * it shows may be deleted.
   * @throws OutputError, as a rejection
   */
  readonly out: (text: string | Uint8Array) => void | Promise<void>
  /** To stderr: what is reported about the data. */
  readonly say: (text: string) => void
  /** Whether a person looks at stdout, at stderr. */
  readonly outIsTerminal: boolean
  readonly sayIsTerminal: boolean
  /** Columns and rows of the screen; 0 when there is none. */
  readonly columns: number
  readonly rows: number
  /** Stdin, and whether a person would have to type it. */
  readonly input: AsyncIterable<Uint8Array>
  readonly inputIsTerminal: boolean
  readonly environment: { readonly [variable: string]: string | undefined }
  /** Aborted when the user ends the command (Ctrl-C) or nobody reads what it prints. */
  readonly signal: AbortSignal
}

/** What was to be printed was not, or not all of it. */
export class OutputError extends Error {
  /** Nobody reads it any more, the user has ended the command, or it cannot be written. */
  readonly reason: 'reader gone' | 'interrupted' | 'failed'

  constructor(reason: OutputError['reason'], cause?: unknown) {
    const why = isError(cause) ? cause.message : reason
    super(`stdout cannot be written: ${why}`, { cause })
    this.reason = reason
  }
}

// The terminal of a real process, which is handed in.

/** What is needed of `process`. */
type HostProcess = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr' | 'env' | 'once'>

/**
 * Ctrl-C ends the command in order, a second one at once. When nobody reads what it prints any more
 * (`tinymq inbox | head -1`) or the disk of a file is full, that is its end too.
 */
export function terminalOf(host: HostProcess): Terminal {
  const { stdin, stdout, stderr } = host
  const ending = new AbortController()
  host.once('SIGINT', () => ending.abort())
  host.once('SIGTERM', () => ending.abort())
  // A terminal that is closed: to the daemons of a demo this would mean something else.
  host.once('SIGHUP', () => ending.abort())
  const output = new Output(stdout, ending)
  // Whoever reads the messages has gone: no reason to stop.
  stderr.on('error', () => {})
  return {
    out: async (text) => output.write(text),
    say: (text) => void stderr.write(text),
    outIsTerminal: isatty(stdout.fd),
    sayIsTerminal: isatty(stderr.fd),
    get columns() {
      return isatty(stdout.fd) ? stdout.columns : 0
    },
    get rows() {
      return isatty(stdout.fd) ? stdout.rows : 0
    },
    input: stdin,
    inputIsTerminal: isatty(stdin.fd),
    environment: host.env,
    signal: ending.signal,
  }
}

/**
 * Prints one text after the other to a stream. What is printed is not held in memory, and what was
 * not printed is known.
 */
class Output {
  readonly #stream: NodeJS.WriteStream
  readonly #signal: AbortSignal
  #failure: OutputError | undefined

  constructor(stream: NodeJS.WriteStream, ending: AbortController) {
    this.#stream = stream
    this.#signal = ending.signal
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.#failure ??= outputError(error)
      ending.abort()
    })
  }

  async write(text: string | Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // A reader that does not read must not keep the command from ending.
    const onAbort = (): void => reject(this.#failure ?? new OutputError('interrupted'))
    this.#signal.addEventListener('abort', onAbort, { once: true })
    this.#stream.write(text, (error) => (error ? reject(outputError(error)) : resolve()))
    try {
      await promise
    } finally {
      this.#signal.removeEventListener('abort', onAbort)
    }
  }
}

function outputError(cause: NodeJS.ErrnoException): OutputError {
  const isReaderGone = cause.code === 'EPIPE' || cause.code === 'ERR_STREAM_DESTROYED'
  return new OutputError(isReaderGone ? 'reader gone' : 'failed', cause)
}
