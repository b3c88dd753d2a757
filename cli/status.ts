/** `tinymq status`: what waits, and why. */
import type { Command } from 'commander'
import { type Context, CliSession } from './context.ts'
import {
  type DatabaseFlags,
  type JsonFlags,
  wholeNumber,
  withDatabase,
  withJson,
} from './command-line.ts'
import { countRows, type RowCount } from '../sdk/schema/sqlite-handle.ts'
import { bytesText, type Column, countText, durationText, tableLines } from './output.ts'
import { jsonLine } from '../daemon/platform/text.ts'

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
  readonly outbox: RowCount
  readonly oldestS: number | null
  readonly parked: RowCount
  readonly inbox: RowCount
  readonly dead: RowCount
}

export function addStatus(program: Command, context: Context): void {
  const command = program
    .command('status')
    .description('show what waits in the outbox, the oldest first, and why it is still there')
    .option('-n, --limit <count>', 'at most so many rows', wholeNumber(0), 20)
    .option('--host <host>', 'only what is for this host')
    .option('--id <id>', 'only this row', wholeNumber(1))
  withJson(withDatabase(command)).action(async (flags: Flags) => {
    using opened = new CliSession(flags)
    const rows = readStatus(opened, flags)
    const { out, say, columns } = context.terminal
    if (flags.id !== undefined && rows.length === 0) {
      say(`tinymq: row ${flags.id} is not in the outbox: it was delivered or deleted.\n`)
      return context.end(1)
    }
    const totals = readTotals(opened)
    if (flags.json === true) {
      const lines = [
        { type: 'totals', ...totalsJson(totals) },
        ...rows.map((row) => ({ type: 'row', ...row })),
      ]
      await out(lines.map((line) => `${jsonLine(line)}\n`).join(''))
      return
    }
    await out(`${totalsLine(totals)}\n`)
    if (rows.length > 0) await out(`\n${tableLines(rows, statusColumns, columns).join('\n')}\n`)
    const { value, isExact } = totals.outbox
    const more = { value: value - rows.length, isExact }
    const isCut = flags.host === undefined && rows.length === flags.limit
    if (more.value > 0 && isCut) await out(`and ${said(more)} more\n`)
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

/** The oldest first. The ids are found by index first: the view is asked for those alone. */
function readStatus(opened: CliSession, { limit, host, id }: Flags): StatusRow[] {
  const ids = id === undefined ? oldestIds(opened, host, limit) : [id]
  // With the plus no index by host comes into question: the ids are few.
  const mine = host === undefined ? '' : 'AND +host = ?'
  return opened.rows<StatusRow>(
    `SELECT id, host, port, token, bytes, age_s, state, reason, retry_in_s
      FROM mqstatus WHERE id IN (SELECT value FROM json_each(?)) ${mine} ORDER BY id`,
    JSON.stringify(ids),
    ...(host === undefined ? [] : [host]),
  )
}

function oldestIds(opened: CliSession, host: string | undefined, limit: number): number[] {
  const ids = (sql: string, ...values: unknown[]): number[] =>
    opened.rows<{ id: number }>(sql, ...values).map((row) => row.id)
  if (host === undefined) return ids('SELECT id FROM mqout ORDER BY id LIMIT ?', limit)
  const oldest = groupsOf(opened, host).flatMap((group) => {
    const mine = Object.keys(group).map((column) => `${column} = ?`)
    const sql = `SELECT id FROM mqout WHERE ${mine.join(' AND ')} ORDER BY id LIMIT ?`
    return ids(sql, ...Object.values(group), limit)
  })
  return oldest.toSorted((a, b) => a - b).slice(0, limit)
}

type Group = { readonly host: string; readonly port: number; readonly token?: string }

/** More of them for one host would be tokens that are no keys: then the first ones must do. */
const groupsMax = 1_000

/** What the index of lanes knows of the host: its ports, or its ports and tokens under keys. */
function groupsOf(opened: CliSession, host: string): Group[] {
  const index = opened.rows<{ name: string }>("SELECT name FROM pragma_index_info('mqout_lane')")
  const columns = index.some(({ name }) => name === 'token') ? 'port, token' : 'port'
  const marks = columns === 'port' ? '?' : '?, ?'
  const next = opened.db.prepare<unknown[], Group>(
    `SELECT host, ${columns} FROM mqout WHERE host = ? AND (${columns}) > (${marks})
      ORDER BY ${columns} LIMIT 1`,
  )
  const groups: Group[] = []
  let last: unknown[] = columns === 'port' ? [0] : [0, '']
  while (groups.length < groupsMax) {
    const group = next.get(host, ...last)
    if (group === undefined) break
    groups.push(group)
    last = columns === 'port' ? [group.port] : [group.port, group.token]
  }
  return groups
}

export function readTotals({ db }: CliSession): Totals {
  const oldest = db.prepare<[], number>('SELECT created_at FROM mqout ORDER BY id LIMIT 1').pluck()
  const at = oldest.get()
  return {
    outbox: countRows(db, 'mqout'),
    oldestS: at === undefined ? null : Math.max(0, (Date.now() - at) / 1_000),
    parked: countRows(db, 'mqparked'),
    inbox: countRows(db, 'mqin'),
    dead: countRows(db, 'mqdead'),
  }
}

/** The contract of `--json`: numbers, and whether each of them was counted. */
export function totalsJson({ outbox, oldestS, parked, inbox, dead }: Totals): object {
  return {
    outbox: outbox.value,
    oldestS,
    parked: parked.value,
    inbox: inbox.value,
    dead: dead.value,
    isExact: [outbox, parked, inbox, dead].every(({ isExact }) => isExact),
  }
}

export function totalsLine({ outbox, oldestS, parked, inbox, dead }: Totals): string {
  const oldest = oldestS === null ? '' : `, the oldest ${durationText(oldestS)}`
  const apart = parked.value === 0 ? '' : `, ${said(parked)} parked`
  const lost = dead.value === 0 ? '' : `; ${said(dead)} dead`
  return `outbox ${said(outbox)}${oldest}${apart}; inbox ${said(inbox)}${lost}`
}

const said = ({ value, isExact }: RowCount): string =>
  `${isExact ? '' : 'about '}${countText(value)}`
