/** `tinymq status`: what waits, and why. */
import type { Command } from 'commander'
import {
  type Context,
  type DatabaseFlags,
  type JsonFlags,
  Opened,
  wholeNumber,
  withDatabase,
  withJson,
} from './command.ts'
import { bytesText, type Column, countText, durationText, tableLines } from './table.ts'

type Flags = DatabaseFlags &
  JsonFlags & { readonly limit: number; readonly host?: string; readonly id?: number }

type StatusRow = {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly token: string
  readonly bytes: number
  readonly age_s: number
  readonly state: string
  readonly reason: string
  readonly retry_in_s: number | null
}

/** How much there is in each table, and how old the oldest is. */
export type Totals = {
  readonly outbox: number
  readonly oldestS: number | null
  readonly parked: number
  readonly inbox: number
  readonly dead: number
}

export function addStatus(program: Command, context: Context): void {
  const command = program
    .command('status')
    .description('show what waits in the outbox, the oldest first, and why it is still there')
    .option('-n, --limit <count>', 'at most so many rows', wholeNumber(0), 20)
    .option('--host <host>', 'only what is for this host')
    .option('--id <id>', 'only this row', wholeNumber(1))
  withJson(withDatabase(command)).action(async (flags: Flags) => {
    using opened = new Opened(flags)
    const rows = readStatus(opened, flags)
    const { out, say, columns } = context.terminal
    if (flags.id !== undefined && rows.length === 0) {
      say(`tinymq: row ${flags.id} is not in the outbox: it was delivered or deleted.\n`)
      return context.end(1)
    }
    const totals = readTotals(opened)
    if (flags.json === true) {
      const lines = [{ type: 'totals', ...totals }, ...rows.map((row) => ({ type: 'row', ...row }))]
      await out(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      return
    }
    await out(`${totalsLine(totals)}\n`)
    if (rows.length > 0) await out(`\n${tableLines(rows, statusColumns, columns).join('\n')}\n`)
    const more = totals.outbox - rows.length
    if (more > 0 && rows.length === flags.limit) await out(`and ${countText(more)} more\n`)
  })
}

const statusColumns: readonly Column<StatusRow>[] = [
  { title: 'id', cell: ({ id }) => id, isNumber: true },
  { title: 'to', cell: ({ host, port }) => `${host}:${port}` },
  { title: 'token', cell: ({ token }) => token },
  { title: 'size', cell: ({ bytes }) => bytesText(bytes), isNumber: true },
  { title: 'age', cell: ({ age_s: age }) => durationText(age), isNumber: true },
  { title: 'state', cell: ({ state }) => state },
  { title: 'why', cell: whyOf },
]

function whyOf({ reason, retry_in_s: retryInS }: StatusRow): string {
  return retryInS === null ? reason : `${reason}; next try in ${durationText(retryInS)}`
}

function readStatus(opened: Opened, { limit, host, id }: Flags): StatusRow[] {
  const conditions = [
    ...(host === undefined ? [] : ['host = ?']),
    ...(id === undefined ? [] : ['id = ?']),
  ]
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
  const values = [host, id].filter((value) => value !== undefined)
  return opened.rows<StatusRow>(
    `SELECT id, host, port, token, bytes, age_s, state, reason, retry_in_s
      FROM mqstatus ${where} ORDER BY id LIMIT ?`,
    ...values,
    limit,
  )
}

/** Counted along indexes and primary keys: 1,000,000 rows take some hundredths of a second. */
export function readTotals(opened: Opened): Totals {
  const rows = opened.rows<Omit<Totals, 'oldestS'> & { readonly oldest: number | null }>(
    `SELECT (SELECT count(*) FROM mqout) AS outbox,
      (SELECT created_at FROM mqout ORDER BY id LIMIT 1) AS oldest,
      (SELECT count(*) FROM mqparked) AS parked,
      (SELECT count(*) FROM mqin) AS inbox,
      (SELECT count(*) FROM mqdead) AS dead`,
  )
  const { oldest, ...counts } = rows[0] ?? { ...nothing, oldest: null }
  const oldestS = oldest === null ? null : Math.max(0, (Date.now() - oldest) / 1_000)
  return { ...counts, oldestS }
}

const nothing = { outbox: 0, parked: 0, inbox: 0, dead: 0 }

export function totalsLine({ outbox, oldestS, parked, inbox, dead }: Totals): string {
  const oldest = oldestS === null ? '' : `, the oldest ${durationText(oldestS)}`
  const apart = parked === 0 ? '' : `, ${countText(parked)} parked`
  const lost = dead === 0 ? '' : `; ${countText(dead)} dead`
  return `outbox ${countText(outbox)}${oldest}${apart}; inbox ${countText(inbox)}${lost}`
}
