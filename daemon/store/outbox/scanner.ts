/**
 * Finds lanes that have rows, with ten million of them or none: by the newest rows when there are
 * few new ones, else by leaping from lane to lane through the index (a tour). A look that finds
 * nothing changed costs a few microseconds. Must never read data, nor write before it has looked.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { LaneAddress, LaneId, StoreResult } from '../../protocol/store-messages.ts'
import type { Connection } from '../connection.ts'
import { DatabaseChanged } from '../error-classification.ts'
import { laneName, type Lanes } from './lanes.ts'
import { flaw } from './sequencer.ts'
import type { FlawedPlace, LaneDestination, OutboxDestinations } from './destinations.ts'
import type { RowReader } from './row-reader.ts'
import type { RequeuedLook, RequeuedRows, ParkedRows } from './parked-rows.ts'

/** What nothing announces (rows that are deleted, ids by hand, wishes) is seen this late. */
const fullScanPauseMs = 1_000
/** A tour costs some 10 µs for each lane: with this pause for each it takes 4 % of the time. */
const fullScanPausePerLaneMs = 0.25
/** Where it walks over all rows, it rests for so many times what that took, at most so long. */
const restPerWalk = 24
const walkRestMsMax = 60_000

type Wish = readonly [lane: LaneId, wish: string]

type ScanParts = {
  readonly connection: Connection
  readonly lanes: Lanes
  readonly destinations: OutboxDestinations
  readonly rows: RowReader
  readonly parked: ParkedRows
  readonly requeued: RequeuedRows
  readonly hasSession: (lane: LaneId) => boolean
  readonly nowUs: () => number
  /** None of its rows is there any more: those that are not confirmed count as cancelled. */
  readonly settle: (lane: LaneId) => void
  /** Rows that the peer has may still be in mqout (row-deletion.ts). */
  readonly mayHaveKept: () => boolean
  /** The core knows of these: each is named again, or is reported to be empty. */
  readonly known: Iterable<LaneAddress>
}

/** `found` are lanes with rows that no read may have seen. */
type Scan = { readonly results: readonly StoreResult[]; readonly found: readonly LaneId[] }

/** What was read before anything is changed. */
type ScanSnapshot = {
  readonly newestId: number
  readonly destinations: readonly LaneDestination[]
  readonly requeued: RequeuedLook | undefined
  readonly due: readonly number[]
  /** All places with rows that may go; undefined without a tour. */
  readonly fullScan: readonly LaneDestination[] | undefined
  /** Places with rows that no lane can have. */
  readonly flawed: readonly FlawedPlace[]
  readonly wishes: readonly Wish[]
}

export class Scanner {
  readonly #parts: ScanParts
  readonly #wishes: BetterSqlite3.Statement<[], [LaneId, string]>
  readonly #clearRetry: BetterSqlite3.Statement<[LaneId]>
  readonly #unsettled: BetterSqlite3.Statement<[], LaneId>
  readonly #given: BetterSqlite3.Statement<[], number>
  readonly #announced = new Map<LaneId, LaneAddress>()
  readonly #forgotten = new Map<LaneId, LaneAddress>()
  /** Lanes whose wish was passed on and stays until they are checked. */
  readonly #wanted = new Set<LaneId>()
  /** Lanes without rows whose runs say so. */
  readonly #settled = new Set<LaneId>()
  #version = -1
  #newestSeen = 0
  /** The newest id that `mqout` had given at the last look. */
  #newestGiven: number
  #hasLate = true
  #fullScan: 'no' | 'due' | 'urgent' = 'due'
  #fullScanAtMs = -Infinity
  #scanDestinations = 0
  #walkTookMs = 0

