/** Rows as a table for people. Must never change what a value says, beyond making it one line. */
import { isatty } from 'node:tty'
import { isError } from '../sdk/schema/errors.ts'
import { cut, oneLine } from '../daemon/platform/text.ts'

export type Cell = string | number | null

export type Column<Row> = {
  readonly title: string
  readonly cell: (row: Row) => Cell
  /** Numbers stand to the right. */
  readonly isNumber?: true
}

/**
 * Lines without line ends, the titles first. `columns` 0: as wide as it takes; else the last column
 * is cut to fit.
 */
export function tableLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
): string[] {
  const cells = rows.map((row) => columns.map(({ cell }) => textOf(cell(row))))
  const all = [columns.map(({ title }) => title), ...cells]
  const widths = columns.map((_, at) => Math.max(...all.map((line) => lengthOf(line[at]))))
  return all.map((line) => {
    const padded = line.map((text, at) => pad(text, widths[at] ?? 0, columns[at]?.isNumber))
    const joined = padded.join('  ').trimEnd()
    return width > 0 ? cut(joined, width) : joined
  })
}

function textOf(value: Cell): string {
  return value === null ? '' : oneLine(String(value))
}

const lengthOf = (text = ''): number => Array.from(text).length

function pad(text: string, width: number, isNumber?: true): string {
  const space = ' '.repeat(Math.max(0, width - lengthOf(text)))
  return isNumber === true ? space + text : text + space
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1536` → `1.5 KiB`. */
export function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), byteUnits.length - 1)
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${byteUnits[power]}`
}

/** `93784` → `1d 2h`: two units at most. */
export function durationText(seconds: number): string {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)}s`
  const whole = Math.round(seconds)
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3_600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first, first + 2)
    .filter(([count], at) => at === 0 || count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ')
}

/** `1234567` → `1,234,567`. */
export function countText(count: number): string {
  return count.toLocaleString('en-US')
}

// How far long work has come, on one line of stderr that is written over. Must never say anything
// where no person looks.

const pauseMs = 100
const barColumns = 24

export class Progress implements Disposable {
  readonly #terminal: Terminal
  readonly #label: string
  #shownAtMs = -Infinity
  #isShown = false

  constructor(terminal: Terminal, label: string) {
    this.#terminal = terminal
    this.#label = label
  }

  /** `total` undefined: nobody knows how much there is. */
  show(done: number, total: number | undefined, unit: string, nowMs = performance.now()): void {
    if (!this.#terminal.sayIsTerminal || nowMs - this.#shownAtMs < pauseMs) return
    this.#shownAtMs = nowMs
    this.#isShown = true
    const bar = total === undefined || total === 0 ? '' : `${barOf(done / total)} `
    const of = total === undefined ? '' : ` of ${total.toLocaleString('en-US')}`
    const count = `${done.toLocaleString('en-US')}${of} ${unit}`
    this.#terminal.say(`\r\u001b[K${this.#label} ${bar}${count}`)
  }

  /** The line is taken away again. */
  [Symbol.dispose](): void {
    if (this.#isShown) this.#terminal.say('\r\u001b[K')
  }
}

function barOf(part: number): string {
  const full = Math.round(Math.min(1, Math.max(0, part)) * barColumns)
  return `[${'#'.repeat(full)}${'-'.repeat(barColumns - full)}]`
}

// Lines of a stream of bytes. A line ends at LF and nowhere else: not at a CR, and not at what
// Unicode calls a line separator. Must never look at bytes as text.

export type Line = {
  /** Without what ends it. */
  readonly bytes: Buffer
  /** Counts from 1. */
  readonly number: number
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * The lines, the last one also without an end of its own.
 * @param dropsCr CR LF ends a line too.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  dropsCr: boolean,
): AsyncGenerator<Line> {
  let begun: Buffer[] = []
  let number = 0
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let from = 0
    for (let at = bytes.indexOf(lineFeed); at !== -1; at = bytes.indexOf(lineFeed, from)) {
      const line = Buffer.concat([...begun, bytes.subarray(from, at)])
      begun = []
      from = at + 1
      const isDos = dropsCr && line.at(-1) === carriageReturn
      yield { bytes: isDos ? line.subarray(0, -1) : line, number: ++number }
    }
    if (from < bytes.length) begun.push(bytes.subarray(from))
  }
  if (begun.length > 0) yield { bytes: Buffer.concat(begun), number: ++number }
}

/** The same, so many at a time, or fewer when they are long. */
export async function* batchesOf(
  lines: AsyncIterable<Line>,
  linesMax: number,
  bytesMax: number,
): AsyncGenerator<Line[]> {
  let [batch, bytes]: [Line[], number] = [[], 0]
  for await (const line of lines) {
    batch.push(line)
    bytes += line.bytes.length
    if (batch.length < linesMax && bytes < bytesMax) continue
    yield batch
    ;[batch, bytes] = [[], 0]
  }
  if (batch.length > 0) yield batch
}

// What a command may touch of the process that runs it. A command prints data to `out` and
// messages to `say`; it must never reach for the process itself, so that a test can stand in
// for it.

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
