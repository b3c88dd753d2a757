/** The terminal of a real process, which is handed in. */
import { once } from 'node:events'
import { isatty } from 'node:tty'
import type { Terminal } from './terminal.ts'

/** What is needed of `process`. */
export type HostProcess = Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr' | 'env' | 'once'>

/**
 * Ctrl-C ends the command in order, a second one at once. When nobody reads what it prints any more
 * (`tinymq inbox | head -1`), that is its end too.
 */
export function terminalOf(host: HostProcess): Terminal {
  const { stdin, stdout, stderr } = host
  const ending = new AbortController()
  host.once('SIGINT', () => ending.abort())
  host.once('SIGTERM', () => ending.abort())
  stdout.on('error', () => ending.abort())
  // Whoever reads the messages has gone: no reason to stop.
  stderr.on('error', () => {})
  return {
    out: (text) => write(stdout, text, ending.signal),
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

/** Waits while the reader is slower than the writer: what is printed is not held in memory. */
async function write(stream: NodeJS.WriteStream, text: string, signal: AbortSignal): Promise<void> {
  if (stream.write(text) || signal.aborted) return
  try {
    await once(stream, 'drain', { signal })
  } catch {
    // The reader has gone, and the signal says so.
  }
}