  constructor(parts: ScanParts) {
    this.#parts = parts
    const { connection, known } = parts
    for (const address of known) this.#forgotten.set(address.lane, address)
    this.#wishes = connection.prepare(
      'SELECT id, requested FROM mqlane WHERE requested IS NOT NULL',
    )
    this.#unsettled = connection.prepareValue(
      'SELECT id FROM mqlane WHERE numbered > confirmed ORDER BY id',
    )
    this.#clearRetry = connection.prepareChange(
      "UPDATE mqlane SET requested = NULL WHERE id = ? AND requested = 'retry'",
    )
    this.#given = connection.prepareValue("SELECT seq FROM sqlite_sequence WHERE name = 'mqout'")
    this.#newestGiven = this.#given.get() ?? 0
  }

  /**
   * @param version `PRAGMA data_version`: while it stays the same, nobody has written anything.
   * @throws DatabaseBusy with nothing lost: the next scan finds it all again.
   * @throws DatabaseChanged
   */
  scan(version: number, nowMs: number): Scan {
    const isChanged = version !== this.#version
    if (isChanged) this.#expectNotOlder()
    const due = this.#parts.parked.due(nowMs)
    const isQuiet = due.length === 0 && !this.#hasLate && this.#forgotten.size === 0
    if (!isChanged && isQuiet && !this.#isFullScanTime(nowMs)) return { results: [], found: [] }
    const snapshot = this.#look(isChanged, due, nowMs)
    const found = this.#write(snapshot, nowMs)
    this.#version = version
    return this.#conclude(snapshot, found, nowMs)
  }

  /**
   * `.restore` under the running daemon brings back an older outbox: its new rows have ids that the
   * numbering has passed.
   */
  #expectNotOlder(): void {
    const given = this.#given.get() ?? 0
    if (given < this.#newestGiven) throw new DatabaseChanged('mqout')
    this.#newestGiven = given
  }

  /**
   * We have written ourselves: no version reports that, and a trigger of the inbox's owner may
   * have put rows into mqout on the way.
   */
  onCommitted(): void {
    this.#version = -1
  }

  /** The lane's session is over; if it has rows, it is named again. */
  onForgotten(lane: LaneId): void {
    const address = this.#announced.get(lane)
    this.#announced.delete(lane)
    if (address !== undefined) this.#forgotten.set(lane, address)
  }

  #isFullScanTime(nowMs: number): boolean {
    // Either way: a clock that was set back must not put the tours off.
    const sinceMs = Math.abs(nowMs - this.#fullScanAtMs)
    if (sinceMs < Math.min(this.#walkTookMs * restPerWalk, walkRestMsMax)) return false
    if (this.#fullScan === 'urgent')
      return sinceMs >= this.#scanDestinations * fullScanPausePerLaneMs
    return this.#fullScan === 'due' && sinceMs >= fullScanPauseMs
  }

  #look(isChanged: boolean, due: readonly number[], nowMs: number): ScanSnapshot {
    const news = isChanged ? this.#parts.destinations.newRows(this.#newestSeen) : undefined
    if (news?.isBufferFull === true) this.#fullScan = 'urgent'
    else if (isChanged && this.#fullScan === 'no') this.#fullScan = 'due'
    const isFullScan = this.#isFullScanTime(nowMs)
    const startUs = this.#parts.nowUs()
    const all = isFullScan ? this.#parts.destinations.all() : undefined
    if (all !== undefined) {
      this.#walkTookMs = all.isWalk ? (this.#parts.nowUs() - startUs) / 1_000 : 0
    }
    return {
      newestId: news?.newestId ?? this.#newestSeen,
      destinations: this.#sendable(news?.destinations ?? []),
      requeued: isChanged || this.#hasLate ? this.#parts.requeued.look() : undefined,
      due,
      fullScan: all && this.#sendable(all.destinations),
      flawed: all?.flawed ?? [],
      wishes: isFullScan ? this.#wishes.all() : [],
    }
  }

  /** All that has to be written; the first write may find the database busy. */
  #write(snapshot: ScanSnapshot, nowMs: number): Map<LaneId, LaneAddress> {
    const { destinations, requeued, due, fullScan, flawed, wishes } = snapshot
    const { connection, lanes, parked } = this.#parts
    const found = new Map<LaneId, LaneAddress>()
    const requeuedDestinations = (requeued?.rows ?? [])
      .map(([, host, port, token]) => this.#parts.destinations.destinationOf([host, port, token]))
      .filter((destination) => !this.#parts.destinations.isDoubtful(destination))
    for (const destination of [...destinations, ...requeuedDestinations, ...(fullScan ?? [])]) {
      const address = lanes.findOrCreate(destination)
      found.set(address.lane, address)
    }
    const isRetry = wishes.some(([, wish]) => wish === 'retry')
    const isLateChanged =
      requeued !== undefined && requeued.gone.length + requeued.invalid.length > 0
    if (due.length > 0 || isRetry || isLateChanged) connection.begin()
    for (const id of requeued?.invalid ?? []) {
      parked.parkInvalid(id, nowMs)
      this.#parts.requeued.onNumbered(id)
    }
    for (const [lane, wish] of wishes) if (wish === 'retry') this.#clearRetry.run(lane)
    if (fullScan !== undefined) this.#settle(found)
    if (due.length > 0) parked.free(due, nowMs)
    for (const destination of flawed) this.#parkFlawed(destination, nowMs)
    return found
  }

  #parkFlawed(destination: FlawedPlace, nowMs: number): void {
    const { connection, parked, requeued } = this.#parts
    if (connection.isSpent) return
    connection.begin()
    for (const id of parked.parkFlawed(destination, flaw(destination.column), nowMs))
      requeued.onNumbered(id)
  }

  /**
   * Rows that were deleted after they were numbered, in a lane without a session and without any
   * row: nobody will ask the peer about them. Then they count as cancelled.
   */
  #settle(present: ReadonlyMap<LaneId, LaneAddress>): void {
    const { connection, hasSession, settle } = this.#parts
    for (const lane of this.#unsettled.all()) {
      if (present.has(lane) || hasSession(lane)) this.#settled.delete(lane)
      else if (!this.#settled.has(lane)) {
        connection.begin()
        settle(lane)
        this.#settled.add(lane)
      }
    }
  }

  /** From here on nothing can fail. */
  #conclude(snapshot: ScanSnapshot, found: Map<LaneId, LaneAddress>, nowMs: number): Scan {
    this.#newestSeen = snapshot.newestId
    this.#concludeLate(snapshot)
    // No lane may be both named and reported to be empty: the core and this would differ for ever.
    const named = new Map([...found, ...this.#again()])
    const over = this.#over(named)
    const fresh = this.#fresh(snapshot.destinations)
    const results: StoreResult[] = [
      ...this.#news(named, fresh),
      ...this.#passOn(snapshot.wishes),
      ...over.map((lane) => ({ type: 'drained', lane }) as const),
    ]
    if (snapshot.fullScan !== undefined) {
      results.push(...this.#emptied(named))
      this.#fullScan = 'no'
      this.#fullScanAtMs = nowMs
      this.#scanDestinations = snapshot.fullScan.length
    }
    return { results, found: Array.from(found.keys()) }
  }

  #concludeLate({ requeued, due }: ScanSnapshot): void {
    const { lanes, destinations } = this.#parts
    if (requeued !== undefined) {
      this.#parts.requeued.onLooked(requeued)
      for (const [id, host, port, token] of requeued.rows) {
        const address = lanes.find(destinations.destinationOf([host, port, token]))
        if (address !== undefined) lanes.onLate(address.lane, id)
      }
      this.#hasLate = requeued.isMore
    }
    if (due.length > 0) this.#hasLate = true
  }

  /** Lanes whose session is over, and that have rows all the same. */
  #again(): [LaneId, LaneAddress][] {
    return Array.from(this.#forgotten).filter(([, address]) => this.#hasToSend(address))
  }

  /** Lanes whose session is over, and that have none. */
  #over(named: ReadonlyMap<LaneId, LaneAddress>): LaneId[] {
    const { hasSession } = this.#parts
    const over = Array.from(this.#forgotten.keys()).filter(
      (lane) => !named.has(lane) && !hasSession(lane),
    )
    this.#forgotten.clear()
    return over
  }

  /** Lanes that have new rows and no session: who waits for an attempt shall try now (P12). */
  #fresh(destinations: readonly LaneDestination[]): ReadonlySet<LaneId> {
    const { lanes, hasSession } = this.#parts
    const fresh = new Set<LaneId>()
    for (const destination of destinations) {
      const lane = lanes.find(destination)?.lane
      if (lane !== undefined && !hasSession(lane)) fresh.add(lane)
    }
    return fresh
  }

  #news(named: ReadonlyMap<LaneId, LaneAddress>, fresh: ReadonlySet<LaneId>): StoreResult[] {
    const news = Array.from(named.values()).filter(
      ({ lane }) => !this.#announced.has(lane) || fresh.has(lane),
    )
    for (const address of news) this.#announced.set(address.lane, address)
    return news.length === 0 ? [] : [{ type: 'lanes', lanes: news }]
  }

  #passOn(wishes: readonly Wish[]): StoreResult[] {
    const news = wishes.filter(([lane, wish]) => wish === 'retry' || !this.#wanted.has(lane))
    this.#wanted.clear()
    for (const [lane, wish] of wishes) if (wish !== 'retry') this.#wanted.add(lane)
    return news.map(([lane]) => ({ type: 'retry-requested', lane }))
  }

  /** Lanes without a session that had rows, and have none now. */
  #emptied(present: ReadonlyMap<LaneId, unknown>): StoreResult[] {
    const gone = Array.from(this.#announced.keys()).filter(
      (lane) => !present.has(lane) && !this.#parts.hasSession(lane),
    )
    for (const lane of gone) this.#announced.delete(lane)
    return gone.map((lane) => ({ type: 'drained', lane }))
  }

  /** Each place once, and without those whose rows are all parked, or all at the peer. */
  #sendable(destinations: readonly LaneDestination[]): LaneDestination[] {
    const { parked, mayHaveKept } = this.#parts
    const different = Array.from(
      new Map(destinations.map((destination) => [laneName(destination), destination])).values(),
    )
    if (parked.isEmpty && !mayHaveKept()) return different
    return different.filter((destination) => this.#hasToSend(destination))
  }

  #hasToSend(destination: LaneDestination): boolean {
    const { rows, mayHaveKept } = this.#parts
    return rows.isAny(destination) && !(mayHaveKept() && rows.areKept(destination))
  }
}
