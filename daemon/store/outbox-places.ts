/**
 * Where there are rows in `mqout`: the newest ones one by one, or all places by leaping from one to
 * the next through the index. Must never read data, nor walk through the rows of a place.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { LaneAddress } from '../protocol/store-port.ts'
import type { Connection } from './connection.ts'
import type { Keying } from './keying.ts'
import { given } from '../../sdk/given-sql.ts'

/** New rows that are looked at one by one; beyond that leaping is cheaper. */
export const newRowsMax = 256

/** Which lane rows are of, whether it is known already or not. */
export type LanePlace = Omit<LaneAddress, 'lane'>

export type NewRows = {
  readonly places: readonly LanePlace[]
  /** Undefined: there are no new rows. */
  readonly newestId: number | undefined
  /** There are more than were looked at. */
  readonly isCrowded: boolean
}

type Found = [host: string, port: number, token: string]

export class OutboxPlaces {
  readonly #keying: Keying
  readonly #newRows: BetterSqlite3.Statement<[number], [number, ...Found]>
  readonly #newestId: BetterSqlite3.Statement<[], number | null>
  readonly #nextToken: BetterSqlite3.Statement<Found, Found>
  readonly #nextPort: BetterSqlite3.Statement<[string, number], Found>
  readonly #nextHost: BetterSqlite3.Statement<[string], Found>

  constructor(connection: Connection, keying: Keying) {
    this.#keying = keying
    this.#newRows = connection.prepare(newRowsSql)
    this.#newestId = connection.prepareValue('SELECT max(id) FROM mqout')
    this.#nextToken = connection.prepare(nextTokenSql)
    const [nextPort, nextHost] = keying.isByToken
      ? [nextPortByTokenSql, nextHostByTokenSql]
      : [nextPortSql, nextHostSql]
    this.#nextPort = connection.prepare(nextPort)
    this.#nextHost = connection.prepare(nextHost)
  }

  placeOf([host, port, token]: Found): LanePlace {
    return { host, port, key: this.#keying.keyOf(token) }
  }

  newRows(afterId: number): NewRows {
    const rows = this.#newRows.all(afterId)
    const isCrowded = rows.length > newRowsMax
    const newestId = isCrowded ? this.#newestId.get() : rows.at(-1)?.[0]
    const places = rows.map(([, ...found]) => this.placeOf(found))
    return { places, newestId: newestId ?? undefined, isCrowded }
  }

  /** Each place that has rows, by lane. */
  all(): LanePlace[] {
    const places: LanePlace[] = []
    let found = this.#nextHost.get('')
    while (found !== undefined) {
      places.push(this.placeOf(found))
      found = this.#after(found)
    }
    return places
  }

  #after(found: Found): Found | undefined {
    const [host, port] = found
    const token = this.#keying.isByToken ? this.#nextToken.get(...found) : undefined
    return token ?? this.#nextPort.get(host, port) ?? this.#nextHost.get(host)
  }
}

export const newRowsSql = `SELECT id, host, port, coalesce(token, '') FROM mqout WHERE id > ?
  ORDER BY id LIMIT ${newRowsMax + 1}`
// Leaps: with (host, port) > (?, ?) SQLite walks through all rows of the lane that it leaves.
export const nextPortSql = `SELECT host, port, '' FROM mqout
  WHERE host = ${given} AND port > ${given} ORDER BY port LIMIT 1`
export const nextHostSql = `SELECT host, port, '' FROM mqout WHERE host > ${given}
  ORDER BY host, port LIMIT 1`
// Where the index has the token too.
export const nextTokenSql = `SELECT host, port, token FROM mqout
  WHERE host = ${given} AND port = ${given} AND token > ${given} ORDER BY token LIMIT 1`
export const nextPortByTokenSql = `SELECT host, port, coalesce(token, '') FROM mqout
  WHERE host = ${given} AND port > ${given} ORDER BY port, token LIMIT 1`
export const nextHostByTokenSql = `SELECT host, port, coalesce(token, '') FROM mqout
  WHERE host > ${given} ORDER BY host, port, token LIMIT 1`
