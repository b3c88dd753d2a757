/** `tinymq inbox`: what has arrived, and with `--follow` what arrives. */
import type { Command } from 'commander'
import type { Message } from '../sdk/inbox-reader.ts'
import { CliSession, type Context, everyChange } from './context.ts'
import {
  type DatabaseFlags,
  type JsonFlags,
  wholeNumber,
  withDatabase,
  withJson,
} from './command-line.ts'
import type { Terminal } from './output.ts'
import { jsonLine, cut, oneLine } from '../daemon/platform/text.ts'

type Flags = DatabaseFlags &
  JsonFlags & {
    readonly token?: string
    readonly after: number
    readonly limit?: number
    readonly follow?: true
    readonly raw?: true
    readonly delete?: true
  }

export function addInbox(program: Command, context: Context): void {
  const command = program
    .command('inbox')
    .description('show the messages that have arrived, the oldest first')
    .option('-t, --token <token>', 'only those under this token')
    .option('-a, --after <id>', 'only those with a higher id', wholeNumber(0), 0)
    .option('-n, --limit <count>', 'at most so many', wholeNumber(1))
    .option('-F, --follow', 'go on with what arrives, until Ctrl-C')
    .option('-r, --raw', 'nothing but the data, as it came, each with a line end')
    .option('--delete', 'delete each message once all of it is printed')
  withJson(withDatabase(command)).action(async (flags: Flags) => {
    using opened = new CliSession(flags)
    const printer = new Printer(opened, flags, context.terminal)
    await printer.printAll()
    if (flags.follow !== true) return
    for await (const _ of everyChange(opened, context.terminal.signal)) {
      if (!(await printer.printAll())) return
    }
  })
}

class Printer {
  readonly #opened: CliSession
  readonly #flags: Flags
  readonly #terminal: Terminal
  #after: number
  #left: number

  constructor(opened: CliSession, flags: Flags, terminal: Terminal) {
    this.#opened = opened
    this.#flags = flags
    this.#terminal = terminal
    this.#after = flags.after
    this.#left = flags.limit ?? Infinity
  }

  /** @returns whether more may follow. */
  async printAll(): Promise<boolean> {
    const { token, delete: deletes } = this.#flags
    const options = { after: this.#after, limit: this.#left, ...(token !== undefined && { token }) }
    const done = this.#opened.db.prepare<[number]>('DELETE FROM mqin WHERE id = ?')
    for (const message of this.#opened.mq.readInbox(options)) {
      if (this.#terminal.signal.aborted) return false
      // What cannot be printed ends the command here, and stays.
      await this.#print(message)
      if (deletes === true) done.run(message.id)
      this.#after = message.id
      this.#left--
    }
    return this.#left > 0
  }

  async #print(message: Message): Promise<void> {
    const { json, raw } = this.#flags
    const { out, outIsTerminal, columns } = this.#terminal
    if (raw === true) return out(rawLine(message.data))
    if (json === true) return out(`${jsonLine(messageJson(message))}\n`)
    const line = messageLine(message)
    return out(`${outIsTerminal && columns > 0 ? cut(line, columns) : line}\n`)
  }
}

function rawLine(data: string | Uint8Array): string | Uint8Array {
  return typeof data === 'string' ? `${data}\n` : Buffer.concat([data, Buffer.from('\n')])
}

function messageLine({ id, arrivedAt, host, port, token, data }: Message): string {
  const from = host === '' ? '?' : `${host}:${port}`
  const text = typeof data === 'string' ? data : `(${data.length} bytes) ${hexStart(data)}`
  const at = arrivedAt.toISOString().replace('T', ' ').slice(0, 19)
  return [id, at, from, token === '' ? '-' : token, text]
    .map((part) => oneLine(String(part)))
    .join('  ')
}

function hexStart(data: Uint8Array): string {
  const start = Buffer.from(data.subarray(0, 16)).toString('hex')
  return data.length > 16 ? `${start}…` : start
}

/** The contract of `--json`, for `inbox` and `dead list`. Bytes are in Base64. */
function messageJson(message: Message): object {
  const { id, host, port, token, data, headers, headersText, sentAt, arrivedAt } = message
  const body =
    typeof data === 'string' ? { data } : { dataBase64: Buffer.from(data).toString('base64') }
  return {
    id,
    host,
    port,
    token,
    sentAt: sentAt?.toISOString() ?? null,
    arrivedAt: arrivedAt.toISOString(),
    headers,
    // What is no JSON object, or one that is nested too deep.
    ...(headers === null && headersText !== null && { headersText }),
    ...body,
  }
}
