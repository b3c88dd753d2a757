/** `tinymq retry`: tries now what waits for its next attempt. */
import type { Command } from 'commander'
import { TinymqError } from '../sdk/schema/errors.ts'
import { CliSession, type Context } from './context.ts'
import { type DatabaseFlags, idList, withDatabase } from './command-line.ts'
import { countText, Progress } from './output.ts'

type Flags = DatabaseFlags & { readonly all?: true; readonly resend?: true }

export function addRetry(program: Command, context: Context): void {
  const command = program
    .command('retry')
    .description('try a host, or a row, now instead of at its next attempt')
    .argument('[what...]', 'host, host:port, or the id of a row in mqout')
    .option('--all', 'every host and every parked row')
    .option('--resend', 'go on where a host is held back because rows may be duplicated')
  withDatabase(command).action(async (words: readonly string[], flags: Flags) => {
    using opened = new CliSession(flags)
    const { terminal, end } = context
    if ((words.length === 0) === (flags.all !== true)) {
      const sentence = 'name what to try again, or say --all'
      throw new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)
    }
    const wish = flags.resend === true ? 'resend' : 'retry'
    const targets = flags.all === true ? [everything] : words.map(targetOf)
    for (const target of targets) {
      using progress = new Progress(terminal, 'trying again')
      const { lanes, rows } = tryAgain(opened, target, wish, progress)
      if (lanes + rows === 0) {
        const whom = target === everything ? '' : ` for ${target.name}`
        terminal.say(`tinymq: there is nothing to try again${whom}.\n`)
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

type Again = { readonly lanes: number; readonly rows: number }

/** A batch is a transaction: more would keep the daemon waiting. */
const batchRows = 1_000

/** What leaves `mqparked` is tried again, and the daemon acts on a wish at once. */
function tryAgain(
  opened: CliSession,
  { host, port, id }: Target,
  wish: 'retry' | 'resend',
  progress: Progress,
): Again {
  const { db } = opened
  const wished = id === null ? wishFor(opened, wish, host, port) : wishForRow(opened, wish, id)
  const next = db.prepare<unknown[], { first: number | null; last: number; count: number }>(
    `SELECT min(id) AS first, max(id) AS last, count(*) AS count FROM (
      SELECT id FROM mqparked AS p WHERE id > ? AND (? IS NULL OR id = ?)
        AND EXISTS (SELECT 1 FROM mqout AS o WHERE o.id = p.id AND o.uid = p.uid
          AND (? IS NULL OR o.host = ?) AND (? IS NULL OR o.port = ?))
      ORDER BY id LIMIT ${batchRows})`,
  )
  const free = db.prepare(
    `DELETE FROM mqparked WHERE id BETWEEN ? AND ?
      AND EXISTS (SELECT 1 FROM mqout AS o WHERE o.id = mqparked.id
        AND (? IS NULL OR o.host = ?) AND (? IS NULL OR o.port = ?))`,
  )
  let [after, rows] = [0, 0]
  for (;;) {
    const batch = next.get(after, id, id, host, host, port, port)
    if (batch === undefined || batch.first === null) return { lanes: wished, rows }
    const { first, last } = batch
    rows += free.run(first, last, host, host, port, port).changes
    after = last
    progress.show(rows, undefined, 'rows')
  }
}

function wishFor(
  { db }: CliSession,
  wish: string,
  host: string | null,
  port: number | null,
): number {
  const lanes = db.prepare(
    'UPDATE mqlane SET requested = ? WHERE (? IS NULL OR host = ?) AND (? IS NULL OR port = ?)',
  )
  return lanes.run(wish, host, host, port, port).changes
}

/**
 * A row that is not parked waits for its lane. What may be duplicated is the choice of a whole
 * host.
 */
function wishForRow({ db }: CliSession, wish: 'retry' | 'resend', id: number): number {
  if (wish === 'resend') return 0
  const lanes = db.prepare(
    `UPDATE mqlane SET requested = 'retry' WHERE (host, port) IN (
      SELECT o.host, o.port FROM mqout AS o WHERE o.id = ?
        AND NOT EXISTS (SELECT 1 FROM mqparked AS p WHERE p.id = o.id))`,
  )
  return lanes.run(id).changes
}

const said = (count: number, noun: string): string =>
  `${countText(count)} ${noun}${count === 1 ? '' : 's'}`

// `tinymq cancel`: takes messages back.

export function addCancel(program: Command, context: Context): void {
  const command = program
    .command('cancel')
    .description('stop trying to send these rows of the outbox: deletes them')
    .argument('<id...>', 'ids of rows in mqout', idList)
  withDatabase(command).action(async (ids: readonly number[], flags: DatabaseFlags) => {
    using opened = new CliSession(flags)
    for (const id of ids) await cancelOne(opened, id, context)
  })
}

async function cancelOne(
  opened: CliSession,
  id: number,
  { terminal, end }: Context,
): Promise<void> {
  const before = opened.rows<{ state: string }>('SELECT state FROM mqstatus WHERE id = ?', id).at(0)
  if (opened.mq.cancel(id)) {
    const late =
      before?.state === 'in flight' ? '; it was in flight and may arrive all the same' : ''
    return terminal.out(`${id} cancelled${late}\n`)
  }
  terminal.say(`tinymq: row ${id} is not in the outbox: it was delivered or deleted.\n`)
  end(1)
}
