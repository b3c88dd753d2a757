/**
 * One look at the tables for the page and the metrics: what waits, what has come, how it goes with
 * each peer. Must never count through a large table, nor keep a read open.
 */
import { statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type Database from 'better-sqlite3'
import { countRows } from '../../../sdk/schema/sqlite-handle.ts'
import type { ApiEvent, Count, Overview, Peer, PeerState } from '../api-types.ts'

/** What of the overview is in the tables. */
export type TablesSnapshot = Pick<
  Overview,
  'outbox' | 'inbox' | 'disk' | 'peerCount' | 'lastEvents'
> & {
  /** At most 1,000, the worst first. */
  readonly peers: readonly Peer[]
}

const peersMax = 1_000
const eventsReported = 20
const runsMax = 2_000

type LaneRow = {
  readonly host: string
  readonly port: number
  readonly key: string
  readonly state: PeerState | null
  readonly errorCode: string | null
  readonly error: string | null
  readonly since: number | null
  readonly retryAt: number | null
  readonly watermark: number
  readonly rttUs: number | null
  readonly packets: number
  readonly lost: number
}
type SenderRow = Pick<LaneRow, 'host' | 'port' | 'key' | 'since' | 'watermark'>
type EventRow = ApiEvent & { readonly id: number }
type BatchRow = {
  readonly first: number
  readonly count: number
  readonly ids: Buffer | null
  readonly confirmed: number
}

export class OverviewQuery {
  readonly #db: Database.Database
  readonly #destinations: DestinationCounts
  readonly #paces = new Rates()
  #events: readonly EventRow[] = []

  constructor(db: Database.Database) {
    this.#db = db
    this.#destinations = new DestinationCounts(db)
  }

  /** All of one moment. */
  read(nowMs: number): TablesSnapshot {
    return this.#db.transaction(() => this.#read(nowMs)).deferred()
  }

  #read(nowMs: number): TablesSnapshot {
    this.#readEvents()
    const peers = this.#peers(nowMs)
    return {
      outbox: {
        waiting: countRows(this.#db, 'mqout'),
        inFlight: this.#inFlight(),
        parked: countRows(this.#db, 'mqparked'),
        oldestAgeMs: this.#age('SELECT created_at FROM mqout ORDER BY id LIMIT 1', nowMs),
      },
      inbox: {
        rows: countRows(this.#db, 'mqin'),
        oldestAgeMs: this.#age('SELECT arrived_at FROM mqin ORDER BY id LIMIT 1', nowMs),
        dead: countRows(this.#db, 'mqdead'),
      },
      disk: diskOf(this.#db.name),
      peers,
      peerCount: this.#peerCount(peers.length),
      lastEvents: this.#events.slice(0, eventsReported).map(reportedEvent),
    }
  }

  #age(sql: string, nowMs: number): number | null {
    const at = this.#db.prepare<[], number | null>(sql).pluck().get() ?? null
    return at === null ? null : Math.max(0, nowMs - at)
  }

  /** `mqevent` keeps a thousand: read when there are new ones. */
  #readEvents(): void {
    const last = this.#db.prepare<[], number>('SELECT max(id) FROM mqevent').pluck().get()
    if (last === this.#events[0]?.id) return
    this.#events = this.#db
      .prepare<[], EventRow>(
        `SELECT id, at, coalesce(code, '') AS code, host, port, coalesce(detail, '') AS sentence
         FROM mqevent ORDER BY id DESC LIMIT 1000`,
      )
      .all()
  }

  /** Numbered, and not confirmed: what was deleted or parked meanwhile has id 0 in its run. */
  #inFlight(): Count {
    const runs = this.#db
      .prepare<[], BatchRow>(
        `SELECT r.first, r.count, r.ids, l.confirmed
         FROM mqbatch AS r JOIN mqlane AS l ON l.id = r.lane
         WHERE r.done_at IS NULL LIMIT ${runsMax + 1}`,
      )
      .all()
    const value = runs.reduce((sum, run) => sum + openRowsOf(run), 0)
    return { value, isExact: runs.length <= runsMax }
  }

  #peerCount(read: number): number {
    if (read < peersMax) return read
    const count = (table: string): number =>
      this.#db.prepare<[], number>(`SELECT count(*) FROM ${table}`).pluck().get() ?? 0
    return count('mqlane') + count('mqsender')
  }

  #peers(nowMs: number): Peer[] {
    const lanes = this.#db.prepare<[], LaneRow>(lanesSql).all()
    const senders = this.#db.prepare<[], SenderRow>(sendersSql).all()
    const totals = new Map<string, RateTotals>()
    for (const lane of lanes) totals.set(nameOf('out', lane), lane)
    for (const sender of senders) {
      totals.set(nameOf('in', sender), { ...sender, packets: null, lost: null })
    }
    this.#paces.onLook(totals, performance.now())
    const destinations = Array.from(
      new Map(lanes.map((lane) => [destinationOf(lane), lane])).values(),
    )
    const counts = this.#destinations.read(destinations)
    const backlogs = new Map(
      destinations.map((destination, index) => [destinationOf(destination), counts[index]]),
    )
    const out = lanes.map((lane) => this.#outPeer(lane, backlogs.get(destinationOf(lane)), nowMs))
    const peers = [...out, ...senders.map((sender) => this.#inPeer(sender))]
    return peers.toSorted(worstFirst).slice(0, peersMax)
  }

  #outPeer(lane: LaneRow, backlog: DestinationBacklog | undefined, nowMs: number): Peer {
    const { rttUs, ...row } = lane
    const oldestAt = backlog?.oldestAt ?? null
    return {
      ...row,
      direction: 'out',
      waiting: backlog?.waiting ?? null,
      oldestAgeMs: oldestAt === null ? null : Math.max(0, nowMs - oldestAt),
      rttMs: rttUs === null ? null : rttUs / 1_000,
      ...this.#paces.paceOf(nameOf('out', lane)),
      lastEvent: this.#lastEventOf(lane),
    }
  }

  #inPeer(sender: SenderRow): Peer {
    const { rowsPerS } = this.#paces.paceOf(nameOf('in', sender))
    return {
      ...nothingKnown,
      ...sender,
      direction: 'in',
      rowsPerS,
      lastEvent: this.#lastEventOf(sender),
    }
  }

  #lastEventOf({ host, port }: { host: string; port: number }): Peer['lastEvent'] {
    const event = this.#events.find(
      (one) => one.host === host && (one.port === null || one.port === port),
    )
    return event === undefined ? null : { at: event.at, code: event.code, sentence: event.sentence }
  }
}

