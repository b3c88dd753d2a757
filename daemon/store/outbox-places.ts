/**
 * Where there are rows in `mqout`: the newest ones one by one, or all places by leaping from one to
 * the next through the index. Must never read data, nor walk through the rows of a place.
 */
import { isUtf8 } from 'node:buffer'
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
  /** There are more than were looked at, or some that only `all` can tell. */
  readonly isCrowded: boolean
}

/** A place whose host or token is text that is not UTF-8, as the bytes that it has in the file. */
export type FlawedPlace = {
  readonly column: 'host' | 'token'
  readonly host: Uint8Array
  readonly port: number
  /** Of all tokens, if they do not count. */
  readonly token: Uint8Array
}

export type AllPlaces = {
  readonly places: readonly LanePlace[]
  readonly flawed: readonly FlawedPlace[]
}

type Found = [host: string, port: number, token: string]
/** In bytes: text that is not UTF-8 becomes another text in JavaScript, and sorts elsewhere. */
type FoundBytes = [host: Buffer, port: number, token: Buffer]

/** Without the triggers of mqout a row can have any values. Such a one is parked elsewhere. */
export const isPlace = (host: unknown, port: unknown, token: unknown): boolean =>
  typeof host === 'string' && host !== '' && isPort(port) && typeof token === 'string'

const isPort = (port: unknown): boolean =>
  typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536

/** What JavaScript makes of bytes that are not UTF-8, and hardly anybody writes. */
const replacement = '\uFFFD'

export class OutboxPlaces {
  readonly #keying: Keying
  readonly #newRows: BetterSqlite3.Statement<[number], [number, ...Found]>
  readonly #newestId: BetterSqlite3.Statement<[], number | null>
  readonly #nextToken: BetterSqlite3.Statement<FoundBytes, FoundBytes>
  readonly #nextPort: BetterSqlite3.Statement<[Buffer, number], FoundBytes>
  readonly #nextHost: BetterSqlite3.Statement<[Buffer], FoundBytes>

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

  /** The place may not be what is in the file: only `all` can tell. */
  isDoubtful({ host, key }: LanePlace): boolean {
    return host.includes(replacement) || key.includes(replacement)
  }

  newRows(afterId: number): NewRows {
    const rows = this.#newRows.all(afterId)
    const isFull = rows.length > newRowsMax
    const newestId = isFull ? this.#newestId.get() : rows.at(-1)?.[0]
    const valid = rows.filter(([, ...row]) => isPlace(...row))
    const found = valid.map(([, ...row]) => this.placeOf(row))
    const places = found.filter((place) => !this.isDoubtful(place))
    const isCrowded = isFull || places.length < found.length
    return { places, newestId: newestId ?? undefined, isCrowded }
  }

  /** Each place that has rows, by lane. */
  all(): AllPlaces {
    const places: LanePlace[] = []
    const flawed: FlawedPlace[] = []
    let found = this.#nextHost.get(Buffer.alloc(0))
    while (found !== undefined) {
      const [host, port, token] = found
      if (!isUtf8(host)) flawed.push({ column: 'host', host, port, token })
      else if (!isUtf8(token)) flawed.push({ column: 'token', host, port, token })
      else places.push(this.placeOf([host.toString(), port, token.toString()]))
      found = this.#after(found)
    }
    return { places, flawed }
  }

  #after(found: FoundBytes): FoundBytes | undefined {
    const [host, port] = found
    const token = this.#keying.isByToken ? this.#nextToken.get(...found) : undefined
    return token ?? this.#nextPort.get(host, port) ?? this.#nextHost.get(host)
  }
}

/** A parameter that is given as the bytes of a text. */
const givenText = '(SELECT CAST(? AS TEXT))'
const hostAndPort = 'CAST(host AS BLOB), port'
const withToken = "CAST(coalesce(token, '') AS BLOB)"

export const newRowsSql = `SELECT id, host, port, coalesce(token, '') FROM mqout WHERE id > ?
  ORDER BY id LIMIT ${newRowsMax + 1}`
// Leaps: with (host, port) > (?, ?) SQLite walks through all rows of the lane that it leaves.
export const nextPortSql = `SELECT ${hostAndPort}, x'' FROM mqout
  WHERE host = ${givenText} AND port > ${given} AND port < 65536 ORDER BY port LIMIT 1`
// No BLOB is below x'', and every text is.
export const nextHostSql = `SELECT ${hostAndPort}, x'' FROM mqout
  WHERE host > ${givenText} AND host < x'' AND port BETWEEN 1 AND 65535
  ORDER BY host, port LIMIT 1`
// Where the index has the token too.
export const nextTokenSql = `SELECT ${hostAndPort}, ${withToken} FROM mqout
  WHERE host = ${givenText} AND port = ${given} AND token > ${givenText} AND token < x''
  ORDER BY token LIMIT 1`
export const nextPortByTokenSql = `SELECT ${hostAndPort}, ${withToken} FROM mqout
  WHERE host = ${givenText} AND port > ${given} AND port < 65536 ORDER BY port, token LIMIT 1`
export const nextHostByTokenSql = `SELECT ${hostAndPort}, ${withToken} FROM mqout
  WHERE host > ${givenText} AND host < x'' AND port BETWEEN 1 AND 65535
  ORDER BY host, port, token LIMIT 1`
