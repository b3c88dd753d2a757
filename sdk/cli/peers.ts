/** `tinymq peers`: how it is going with each machine. */
import type { Command } from 'commander'
import {
  type Context,
  type DatabaseFlags,
  type JsonFlags,
  Opened,
  withDatabase,
  withJson,
} from './command.ts'
import { type Column, countText, tableLines } from './table.ts'

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
  readonly waiting: number | null
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
    using opened = new Opened(flags)
    const rows = opened.rows<PeerRow>('SELECT * FROM mqpeers ORDER BY direction DESC, host, port')
    const { out, columns } = context.terminal
    const lines =
      flags.json === true
        ? rows.map((row) => JSON.stringify(row))
        : tableLines(rows, peerColumns, columns)
    const text = lines.map((line) => `${line}\n`).join('')
    await out(rows.length === 0 && flags.json !== true ? 'no peers yet\n' : text)
  })
}

const peerColumns: readonly Column<PeerRow>[] = [
  { title: '', cell: ({ direction }) => direction },
  { title: 'peer', cell: ({ host, port }) => addressText(host, port) },
  { title: 'key', cell: ({ key }) => key },
  { title: 'state', cell: ({ state }) => state },
  { title: 'waiting', cell: ({ waiting }) => numberText(waiting), isNumber: true },
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

const numberText = (value: number | null): string => (value === null ? '' : countText(value))

function wrongText({ error, error_code: code, event, event_at: at }: PeerRow): string {
  const trouble = error ?? code
  const last = event === null ? '' : `last event ${event} at ${at}`
  return trouble === null ? last : `${trouble}${last === '' ? '' : `; ${last}`}`
}
