/** `tinymq retry`: tries now what waits for its next attempt. */
import type { Command } from 'commander'
import { TinymqError } from '../errors.ts'
import { type Context, type DatabaseFlags, Opened, withDatabase } from './command.ts'
import { countText } from './table.ts'

type Flags = DatabaseFlags & { readonly all?: true; readonly resend?: true }

export function addRetry(program: Command, context: Context): void {
  const command = program
    .command('retry')
    .description('try a host, or a parked row, now instead of at its next attempt')
    .argument('[what...]', 'host, host:port, or the id of a row in mqout')
    .option('--all', 'every host and every parked row')
    .option('--resend', 'go on where a host is held back because rows may double')
  withDatabase(command).action(async (words: readonly string[], flags: Flags) => {
    using opened = new Opened(flags)
    const { terminal, end } = context
    if ((words.length === 0) === (flags.all !== true)) {
      const sentence = 'name what to try again, or say --all'
      throw new TinymqError('TINYMQ_BAD_ARGUMENT', sentence)
    }
    const wish = flags.resend === true ? 'resend' : 'retry'
    const targets = flags.all === true ? [everything] : words.map(targetOf)
    for (const target of targets) {
      const { lanes, rows } = tryAgain(opened, target, wish)
      if (lanes + rows === 0) {
        terminal.say(`tinymq: there is nothing to try again for ${target.name}.\n`)
        end(1)
      } else await terminal.out(`${target.name}: ${said(lanes, 'lane')}, ${said(rows, 'row')}\n`)
    }
  })
}

type Target = {
  readonly name: string
  readonly host: string | null
  readonly port: number | null
  readonly id: number | null
}

const everything: Target = { name: 'everything', host: null, port: null, id: null }

function targetOf(word: string): Target {
  if (/^\d+$/.test(word)) return { name: `row ${word}`, host: null, port: null, id: Number(word) }
  const match = /^(?<host>.+?)(?::(?<port>\d{1,5}))?$/.exec(word)
  // An IPv6 address has colons of its own.
  const isAddress = word.split(':').length > 2
  const host = isAddress ? word : (match?.groups?.['host'] ?? word)
  const port = isAddress ? undefined : match?.groups?.['port']
  return { name: word, host, port: port === undefined ? null : Number(port), id: null }
}

/** An UPDATE of a parked row takes it out of `mqparked`, and the daemon acts on a wish at once. */
function tryAgain(
  opened: Opened,
  { host, port, id }: Target,
  wish: 'retry' | 'resend',
): { readonly lanes: number; readonly rows: number } {
  const lanes = opened.db.prepare(
    `UPDATE mqlane SET wish = ? WHERE ? IS NULL AND (? IS NULL OR host = ?)
      AND (? IS NULL OR port = ?)`,
  )
  const rows = opened.db.prepare(
    `UPDATE mqout SET host = host WHERE id IN (SELECT id FROM mqparked)
      AND (? IS NULL OR id = ?) AND (? IS NULL OR host = ?) AND (? IS NULL OR port = ?)`,
  )
  return opened.db
    .transaction(() => ({
      lanes: lanes.run(wish, id, host, host, port, port).changes,
      rows: rows.run(id, id, host, host, port, port).changes,
    }))
    .immediate()
}

const said = (count: number, noun: string): string =>
  `${countText(count)} ${noun}${count === 1 ? '' : 's'}`
