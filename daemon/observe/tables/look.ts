/**
 * One look at the tables for the page and the metrics: what waits, what has come, how it goes with
 * each peer. Must never count through a large table, nor keep a read open.
 */
import { statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type Database from 'better-sqlite3'
import { countRows } from '../../../sdk/row-count.ts'
import type { ApiEvent, Count, Overview, Peer, PeerState } from '../page-api.ts'
import { Paces, type PaceTotals } from './paces.ts'
import { PlaceCounts, type PlaceBacklog } from './place-counts.ts'

/** What of the overview is in the tables. */
export type TablesLook = Pick<
  Overview,
  'outbox' | 'inbox' | 'disk' | 'peerCount' | 'lastEvents'
> & {
  /** At most 1,000, the worst first. */
  readonly peers: readonly Peer[]
}

const peersMax = 1_000
const eventsTold = 20
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
type RunRow = {
  readonly first: number
  readonly count: number
  readonly ids: Buffer | null
  readonly confirmed: number
}

export class TablesLooks {
  readonly #db: Database.Database
  readonly #places: PlaceCounts
  readonly #paces = new Paces()
  #events: readonly EventRow[] = []

  constructor(db: Database.Database) {
    this.#db = db
    this.#places = new PlaceCounts(db)
  }

  /** All of one moment. */
  read(nowMs: number): TablesLook {
    return this.#db.transaction(() => this.#read(nowMs)).deferred()
  }

  #read(nowMs: number): TablesLook {
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
      lastEvents: this.#events.slice(0, eventsTold).map(toldEvent),
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
      .prepare<[], RunRow>(
        `SELECT r.first, r.count, r.ids, l.confirmed
         FROM mqrun AS r JOIN mqlane AS l ON l.id = r.lane
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
    const totals = new Map<string, PaceTotals>()
    for (const lane of lanes) totals.set(nameOf('out', lane), lane)
    for (const sender of senders) {
      totals.set(nameOf('in', sender), { ...sender, packets: null, lost: null })
    }
    this.#paces.onLook(totals, performance.now())
    const places = Array.from(new Map(lanes.map((lane) => [placeOf(lane), lane])).values())
    const counts = this.#places.read(places)
    const backlogs = new Map(places.map((place, index) => [placeOf(place), counts[index]]))
    const out = lanes.map((lane) => this.#outPeer(lane, backlogs.get(placeOf(lane)), nowMs))
    const peers = [...out, ...senders.map((sender) => this.#inPeer(sender))]
    return peers.toSorted(worstFirst).slice(0, peersMax)
  }

  #outPeer(lane: LaneRow, backlog: PlaceBacklog | undefined, nowMs: number): Peer {
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

// A lane that is not used any more is told of only while it says why something stands still.
const lanesSql = `SELECT host, port, key, state, error_code AS errorCode, error, since,
    retry_at AS retryAt, confirmed AS watermark, rtt_us AS rttUs, packets, lost
  FROM mqlane ORDER BY error_code IS NULL, since DESC LIMIT ${peersMax}`
const sendersSql = `SELECT coalesce(host, '') AS host, coalesce(port, 0) AS port, key, watermark,
    seen_at AS since
  FROM mqsender ORDER BY seen_at DESC LIMIT ${peersMax}`

const toldEvent = ({ at, code, host, port, sentence }: EventRow): ApiEvent => {
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

const placeOf = ({ host, port }: { host: string; port: number }): string => `${port} ${host}`

const nameOf = (direction: string, row: { host: string; port: number; key: string }): string =>
  `${direction} ${placeOf(row)} ${row.key}`

/** Trouble first, then who waits longest, then who moves most. */
function worstFirst(a: Peer, b: Peer): number {
  return (
    Number(b.errorCode !== null) - Number(a.errorCode !== null) ||
    (b.oldestAgeMs ?? -1) - (a.oldestAgeMs ?? -1) ||
    (b.rowsPerS ?? 0) - (a.rowsPerS ?? 0) ||
    (b.since ?? 0) - (a.since ?? 0)
  )
}

function openRowsOf({ first, count, ids, confirmed }: RunRow): number {
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
