/**
 * Finds lanes that have rows, with ten million of them or none: by the newest rows when there are
 * few new ones, else by leaping from lane to lane through the index (a tour). A look that finds
 * nothing changed costs a few microseconds. Must never read data, nor write before it has looked.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { LaneAddress, LaneId, StoreResult } from '../protocol/store-port.ts'
import type { Connection } from './connection.ts'
import { laneName, type Lanes } from './lanes.ts'
import { flaw } from './numbering.ts'
import type { FlawedPlace, LanePlace, OutboxPlaces } from './outbox-places.ts'
import type { OutboxRows } from './outbox-rows.ts'
import type { LateLook, LateRows, ParkedRows } from './parked.ts'

/** What nothing announces (rows that are deleted, ids by hand, wishes) is seen this late. */
const tourPauseMs = 1_000
/** A tour costs some 10 µs for each lane: with this pause for each it takes 4 % of the time. */
const tourPausePerLaneMs = 0.25

type Wish = readonly [lane: LaneId, wish: string]

export type ScanParts = {
  readonly connection: Connection
  readonly lanes: Lanes
  readonly places: OutboxPlaces
  readonly rows: OutboxRows
  readonly parked: ParkedRows
  readonly late: LateRows
  readonly hasSession: (lane: LaneId) => boolean
  /** None of its rows is there any more: those that are not confirmed count as cancelled. */
  readonly settle: (lane: LaneId) => void
  /** Rows that the peer has may still be in mqout (row-deletion.ts). */
  readonly mayHaveKept: () => boolean
  /** The core knows of these: each is named again, or is said to be empty. */
  readonly known: Iterable<LaneAddress>
}

/** `found` are lanes with rows that no read may have seen. */
export type Scan = { readonly results: readonly StoreResult[]; readonly found: readonly LaneId[] }

/** What was read before anything is changed. */
type Sight = {
  readonly newestId: number
  readonly places: readonly LanePlace[]
  readonly late: LateLook | undefined
  readonly due: readonly number[]
  /** All places with rows that may go; undefined without a tour. */
  readonly tour: readonly LanePlace[] | undefined
  /** Places with rows that no lane can have. */
  readonly flawed: readonly FlawedPlace[]
  readonly wishes: readonly Wish[]
}

export class Scanner {
  readonly #parts: ScanParts
  readonly #wishes: BetterSqlite3.Statement<[], [LaneId, string]>
  readonly #clearRetry: BetterSqlite3.Statement<[LaneId]>
  readonly #unsettled: BetterSqlite3.Statement<[], LaneId>
  readonly #announced = new Map<LaneId, LaneAddress>()
  readonly #forgotten = new Map<LaneId, LaneAddress>()
  /** Lanes whose wish was passed on and stays until they are judged. */
  readonly #wanted = new Set<LaneId>()
  /** Lanes without rows whose runs say so. */
  readonly #settled = new Set<LaneId>()
  #version = -1
  #newestSeen = 0
  #hasLate = true
  #tour: 'no' | 'due' | 'urgent' = 'due'
  #tourAtMs = -Infinity
  #tourPlaces = 0

