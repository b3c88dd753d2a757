/** `tinymq send`: one message, a file, or one message a line. */
import { isUtf8 } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { type Command, InvalidArgumentError } from 'commander'
import { TinymqError } from '../sdk/schema/errors.ts'
import type { OutgoingMessage } from '../sdk/outgoing-message.ts'
import { type Context, CliSession } from './context.ts'
import {
  type DatabaseFlags,
  type JsonFlags,
  seconds,
  wholeNumber,
  withDatabase,
  withJson,
} from './command-line.ts'
import { batchesOf, linesOf, Progress } from './output.ts'
import { jsonLine } from '../daemon/platform/text.ts'

type Flags = DatabaseFlags &
  JsonFlags & {
    readonly port: number
    readonly token: string
    readonly header?: { readonly [name: string]: string }
    readonly file?: string
    readonly blob?: true
    readonly lines?: true
    readonly wait?: number | true
  }

/** Rows of one transaction: more would keep other writers waiting. */
const batchRows = 1_000
const batchBytes = 8 * 1024 ** 2

export function addSend(program: Command, context: Context): void {
  const command = program
    .command('send')
    .description('put a message into the outbox; the daemon sends it')
    .argument('<host>', 'name or address of the machine to send to')
    .argument('[data]', 'the message; without it, or with -, stdin is read')
    .option('-p, --port <port>', 'UDP port of its daemon', wholeNumber(1, 65_535), 9000)
    .option('-t, --token <token>', 'name of a shared key, or a label', '')
    .option('-H, --header <name=value>', 'a header; may be given again', addHeader)
    .option('-f, --file <path>', 'send what is in this file')
    .option('-b, --blob', 'send bytes, which arrive as a BLOB, instead of text')
    .option('-l, --lines', 'send each line of the file or of stdin as a message of its own')
    .option(
      '-w, --wait [seconds]',
      'until the peer has it on disk; 1 when it takes longer',
      seconds,
    )
  withJson(withDatabase(command)).action(
    async (host: string, data: string | undefined, flags: Flags) => {
      using opened = new CliSession(flags)
      const sender = new Sender(opened, host, flags, context)
      if (flags.lines === true) await sender.sendLines(data)
      else await sender.sendOne(data)
      if (flags.wait !== undefined) await sender.waitUntilDelivered()
    },
  )
}

function addHeader(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at <= 0) throw new InvalidArgumentError('It must be name=value.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

class Sender {
  readonly #opened: CliSession
  readonly #host: string
  readonly #flags: Flags
  readonly #context: Context
  #last: number | undefined
  #count = 0

  constructor(opened: CliSession, host: string, flags: Flags, context: Context) {
    this.#opened = opened
    this.#host = host
    this.#flags = flags
    this.#context = context
  }

  async sendOne(data: string | undefined): Promise<void> {
    const { blob } = this.#flags
    const isArgument = data !== undefined && data !== '-' && this.#flags.file === undefined
    const bytes = isArgument ? Buffer.from(data) : await this.#readAll(data)
    await this.#send([blob === true ? bytes : textOf(bytes, 'what is to be sent')])
  }

  async sendLines(data: string | undefined): Promise<void> {
    const isBlob = this.#flags.blob === true
    using progress = new Progress(this.#context.terminal, 'sending')
    try {
      const lines = linesOf(await this.#source(data), !isBlob)
      for await (const batch of batchesOf(lines, batchRows, batchBytes)) {
        await this.#send(
          batch.map(({ bytes, number }) => (isBlob ? bytes : textOf(bytes, `line ${number}`))),
        )
        progress.show(this.#count, undefined, 'messages')
      }
    } catch (error) {
      const sent = this.#count === 0 ? 'no line was' : `the first ${this.#count} lines were`
      this.#context.terminal.say(`tinymq: ${sent} sent, and nothing after that.\n`)
      throw error
    }
  }

  /** A lane is in order: the last one is the last to arrive. */
  async waitUntilDelivered(): Promise<void> {
    const { terminal, end } = this.#context
    const { wait } = this.#flags
    if (this.#last === undefined) return
    const limit = typeof wait === 'number' ? [AbortSignal.timeout(wait * 1_000)] : []
    const signal = AbortSignal.any([terminal.signal, ...limit])
    try {
      await this.#opened.mq.delivered(this.#last, { signal })
    } catch (error) {
      if (error instanceof TinymqError) throw error
      const sql = 'SELECT reason FROM mqstatus WHERE id = ?'
      const reason = this.#opened.rows<{ reason: string }>(sql, this.#last).at(0)?.reason
      const why = reason === undefined ? '' : `: ${reason}`
      terminal.say(`tinymq: not delivered yet; it goes on being tried${why}\n`)
      end(1)
    }
  }

  async #send(data: readonly (string | Uint8Array)[]): Promise<void> {
    const { port, token, header: headers, json } = this.#flags
    const address = { host: this.#host, port, token, headers }
    const messages = data.map((item): OutgoingMessage => ({ ...address, data: item }))
    const ids = this.#opened.mq.sendMany(messages)
    this.#last = ids.at(-1) ?? this.#last
    this.#count += ids.length
    const lines = ids.map((id) =>
      json === true ? jsonLine({ id, host: this.#host, port, token }) : String(id),
    )
    if (lines.length > 0) await this.#context.terminal.out(`${lines.join('\n')}\n`)
  }

  async #readAll(data: string | undefined): Promise<Buffer> {
    const { file } = this.#flags
    if (file !== undefined) return this.#readFile(file, data)
    const chunks: Uint8Array[] = []
    for await (const chunk of await this.#source(data)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  async #source(data: string | undefined): Promise<AsyncIterable<Uint8Array>> {
    const { terminal } = this.#context
    const { file, lines } = this.#flags
    if (file !== undefined) return Readable.from([await this.#readFile(file, data)])
    if (data !== undefined && data !== '-') {
      const sentence = lines === true ? '--lines reads a file or stdin' : 'data is given already'
      throw new TinymqError('TINYMQ_INVALID_ARGUMENT', `${sentence}: leave out "${data}"`)
    }
    if (terminal.inputIsTerminal && data !== '-') {
      const sentence = 'there is nothing to send: give the message, --file, or pipe it in'
      throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
    }
    return terminal.input
  }

  async #readFile(file: string, data: string | undefined): Promise<Buffer> {
    if (data !== undefined) {
      const sentence = 'give the message or --file, not both'
      throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
    }
    try {
      return await readFile(file)
    } catch (cause) {
      const sentence = `${file} cannot be read: ${(cause as Error).message}`
      throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence, { cause })
    }
  }
}

function textOf(bytes: Buffer, what: string): string {
  if (isUtf8(bytes)) return bytes.toString('utf8')
  const sentence = `${what} is not text in UTF-8: say --blob to send bytes as they are`
  throw new TinymqError('TINYMQ_INVALID_TEXT', sentence)
}
