/**
 * Where there are rows in `mqout`: the newest ones one by one, or all places by leaping from one to
 * the next through the index. Must never read data, nor walk through the rows of a place where the
 * index is.
 */
import { isUtf8 } from 'node:buffer'
import type BetterSqlite3 from 'better-sqlite3'
import type { LaneAddress } from '../../protocol/store-messages.ts'
import type { Connection } from '../connection.ts'
import type { KeyPolicy } from '../key-policy.ts'
import { given } from '../../../sdk/schema/sqlite-handle.ts'

/** How many columns the index of places has: host, port and, where tokens count, the token. */
export const indexColumnsSql = "SELECT count(*) FROM pragma_index_info('mqout_lane')"
export const indexColumnsOf = ({ isByToken }: KeyPolicy): number => (isByToken ? 3 : 2)

/** New rows that are looked at one by one; beyond that leaping is cheaper. */
const newRowsMax = 256

/** Which lane rows are of, whether it is known already or not. */
export type LaneDestination = Omit<LaneAddress, 'lane'>

type NewRows = {
  readonly destinations: readonly LaneDestination[]
  /** Undefined: there are no new rows. */
  readonly newestId: number | undefined
  /** There are more than were looked at, or some that only `all` can tell. */
  readonly isBufferFull: boolean
}

/** A place whose host or token is text that is not UTF-8, as the bytes that it has in the file. */
export type FlawedPlace = {
  readonly column: 'host' | 'token'
  readonly host: Uint8Array
  readonly port: number
  /** Of all tokens, if they do not count. */
  readonly token: Uint8Array
}

type AllDestinations = {
  readonly destinations: readonly LaneDestination[]
  readonly flawed: readonly FlawedPlace[]
  /** All rows were walked over: the index of tokens could not be built. */
  readonly isWalk: boolean
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

export class OutboxDestinations {
  readonly #keyPolicy: KeyPolicy
  readonly #newRows: BetterSqlite3.Statement<[number], [number, ...Found]>
  readonly #newestId: BetterSqlite3.Statement<[], number | null>
  readonly #indexColumns: BetterSqlite3.Statement<[], number>
  readonly #distinct: BetterSqlite3.Statement<[], FoundBytes>
  readonly #nextToken: BetterSqlite3.Statement<FoundBytes, FoundBytes>
  readonly #nextPort: BetterSqlite3.Statement<[Buffer, number], FoundBytes>
  readonly #nextHost: BetterSqlite3.Statement<[Buffer], FoundBytes>

  constructor(connection: Connection, keyPolicy: KeyPolicy) {
    this.#keyPolicy = keyPolicy
    this.#newRows = connection.prepare(newRowsSql)
    this.#newestId = connection.prepareValue('SELECT max(id) FROM mqout')
    this.#indexColumns = connection.prepareValue(indexColumnsSql)
    this.#distinct = connection.prepare(distinctSql)
    this.#nextToken = connection.prepare(nextTokenSql)
    const [nextPort, nextHost] = keyPolicy.isByToken
      ? [nextPortByTokenSql, nextHostByTokenSql]
      : [nextPortSql, nextHostSql]
    this.#nextPort = connection.prepare(nextPort)
    this.#nextHost = connection.prepare(nextHost)
  }

  destinationOf([host, port, token]: Found): LaneDestination {
    return { host, port, key: this.#keyPolicy.keyOf(token) }
  }

  /** The place may not be what is in the file: only `all` can tell. */
  isDoubtful({ host, key }: LaneDestination): boolean {
    return host.includes(replacement) || key.includes(replacement)
  }

  newRows(afterId: number): NewRows {
    const rows = this.#newRows.all(afterId)
    const isFull = rows.length > newRowsMax
    const newestId = isFull ? this.#newestId.get() : rows.at(-1)?.[0]
    const valid = rows.filter(([, ...row]) => isPlace(...row))
    const found = valid.map(([, ...row]) => this.destinationOf(row))
    const destinations = found.filter((destination) => !this.isDoubtful(destination))
    const isBufferFull = isFull || destinations.length < found.length
    return { destinations, newestId: newestId ?? undefined, isBufferFull }
  }

  /** Each place that has rows, by lane. */
  all(): AllDestinations {
    const destinations: LaneDestination[] = []
    const flawed: FlawedPlace[] = []
    // Each leap would walk through all rows of a place.
    const isWalk =
      this.#keyPolicy.isByToken && this.#indexColumns.get() !== indexColumnsOf(this.#keyPolicy)
    for (const [host, port, token] of isWalk ? this.#distinct.all() : this.#leaps()) {
      if (!isUtf8(host)) flawed.push({ column: 'host', host, port, token })
      else if (!isUtf8(token)) flawed.push({ column: 'token', host, port, token })
      else destinations.push(this.destinationOf([host.toString(), port, token.toString()]))
    }
    return { destinations, flawed, isWalk }
  }

  *#leaps(): Iterable<FoundBytes> {
    let found = this.#nextHost.get(Buffer.alloc(0))
    while (found !== undefined) {
      yield found
      found = this.#after(found)
    }
  }

  #after(found: FoundBytes): FoundBytes | undefined {
    const [host, port] = found
    const token = this.#keyPolicy.isByToken ? this.#nextToken.get(...found) : undefined
    return token ?? this.#nextPort.get(host, port) ?? this.#nextHost.get(host)
  }
}

/** A parameter that is given as the bytes of a text. */
const givenText = '(SELECT CAST(? AS TEXT))'
const hostAndPort = 'CAST(host AS BLOB), port'
const withToken = "CAST(coalesce(token, '') AS BLOB)"

const distinctSql = `SELECT DISTINCT ${hostAndPort}, ${withToken} FROM mqout
  WHERE host < x'' AND host <> '' AND port BETWEEN 1 AND 65535`
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
