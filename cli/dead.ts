/** `tinymq dead`: messages that no consumer could process. */
import type { Command } from 'commander'
import { TinymqError } from '../sdk/schema/errors.ts'
import { type Context, CliSession } from './context.ts'
import {
  type DatabaseFlags,
  idList,
  type JsonFlags,
  wholeNumber,
  withDatabase,
  withJson,
} from './command-line.ts'
import { redriveSql } from '../sdk/schema/reply-headers.ts'
import { dateOf } from '../sdk/schema/sql-time.ts'
import { addressText } from './peers.ts'
import { type Column, countText, tableLines } from './output.ts'
import { jsonLine } from '../daemon/platform/text.ts'

type DeadRow = {
  readonly id: number
  readonly host: string | null
  readonly port: number | null
  readonly token: string | null
  readonly died_at: number | null
  readonly error: string | null
}

type ListFlags = DatabaseFlags & JsonFlags & { readonly limit: number }
type RedriveFlags = DatabaseFlags & { readonly all?: true }

export function addDead(program: Command, context: Context): void {
  const dead = program.command('dead').description('messages that no consumer could process')
  const list = dead
    .command('list')
    .description('show them, the oldest first')
    .option('-n, --limit <count>', 'at most so many', wholeNumber(1), 20)
  withJson(withDatabase(list)).action((flags: ListFlags) => printList(flags, context))
  const redrive = dead
    .command('redrive')
    .description('put them back into the inbox, as new rows at its end')
    .argument('[id...]', 'ids in mqdead', idList)
    .option('--all', 'all of them')
  withDatabase(redrive).action((ids: readonly number[] | undefined, flags: RedriveFlags) =>
    redriveSome(ids ?? [], flags, context),
  )
}

async function printList(flags: ListFlags, { terminal }: Context): Promise<void> {
  using opened = new CliSession(flags)
  const rows = opened.rows<DeadRow>(
    'SELECT id, host, port, token, died_at, error FROM mqdead ORDER BY id LIMIT ?',
    flags.limit,
  )
  const lines =
    flags.json === true
      ? rows.map((row) => jsonLine(rowJson(row)))
      : tableLines(rows, columns, terminal.columns)
  const text = lines.map((line) => `${line}\n`).join('')
  await terminal.out(rows.length === 0 && flags.json !== true ? 'no dead messages\n' : text)
}

const columns: readonly Column<DeadRow>[] = [
  { title: 'id', cell: ({ id }) => id, isNumber: true },
  { title: 'from', cell: ({ host, port }) => addressText(host, port) },
  { title: 'token', cell: ({ token }) => token },
  { title: 'died', cell: ({ died_at: at }) => shownTime(at) },
  { title: 'why', cell: ({ error }) => error },
]

const shownTime = (ms: unknown): string | null =>
  dateOf(ms)?.toISOString().replace('T', ' ').slice(0, 19) ?? null

function rowJson({ died_at: diedAt, ...row }: DeadRow): object {
  return { ...row, diedAt: dateOf(diedAt)?.toISOString() ?? null }
}

/** A batch is a transaction: more would keep the daemon waiting. */
const batchRows = 1_000

async function redriveSome(
  ids: readonly number[],
  flags: RedriveFlags,
  { terminal, end }: Context,
): Promise<void> {
  using opened = new CliSession(flags)
  if ((ids.length === 0) === (flags.all !== true)) {
    throw new TinymqError('TINYMQ_INVALID_ARGUMENT', 'name the ids to put back, or say --all')
  }
  if (flags.all !== true) {
    for (const id of ids) {
      if (moveBack(opened, 'id = ?', id) > 0) await terminal.out(`${id} is in the inbox again\n`)
      else {
        terminal.say(`tinymq: there is no dead message ${id}.\n`)
        end(1)
      }
    }
    return
  }
  let count = 0
  const oldest = `id IN (SELECT id FROM mqdead ORDER BY id LIMIT ${batchRows})`
  for (let moved = moveBack(opened, oldest); moved > 0; moved = moveBack(opened, oldest)) {
    count += moved
  }
  await terminal.out(`${countText(count)} back in the inbox\n`)
}

function moveBack(opened: CliSession, where: string, ...values: unknown[]): number {
  const [copySql, removeSql] = redriveSql(where)
  const insert = opened.db.prepare(copySql)
  const remove = opened.db.prepare(removeSql)
  return opened.db
    .transaction(() => {
      insert.run(...values)
      return remove.run(...values).changes
    })
    .immediate()
}
