/** `tinymq peers`: how it is going with each machine. */
import type { Command } from 'commander'
import { type Context, CliSession } from './context.ts'
import { type DatabaseFlags, type JsonFlags, withDatabase, withJson } from './command-line.ts'
import type { RowCount } from '../sdk/schema/sqlite-handle.ts'
import { type Column, countText, tableLines } from './output.ts'
import { jsonLine } from '../daemon/platform/text.ts'

/** A row of `mqpeers`; times are text in UTC. */
export type PeerRow = {
  readonly direction: 'in' | 'out'
  readonly host: string | null
  readonly port: number | null
  readonly key: string
  readonly state: string | null
  readonly error_code: string | null
  readonly error: string | null
  readonly since: string | null
  readonly retry_in_s: number | null
  /** Rows of the outbox; `isExact` false: there are more than these. Null for a sender. */
  readonly waiting: RowCount | null
  readonly watermark: number
  readonly rtt_ms: number | null
  readonly packets: number | null
  readonly lost: number | null
  readonly event: string | null
  readonly event_at: string | null
}

export function addPeers(program: Command, context: Context): void {
  const command = program
    .command('peers')
    .description('show each machine that is sent to or has sent, and how it is going')
  withJson(withDatabase(command)).action(async (flags: DatabaseFlags & JsonFlags) => {
    using opened = new CliSession(flags)
    const rows = readPeers(opened, countedMax)
    const { out, columns } = context.terminal
    const lines =
      flags.json === true
        ? rows.map((row) => jsonLine(peerJson(row)))
        : tableLines(rows, peerColumns, columns)
    const text = lines.map((line) => `${line}\n`).join('')
    await out(rows.length === 0 && flags.json !== true ? 'no peers yet\n' : text)
  })
}

/** A hundredth of a second. */
const countedMax = 200_000

/** `most`: so many rows are counted for each peer at most. */
export function readPeers(opened: CliSession, most: number): PeerRow[] {
  // Its column `waiting` counts them all, however many there are: it is left out.
  const rows = opened.rows<PeerRow>(
    `SELECT direction, host, port, key, state, error_code, error, since, retry_in_s, watermark,
      rtt_ms, packets, lost, event, event_at FROM mqpeers`,
  )
  const count = opened.db.prepare<unknown[], number>(
    'SELECT count(*) FROM (SELECT 1 FROM mqout WHERE host = ? AND port = ? LIMIT ?)',
  )
  const waitingFor = ({ direction, host, port }: PeerRow): RowCount | null => {
    if (direction === 'in') return null
    const value = count.pluck().get(host, port, most + 1) ?? 0
    return { value: Math.min(value, most), isExact: value <= most }
  }
  return rows.map((row) => ({ ...row, waiting: waitingFor(row) })).toSorted(inOrder)
}

/** Those that rows go to come first. */
function inOrder(a: PeerRow, b: PeerRow): number {
  return (
    b.direction.localeCompare(a.direction) ||
    (a.host ?? '').localeCompare(b.host ?? '') ||
    (a.port ?? 0) - (b.port ?? 0)
  )
}

/** The contract of `--json`: the columns of `mqpeers`. */
function peerJson({ waiting, ...row }: PeerRow): object {
  const count = waiting === null ? null : waiting.value
  return { ...row, waiting: count, isExact: waiting?.isExact ?? true }
}

const peerColumns: readonly Column<PeerRow>[] = [
  { title: '', cell: ({ direction }) => direction },
  { title: 'peer', cell: ({ host, port }) => addressText(host, port) },
  { title: 'key', cell: ({ key }) => key },
  { title: 'state', cell: ({ state }) => state },
  { title: 'waiting', cell: ({ waiting }) => backlogText(waiting), isNumber: true },
  { title: 'messages', cell: ({ watermark }) => countText(watermark), isNumber: true },
  { title: 'rtt', cell: ({ rtt_ms: rtt }) => rttText(rtt), isNumber: true },
  { title: 'lost', cell: ({ packets, lost }) => lossText(packets, lost), isNumber: true },
  { title: 'since', cell: ({ since }) => since },
  { title: 'what is wrong', cell: wrongText },
]

export const addressText = (host: string | null, port: number | null): string =>
  host === null || host === '' ? '?' : `${host}:${port ?? '?'}`

export const rttText = (ms: number | null): string => (ms === null ? '' : `${ms.toFixed(1)} ms`)

export function lossText(packets: number | null, lost: number | null): string {
  if (packets === null || lost === null || packets === 0) return ''
  return `${((100 * lost) / packets).toFixed(1)} %`
}

export const backlogText = (count: RowCount | null): string =>
  count === null ? '' : `${countText(count.value)}${count.isExact ? '' : '+'}`

function wrongText({ error, error_code: code, event, event_at: at }: PeerRow): string {
  const trouble = error ?? code
  const last = event === null ? '' : `last event ${event} at ${at}`
  return trouble === null ? last : `${trouble}${last === '' ? '' : `; ${last}`}`
}