// A lane that is not used any more is shown only while it says why something does not move.
const lanesSql = `SELECT host, port, key, state, error_code AS errorCode, error, since,
    retry_at AS retryAt, confirmed AS watermark, rtt_us AS rttUs, packets, lost
  FROM mqlane ORDER BY error_code IS NULL, since DESC LIMIT ${peersMax}`
const sendersSql = `SELECT coalesce(host, '') AS host, coalesce(port, 0) AS port, key, watermark,
    seen_at AS since
  FROM mqsender ORDER BY seen_at DESC LIMIT ${peersMax}`

const reportedEvent = ({ at, code, host, port, sentence }: EventRow): ApiEvent => {
  return { at, code, host, port, sentence }
}

const nothingKnown = {
  state: null,
  errorCode: null,
  error: null,
  retryAt: null,
  waiting: null,
  oldestAgeMs: null,
  rttMs: null,
  packets: null,
  lost: null,
  lossShare: null,
} as const

const destinationOf = ({ host, port }: { host: string; port: number }): string => `${port} ${host}`

const nameOf = (direction: string, row: { host: string; port: number; key: string }): string =>
  `${direction} ${destinationOf(row)} ${row.key}`

/** Trouble first, then who waits longest, then who moves most. */
function worstFirst(a: Peer, b: Peer): number {
  return (
    Number(b.errorCode !== null) - Number(a.errorCode !== null) ||
    (b.oldestAgeMs ?? -1) - (a.oldestAgeMs ?? -1) ||
    (b.rowsPerS ?? 0) - (a.rowsPerS ?? 0) ||
    (b.since ?? 0) - (a.since ?? 0)
  )
}

function openRowsOf({ first, count, ids, confirmed }: BatchRow): number {
  const skipped = Math.min(count, Math.max(0, confirmed + 1 - first))
  if (ids === null) return count - skipped
  let open = 0
  for (let at = skipped; at < count; at++) if (ids.readBigUInt64BE(at * 8) !== 0n) open++
  return open
}

