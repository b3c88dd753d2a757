/** `tinymq top`: what moves now, per peer, looked at again and again. */
import type { Command } from 'commander'
import { CliSession, type Context, waited } from './context.ts'
import {
  type DatabaseFlags,
  type JsonFlags,
  seconds,
  wholeNumber,
  withDatabase,
  withJson,
} from './command-line.ts'
import { addressText, backlogText, lossText, type PeerRow, readPeers, rttText } from './peers.ts'
import type { RowCount } from '../sdk/schema/sqlite-handle.ts'
import { readTotals, type Totals, totalsJson, totalsLine } from './status.ts'
import { type Column, type Terminal, countText, durationText, tableLines } from './output.ts'
import { jsonLine, cut } from '../daemon/platform/text.ts'

type Flags = DatabaseFlags & JsonFlags & { readonly interval: number; readonly count?: number }

/** One look at the tables. */
type Look = {
  readonly atMs: number
  readonly totals: Totals
  readonly peers: readonly PeerRow[]
  /** Age of the oldest row for each host and port, seconds. */
  readonly oldestS: ReadonlyMap<string, number>
}

/** How a peer has done between two looks. */
type PeerRate = {
  readonly direction: 'in' | 'out'
  readonly host: string | null
  readonly port: number | null
  readonly key: string
  readonly state: string | null
  readonly messagesPerSecond: number
  readonly waiting: RowCount | null
  readonly oldestS: number | null
  readonly rttMs: number | null
  /** Packets between the looks; where there were none, of all. */
  readonly packets: number | null
  readonly lost: number | null
  readonly error: string | null
}

export function addTop(program: Command, context: Context): void {
  const command = program
    .command('top')
    .description('watch each peer: rate, backlog, oldest, round-trip time, loss; Ctrl-C ends it')
    .option('-i, --interval <seconds>', 'between two looks', seconds, 1)
    .option('-c, --count <count>', 'end after so many', wholeNumber(1))
  withJson(withDatabase(command)).action(async (flags: Flags) => {
    using opened = new CliSession(flags)
    const { terminal } = context
    if (terminal.outIsTerminal && flags.json !== true) await watchOnScreen(opened, flags, terminal)
    else {
      for await (const now of looks(opened, flags, terminal.signal)) {
        await terminal.out(flags.json === true ? `${topJson(now)}\n` : page(now))
      }
    }
  })
}

/** A look, and how each peer has done since the one before. */
type Frame = Look & { readonly paces: readonly PeerRate[] }

/** The first one comes after the first pause: before, there is nothing to compare with. */
async function* looks(
  opened: CliSession,
  flags: Flags,
  signal: AbortSignal,
): AsyncGenerator<Frame> {
  let left = flags.count ?? Infinity
  let before = look(opened)
  while (left-- > 0 && (await waited(Math.max(0.1, flags.interval) * 1_000, signal))) {
    const now = look(opened)
    yield { ...now, paces: pacesOf(before, now) }
    before = now
  }
}

const screenOn = '\u001b[?1049h\u001b[?25l'
const screenOff = '\u001b[?25h\u001b[?1049l'

/** On a screen of its own, which goes away at the end; the last picture stays. */
async function watchOnScreen(opened: CliSession, flags: Flags, terminal: Terminal): Promise<void> {
  const first = look(opened)
  let last: Frame = { ...first, paces: pacesOf(first, first) }
  const draw = async (): Promise<void> => {
    const { columns, rows } = terminal
    await terminal.out(screen(last, columns, rows))
  }
  await terminal.out(screenOn)
  try {
    await draw()
    for await (const now of looks(opened, flags, terminal.signal)) {
      last = now
      await draw()
    }
  } finally {
    await terminal.out(`${screenOff}${page(last)}`)
  }
}

/** A twentieth of a second, once a second. */
const countedMax = 2_000_000

function look(opened: CliSession): Look {
  const read = opened.db.transaction((): Look => {
    const peers = readPeers(opened, countedMax)
    const oldest = peers
      .filter(({ direction, waiting }) => direction === 'out' && (waiting?.value ?? 0) > 0)
      .map(({ host, port }) => [addressText(host, port), oldestFor(opened, host, port)] as const)
    return { atMs: Date.now(), totals: readTotals(opened), peers, oldestS: new Map(oldest) }
  })
  return read.deferred()
}

