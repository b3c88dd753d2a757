/**
 * `tinymq bench`: how fast rows reach the user's other host, through nothing but the tables. Must
 * never leave a row in an inbox whose owner has not agreed: the other end runs `--serve`, or the
 * user says `--leave`.
 */
import type { Command } from 'commander'
import { TinymqError } from '../errors.ts'
import { figureLines, figuresJson, type Figures } from './bench-figures.ts'
import { type Greeting, Measurement } from './bench-measurement.ts'
import { benchToken, serveBench } from './bench-serve.ts'
import {
  type Context,
  type DatabaseFlags,
  type JsonFlags,
  Opened,
  wholeNumber,
  withDatabase,
  withJson,
} from './command.ts'
import { jsonLine } from './terminal.ts'

type Flags = DatabaseFlags &
  JsonFlags & {
    readonly port: number
    readonly token: string
    readonly rows: number
    readonly bytes: number
    readonly messages: number
    readonly serve?: true
    readonly leave?: true
  }

export function addBench(program: Command, context: Context): void {
  const command = program
    .command('bench')
    .description('measure rows a second and latency to another host of yours')
    .argument('[host]', 'name or address of the machine to send to')
    .option('-p, --port <port>', 'UDP port of its daemon', wholeNumber(1, 65_535), 9000)
    .option('-t, --token <token>', 'a key that both have, or a label', benchToken)
    .option('-r, --rows <count>', 'rows in bulk', wholeNumber(1, 10_000_000), 20_000)
    .option('-b, --bytes <count>', 'bytes of each', wholeNumber(1, 1_048_576), 100)
    .option('-m, --messages <count>', 'messages one by one', wholeNumber(1, 100_000), 200)
    .option('--serve', 'on the other host: take the rows away as they come, and answer')
    .option('--leave', 'send although nobody serves: the rows stay in the mqin of that host')
    .addHelpText('after', explanation)
  withJson(withDatabase(command)).action(async (host: string | undefined, flags: Flags) => {
    if ((host === undefined) !== (flags.serve === true)) {
      throw new TinymqError('TINYMQ_BAD_ARGUMENT', 'name a host to measure, or say --serve')
    }
    using opened = new Opened(flags)
    if (host === undefined) await serveBench(opened, flags.token, context.terminal)
    else await measure(opened, host, flags, context)
  })
}

const explanation = `
On the other host, first:  tinymq bench --serve
On this one, then:         tinymq bench THATHOST

Rows carry the header "tinymq-bench", under the token tinymq-bench unless --token says otherwise
(with a key ring it must be the name of a key). --serve takes only rows with both, and what an
earlier run has left. A consumer over there that takes every token would get them as well.

Both daemons must run. What is measured is what an application sees: from the commit of an INSERT
here until this host knows that the row is on the disk over there; and, when somebody serves, until
the answer to it is here. Beside it stands what the disk of this host does by itself.
`

async function measure(
  opened: Opened,
  host: string,
  flags: Flags,
  { terminal, end }: Context,
): Promise<void> {
  const { rows, bytes, messages, json } = flags
  const target = { host, port: flags.port, token: flags.token }
  const measurement = new Measurement(opened, target, terminal)
  try {
    measurement.refuseBacklog()
    const greeting = await measurement.greet()
    const isServed = greeting.type === 'served'
    const refusal = refusalOf(greeting, host, flags)
    if (refusal !== undefined) {
      terminal.say(`tinymq: ${refusal}\n`)
      return end(1)
    }
    const figures: Figures = {
      ...target,
      rows,
      bytes,
      local: measurement.local(rows, bytes),
      bulk: await measurement.bulk(rows, bytes),
      delivered: await measurement.delivered(messages, bytes),
      answered: isServed ? await measurement.answered(messages, bytes) : undefined,
      network: measurement.network(),
    }
    const lines = json === true ? [jsonLine(figuresJson(figures))] : figureLines(figures)
    await terminal.out(`${lines.join('\n')}\n`)
    if (!isServed) terminal.say(left(rows + messages + 1, flags.token))
  } catch (error) {
    if (!terminal.signal.aborted) throw error
    terminal.say('tinymq: ended before its time; what had not left yet is taken back.\n')
    end(130)
  } finally {
    measurement.takeBack()
  }
}

/** Why nothing is measured. */
function refusalOf(greeting: Greeting, host: string, { port, leave }: Flags): string | undefined {
  if (greeting.type === 'unreachable') {
    return `no row reaches ${host}:${port}${greeting.reason}. tinymq doctor says more.`
  }
  if (greeting.type === 'served' || leave === true) return undefined
  const sentence = `nobody takes the rows away at ${host}: the one that asked is in its mqin now`
  return `${sentence}. Run tinymq bench --serve there, or say --leave.`
}

function left(count: number, token: string): string {
  const sql = `DELETE FROM mqin WHERE token = '${token.replaceAll("'", "''")}'`
  const said = `${count.toLocaleString('en-US')} rows are in mqin over there now`
  return `tinymq: ${said}. To remove them there: ${sql} AND headers LIKE '%"tinymq-bench"%';\n`
}