function diskOf(path: string): Overview['disk'] {
  try {
    const { bavail, bsize } = statfsSync(dirname(path))
    const sizeOf = (file: string): number | null =>
      statSync(file, { throwIfNoEntry: false })?.size ?? null
    return {
      freeBytes: bavail * bsize,
      databaseBytes: sizeOf(path),
      walBytes: sizeOf(`${path}-wal`),
    }
  } catch {
    // The directory has gone: the daemon will say so itself.
    return { freeBytes: null, databaseBytes: null, walBytes: null }
  }
}

// How fast each stream of messages moves, and how much of what it sends is lost: worked out from
// successive looks at its totals. Must never remember a stream that is gone.

/** The totals of a stream at one moment. */
export type RateTotals = {
  readonly watermark: number
  readonly packets: number | null
  readonly lost: number | null
}

/** Null: nothing to go by. */
export type Rate = { readonly rowsPerS: number | null; readonly lossShare: number | null }

type Look = RateTotals & { readonly atMs: number }

const rateMs = 5_000
const lossMs = 60_000
/** Two looks that are closer together say nothing new. */
const looksApartMs = 500

export class Rates {
  #looks = new Map<string, Look[]>()

  /** `atMs` of a monotonic clock; `now`: all streams that there are, by name. */
  onLook(now: ReadonlyMap<string, RateTotals>, atMs: number): void {
    const before = this.#looks
    this.#looks = new Map()
    for (const [name, totals] of now) {
      const looks = before.get(name) ?? []
      const last = looks.at(-1)
      // A stream that was given up for a new one begins again at 0.
      if (last !== undefined && isBehind(totals, last)) looks.length = 0
      if (last === undefined || atMs - last.atMs >= looksApartMs || looks.length === 0) {
        looks.push({ ...totals, atMs })
      }
      while ((looks[1]?.atMs ?? Infinity) <= atMs - lossMs) looks.shift()
      this.#looks.set(name, looks)
    }
  }

  paceOf(name: string): Rate {
    const looks = this.#looks.get(name) ?? []
    const last = looks.at(-1)
    const first = looks[0]
    if (last === undefined || first === undefined || first === last) {
      return { rowsPerS: null, lossShare: shareOf(last?.packets ?? 0, last?.lost ?? 0) }
    }
    const from = looks.findLast(({ atMs }) => atMs <= last.atMs - rateMs) ?? first
    const rows = last.watermark - from.watermark
    const [packets, lost] = [packetsOf(last) - packetsOf(first), lostOf(last) - lostOf(first)]
    return {
      rowsPerS: (rows * 1_000) / (last.atMs - from.atMs),
      lossShare: packets > 0 ? shareOf(packets, lost) : shareOf(packetsOf(last), lostOf(last)),
    }
  }
}

const packetsOf = ({ packets }: RateTotals): number => packets ?? 0
const lostOf = ({ lost }: RateTotals): number => lost ?? 0

function isBehind(now: RateTotals, before: RateTotals): boolean {
  return now.watermark < before.watermark || packetsOf(now) < packetsOf(before)
}

function shareOf(packets: number, lost: number): number | null {
  return packets === 0 ? null : Math.min(1, Math.max(0, lost / packets))
}

// How many rows of mqout wait for each host and port, and since when. Few rows are counted along
// the index of lanes; of many, windows of ids are. Must never take longer for more rows, nor longer
// for more places than its budget: then the oldest counts stand until it is their turn.

export type Place = { readonly host: string; readonly port: number }
export type DestinationBacklog = { readonly waiting: Count; readonly oldestAt: number | null }

const countedMax = 20_000
const windows = 64
const windowIds = 256
/** Of one look at all places. */
const budgetMs = 30
/** With keys the index goes by token: so many tokens of a place are looked at. */
const tokensMax = 100

type Values = (string | number)[]

const nothing: DestinationBacklog = { waiting: { value: 0, isExact: true }, oldestAt: null }

export class DestinationCounts {
  readonly #db: Database.Database
  readonly #known = new Map<string, DestinationBacklog>()
  #turn = 0

  constructor(db: Database.Database) {
    this.#db = db
  }