/** The index is by host, port and id: the oldest is the first. */
function oldestFor(opened: CliSession, host: string | null, port: number | null): number {
  const sql = 'SELECT created_at AS at FROM mqout WHERE host = ? AND port = ? ORDER BY id LIMIT 1'
  const row = opened.rows<{ at: number }>(sql, host, port).at(0)
  return row === undefined ? 0 : Math.max(0, (Date.now() - row.at) / 1_000)
}

const identityOf = ({ direction, host, port, key }: PeerRow): string =>
  JSON.stringify([direction, host, port, key])

function pacesOf(before: Look, now: Look): PeerRate[] {
  const known = new Map(before.peers.map((peer) => [identityOf(peer), peer]))
  const elapsedS = Math.max(1, now.atMs - before.atMs) / 1_000
  return now.peers
    .map((peer) => paceOf(known.get(identityOf(peer)), peer, elapsedS, now.oldestS))
    .toSorted((a, b) => b.messagesPerSecond - a.messagesPerSecond || waitingOf(b) - waitingOf(a))
}

const waitingOf = ({ waiting }: PeerRate): number => waiting?.value ?? 0

function paceOf(
  before: PeerRow | undefined,
  now: PeerRow,
  elapsedS: number,
  oldest: ReadonlyMap<string, number>,
): PeerRate {
  const { direction, host, port, key, state, waiting, rtt_ms: rttMs, error } = now
  const moved = now.watermark - (before?.watermark ?? now.watermark)
  const sent = (now.packets ?? 0) - (before?.packets ?? 0)
  const isNew = before === undefined || sent <= 0
  return {
    direction,
    host,
    port,
    key,
    state,
    // A watermark falls when a stream is given up for a new one.
    messagesPerSecond: Math.max(0, moved) / elapsedS,
    waiting,
    oldestS: direction === 'out' ? (oldest.get(addressText(host, port)) ?? null) : null,
    rttMs,
    packets: isNew ? now.packets : sent,
    lost: isNew ? now.lost : Math.max(0, (now.lost ?? 0) - (before.lost ?? 0)),
    error,
  }
}

const columnsOfTop: readonly Column<PeerRate>[] = [
  { title: '', cell: ({ direction }) => direction },
  { title: 'peer', cell: ({ host, port }) => addressText(host, port) },
  { title: 'key', cell: ({ key }) => key },
  { title: 'state', cell: ({ state }) => state },
  { title: 'msg/s', cell: ({ messagesPerSecond: rate }) => rateText(rate), isNumber: true },
  { title: 'backlog', cell: ({ waiting }) => backlogText(waiting), isNumber: true },
  { title: 'oldest', cell: ({ oldestS }) => ageText(oldestS), isNumber: true },
  { title: 'rtt', cell: ({ rttMs }) => rttText(rttMs), isNumber: true },
  { title: 'loss', cell: ({ packets, lost }) => lossText(packets, lost), isNumber: true },
  { title: 'what is wrong', cell: ({ error }) => error },
]

const rateText = (rate: number): string =>
  rate < 10 ? rate.toFixed(1) : countText(Math.round(rate))
const ageText = (age: number | null): string => (age === null ? '' : durationText(age))

function lines({ atMs, totals, paces }: Frame, width: number): string[] {
  // Without a key ring there is no key to report.
  const hasKeys = paces.some(({ key }) => key !== '')
  const columns = columnsOfTop.filter(({ title }) => hasKeys || title !== 'key')
  const table = paces.length === 0 ? ['no peers yet'] : tableLines(paces, columns, width)
  const time = new Date(atMs).toISOString().slice(11, 19)
  const first = `${time}  ${totalsLine(totals)}`
  return [width > 0 ? cut(first, width) : first, '', ...table]
}

function page(now: Frame): string {
  return `${lines(now, 0).join('\n')}\n\n`
}

/** Written over the last one, line by line, so that nothing flickers. */
function screen(now: Frame, width: number, rows: number): string {
  const all = lines(now, width)
  const shown = rows > 1 && all.length >= rows ? [...all.slice(0, rows - 2), '…'] : all
  return `\u001b[H${shown.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`
}

function topJson({ atMs, totals, paces }: Frame): string {
  const peers = paces.map((pace) => ({ ...pace, waiting: pace.waiting?.value ?? null }))
  return jsonLine({ at: new Date(atMs).toISOString(), ...totalsJson(totals), peers })
}
