/**
 * How many rows of mqout wait for each host and port, and since when. Few rows are counted along
 * the index of lanes; of many, windows of ids are. Must never take longer for more rows, nor longer
 * for more places than its budget: then the oldest counts stand until it is their turn.
 */
import type Database from 'better-sqlite3'
import type { Count } from '../page-api.ts'

export type Place = { readonly host: string; readonly port: number }
export type PlaceBacklog = { readonly waiting: Count; readonly oldestAt: number | null }

const countedMax = 20_000
const windows = 64
const windowIds = 256
/** Of one look at all places. */
const budgetMs = 30
/** With keys the index goes by token: so many tokens of a place are looked at. */
const tokensMax = 100

type Values = (string | number)[]

const nothing: PlaceBacklog = { waiting: { value: 0, isExact: true }, oldestAt: null }

export class PlaceCounts {
  readonly #db: Database.Database
  readonly #known = new Map<string, PlaceBacklog>()
  #turn = 0

  constructor(db: Database.Database) {
    this.#db = db
  }

  /** In the order of `places`. */
  read(places: readonly Place[]): PlaceBacklog[] {
    const statements = new PlaceStatements(this.#db)
    const untilMs = performance.now() + budgetMs
    const fresh = new Set<string>()
    for (let step = 0; step < places.length && performance.now() < untilMs; step++) {
      const place = places[(this.#turn + step) % places.length]
      if (place === undefined) break
      this.#known.set(nameOf(place), statements.backlogOf(place))
      fresh.add(nameOf(place))
    }
    this.#turn = places.length === 0 ? 0 : (this.#turn + fresh.size) % places.length
    this.#forgetAllBut(places)
    return places.map((place) => this.#told(place, fresh))
  }

  #told(place: Place, fresh: ReadonlySet<string>): PlaceBacklog {
    const known = this.#known.get(nameOf(place))
    if (known === undefined) return { ...nothing, waiting: { value: 0, isExact: false } }
    if (fresh.has(nameOf(place))) return known
    return { ...known, waiting: { ...known.waiting, isExact: false } }
  }

  #forgetAllBut(places: readonly Place[]): void {
    if (this.#known.size <= places.length) return
    const names = new Set(places.map(nameOf))
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name)
  }
}

const nameOf = ({ host, port }: Place): string => `${port} ${host}`

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
    const place = `host = ? AND port = ?${this.#isByToken ? ' AND token = ?' : ''}`
    const from = `FROM mqout INDEXED BY mqout_lane WHERE ${place}`
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

  backlogOf({ host, port }: Place): PlaceBacklog {
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