  /** In the order of `destinations`. */
  read(destinations: readonly Place[]): DestinationBacklog[] {
    const statements = new PlaceStatements(this.#db)
    const untilMs = performance.now() + budgetMs
    const fresh = new Set<string>()
    for (let step = 0; step < destinations.length && performance.now() < untilMs; step++) {
      const destination = destinations[(this.#turn + step) % destinations.length]
      if (destination === undefined) break
      this.#known.set(destinationOf(destination), statements.backlogOf(destination))
      fresh.add(destinationOf(destination))
    }
    this.#turn = destinations.length === 0 ? 0 : (this.#turn + fresh.size) % destinations.length
    this.#forgetAllBut(destinations)
    return destinations.map((destination) => this.#reported(destination, fresh))
  }

  #reported(destination: Place, fresh: ReadonlySet<string>): DestinationBacklog {
    const known = this.#known.get(destinationOf(destination))
    if (known === undefined) return { ...nothing, waiting: { value: 0, isExact: false } }
    if (fresh.has(destinationOf(destination))) return known
    return { ...known, waiting: { ...known.waiting, isExact: false } }
  }

  #forgetAllBut(destinations: readonly Place[]): void {
    if (this.#known.size <= destinations.length) return
    const names = new Set(destinations.map(destinationOf))
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name)
  }
}

/** For the index of lanes as it is at this moment: the daemon rebuilds it when its keys come. */
class PlaceStatements {
  readonly #isByToken: boolean
  readonly #token: Database.Statement<Values, string>
  readonly #few: Database.Statement<Values, number>
  readonly #first: Database.Statement<Values, { id: number; at: number }>
  readonly #last: Database.Statement<Values, number>
  readonly #window: Database.Statement<Values, number>

  constructor(db: Database.Database) {
    const columns = db.prepare("SELECT name FROM pragma_index_info('mqout_lane')").pluck().all()
    this.#isByToken = columns.includes('token')
    const destination = `host = ? AND port = ?${this.#isByToken ? ' AND token = ?' : ''}`
    const from = `FROM mqout INDEXED BY mqout_lane WHERE ${destination}`
    const token =
      'SELECT token FROM mqout WHERE host = ? AND port = ? AND token > ? ORDER BY token LIMIT 1'
    this.#token = db.prepare<Values, string>(token).pluck()
    const few = `SELECT count(*) FROM (SELECT 1 ${from} LIMIT ${countedMax + 1})`
    this.#few = db.prepare<Values, number>(few).pluck()
    this.#first = db.prepare(`SELECT id, created_at AS at ${from} ORDER BY id LIMIT 1`)
    this.#last = db.prepare<Values, number>(`SELECT id ${from} ORDER BY id DESC LIMIT 1`).pluck()
    this.#window = db
      .prepare<Values, number>(`SELECT count(*) ${from} AND id >= ? AND id < ?`)
      .pluck()
  }

  backlogOf({ host, port }: Place): DestinationBacklog {
    const parts = this.#isByToken ? this.#tokens(host, port) : [[host, port]]
    let [value, isExact, oldestAt] = [0, parts.length < tokensMax, null as number | null]
    for (const part of parts) {
      const first = this.#first.get(...part)
      if (first === undefined) continue
      oldestAt = Math.min(oldestAt ?? Infinity, first.at)
      const few = this.#few.get(...part) ?? 0
      isExact &&= few <= countedMax
      value += few <= countedMax ? few : this.#estimate(part, first.id)
    }
    return { waiting: { value, isExact }, oldestAt }
  }

  #tokens(host: string, port: number): Values[] {
    const parts: Values[] = [[host, port, '']]
    let token = this.#token.get(host, port, '')
    while (token !== undefined && parts.length < tokensMax) {
      parts.push([host, port, token])
      token = this.#token.get(host, port, token)
    }
    return parts
  }

  #estimate(part: Values, first: number): number {
    const span = (this.#last.get(...part) ?? first) - first + 1
    let found = 0
    for (let at = 0; at < windows; at++) {
      const from = first + Math.floor(((span - windowIds) * at) / (windows - 1))
      found += this.#window.get(...part, from, from + windowIds) ?? 0
    }
    const estimate = (span * found) / (windows * windowIds)
    return Math.max(countedMax, Number(estimate.toPrecision(3)))
  }
}