  constructor(parts: ScanParts) {
    this.#parts = parts
    const { connection, known } = parts
    for (const address of known) this.#forgotten.set(address.lane, address)
    this.#wishes = connection.prepare('SELECT id, wish FROM mqlane WHERE wish IS NOT NULL')
    this.#unsettled = connection.prepareValue(
      'SELECT id FROM mqlane WHERE numbered > confirmed ORDER BY id',
    )
    this.#clearRetry = connection.prepareChange(
      "UPDATE mqlane SET wish = NULL WHERE id = ? AND wish = 'retry'",
    )
  }

  /**
   * @param version `PRAGMA data_version`: while it stays the same, nobody has written anything.
   * @throws DatabaseBusy with nothing lost: the next scan finds it all again.
   */
  scan(version: number, nowMs: number): Scan {
    const isChanged = version !== this.#version
    const due = this.#parts.parked.due(nowMs)
    const isQuiet = due.length === 0 && !this.#hasLate && this.#forgotten.size === 0
    if (!isChanged && isQuiet && !this.#isTourTime(nowMs)) return { results: [], found: [] }
    const sight = this.#look(isChanged, due, nowMs)
    const found = this.#write(sight, nowMs)
    this.#version = version
    return this.#conclude(sight, found, nowMs)
  }

  /**
   * We have written ourselves: no version tells of that, and a trigger of the inbox's owner may
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

  #isTourTime(nowMs: number): boolean {
    // Either way: a clock that was set back must not put the tours off.
    const sinceMs = Math.abs(nowMs - this.#tourAtMs)
    if (this.#tour === 'urgent') return sinceMs >= this.#tourPlaces * tourPausePerLaneMs
    return this.#tour === 'due' && sinceMs >= tourPauseMs
  }

  #look(isChanged: boolean, due: readonly number[], nowMs: number): Sight {
    const news = isChanged ? this.#parts.places.newRows(this.#newestSeen) : undefined
    if (news?.isCrowded === true) this.#tour = 'urgent'
    else if (isChanged && this.#tour === 'no') this.#tour = 'due'
    const isTour = this.#isTourTime(nowMs)
    const all = isTour ? this.#parts.places.all() : undefined
    return {
      newestId: news?.newestId ?? this.#newestSeen,
      places: this.#sendable(news?.places ?? []),
      late: isChanged || this.#hasLate ? this.#parts.late.look() : undefined,
      due,
      tour: all && this.#sendable(all.places),
      flawed: all?.flawed ?? [],
      wishes: isTour ? this.#wishes.all() : [],
    }
  }

  /** All that has to be written; the first write may find the database busy. */
  #write(sight: Sight, nowMs: number): Map<LaneId, LaneAddress> {
    const { places, late, due, tour, flawed, wishes } = sight
    const { connection, lanes, parked } = this.#parts
    const found = new Map<LaneId, LaneAddress>()
    const latePlaces = (late?.rows ?? [])
      .map(([, host, port, token]) => this.#parts.places.placeOf([host, port, token]))
      .filter((place) => !this.#parts.places.isDoubtful(place))
    for (const place of [...places, ...latePlaces, ...(tour ?? [])]) {
      const address = lanes.findOrCreate(place)
      found.set(address.lane, address)
    }
    const isRetry = wishes.some(([, wish]) => wish === 'retry')
    const isLateChanged = late !== undefined && late.gone.length + late.invalid.length > 0
    if (due.length > 0 || isRetry || isLateChanged) connection.begin()
    for (const id of late?.invalid ?? []) {
      parked.parkInvalid(id, nowMs)
      this.#parts.late.onNumbered(id)
    }
    for (const [lane, wish] of wishes) if (wish === 'retry') this.#clearRetry.run(lane)
    if (tour !== undefined) this.#settle(found)
    if (due.length > 0) parked.free(due, nowMs)
    for (const place of flawed) this.#parkFlawed(place, nowMs)
    return found
  }

  #parkFlawed(place: FlawedPlace, nowMs: number): void {
    const { connection, parked, late } = this.#parts
    if (connection.isSpent) return
    connection.begin()
    for (const id of parked.parkFlawed(place, flaw(place.column), nowMs)) late.onNumbered(id)
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
  #conclude(sight: Sight, found: Map<LaneId, LaneAddress>, nowMs: number): Scan {
    this.#newestSeen = sight.newestId
    this.#concludeLate(sight)
    const { again, over } = this.#again()
    const fresh = this.#fresh(sight.places)
    const results: StoreResult[] = [
      ...this.#news([...found.values(), ...again], fresh),
      ...this.#passOn(sight.wishes),
      ...over.map(({ lane }) => ({ type: 'emptied', lane }) as const),
    ]
    if (sight.tour !== undefined) {
      results.push(...this.#emptied(new Set(found.keys())))
      this.#tour = 'no'
      this.#tourAtMs = nowMs
      this.#tourPlaces = sight.tour.length
    }
    return { results, found: Array.from(found.keys()) }
  }

  #concludeLate({ late, due }: Sight): void {
    const { lanes, places } = this.#parts
    if (late !== undefined) {
      this.#parts.late.onLooked(late)
      for (const [id, host, port, token] of late.rows) {
        const address = lanes.find(places.placeOf([host, port, token]))
        if (address !== undefined) lanes.onLate(address.lane, id)
      }
      this.#hasLate = late.isMore
    }
    if (due.length > 0) this.#hasLate = true
  }

  /** Lanes whose session is over: those that have rows all the same, and those that have none. */
  #again(): { readonly again: LaneAddress[]; readonly over: LaneAddress[] } {
    const { hasSession } = this.#parts
    const forgotten = Array.from(this.#forgotten.values())
    this.#forgotten.clear()
    const again = forgotten.filter((lane) => this.#hasToSend(lane))
    const over = forgotten.filter((lane) => !again.includes(lane) && !hasSession(lane.lane))
    return { again, over }
  }

  /** Lanes that have new rows and no session: who waits for an attempt shall try now (P12). */
  #fresh(places: readonly LanePlace[]): ReadonlySet<LaneId> {
    const { lanes, hasSession } = this.#parts
    const fresh = new Set<LaneId>()
    for (const place of places) {
      const lane = lanes.find(place)?.lane
      if (lane !== undefined && !hasSession(lane)) fresh.add(lane)
    }
    return fresh
  }

  #news(lanes: readonly LaneAddress[], fresh: ReadonlySet<LaneId>): StoreResult[] {
    const different = new Map(lanes.map((address) => [address.lane, address]))
    const news = Array.from(different.values()).filter(
      ({ lane }) => !this.#announced.has(lane) || fresh.has(lane),
    )
    for (const address of news) this.#announced.set(address.lane, address)
    return news.length === 0 ? [] : [{ type: 'lanes', lanes: news }]
  }

  #passOn(wishes: readonly Wish[]): StoreResult[] {
    const news = wishes.filter(([lane, wish]) => wish === 'retry' || !this.#wanted.has(lane))
    this.#wanted.clear()
    for (const [lane, wish] of wishes) if (wish !== 'retry') this.#wanted.add(lane)
    return news.map(([lane]) => ({ type: 'wanted', lane }))
  }

  /** Lanes without a session that had rows, and have none now. */
  #emptied(present: ReadonlySet<LaneId>): StoreResult[] {
    const gone = Array.from(this.#announced.keys()).filter(
      (lane) => !present.has(lane) && !this.#parts.hasSession(lane),
    )
    for (const lane of gone) this.#announced.delete(lane)
    return gone.map((lane) => ({ type: 'emptied', lane }))
  }

  /** Each place once, and without those whose rows are all parked, or all at the peer. */
  #sendable(places: readonly LanePlace[]): LanePlace[] {
    const { parked, mayHaveKept } = this.#parts
    const different = Array.from(new Map(places.map((place) => [laneName(place), place])).values())
    if (parked.isEmpty && !mayHaveKept()) return different
    return different.filter((place) => this.#hasToSend(place))
  }

  #hasToSend(place: LanePlace): boolean {
    const { rows, mayHaveKept } = this.#parts
    return rows.isAny(place) && !(mayHaveKept() && rows.areKept(place))
  }
}
