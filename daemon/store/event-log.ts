/**
 * `mqevent`: what the operator must know. Must never hold more than a thousand, so that a condition
 * that comes back every second cannot fill the disk, nor push out what others have to say.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { Connection } from './connection.ts'

const eventsMax = 1_000
const hourMs = 3_600_000

export type StoreEvent = {
  readonly code: string
  /** Whom it is about. */
  readonly host?: string
  readonly port?: number
  /** A sentence, with the facts. */
  readonly detail: string
}

/** Of the code that has most, as many of the oldest go as are too many. */
const pruneSql = `
  DELETE FROM mqevent WHERE id IN (
    SELECT id FROM mqevent WHERE code = (
      SELECT code FROM mqevent GROUP BY code ORDER BY count(*) DESC LIMIT 1
    ) ORDER BY id LIMIT max(0, (SELECT count(*) FROM mqevent) - ?)
  )`

type NewEvent = [number, string, string | null, number | null, string]

export class EventLog {
  readonly #connection: Connection
  readonly #insert: BetterSqlite3.Statement<NewEvent>
  readonly #prune: BetterSqlite3.Statement<[number]>
  readonly #newest: BetterSqlite3.Statement<[string, string, number], number | null>

  readonly #onLost: (reason: string) => void

  /** `onLost` hears why an event could not be written: a trigger of the owner's on `mqevent`. */
  constructor(connection: Connection, onLost: (reason: string) => void) {
    this.#connection = connection
    this.#onLost = onLost
    this.#insert = connection.prepareChange(
      'INSERT INTO mqevent (at, code, host, port, detail) VALUES (?, ?, ?, ?, ?)',
    )
    this.#prune = connection.prepareChange(pruneSql)
    this.#newest = connection.prepareValue(
      'SELECT max(at) FROM mqevent WHERE code = ? AND host = ? AND port = ?',
    )
  }

  /** For what is found again at each attempt: at most once an hour for a destination. */
  addHourly(event: Required<StoreEvent>, nowMs: number): void {
    const newest = this.#newest.get(event.code, event.host, event.port) ?? -Infinity
    if (Math.abs(nowMs - newest) >= hourMs) this.add(event, nowMs)
  }

  add(event: StoreEvent, nowMs: number): void {
    this.#connection.begin()
    const { code, host, port, detail } = event
    const reason = this.#connection.writeOptional('mqevent', () => {
      const row: NewEvent = [nowMs, code, host ?? null, port ?? null, detail]
      this.#insert.run(...row)
      this.#prune.run(eventsMax)
    })
    if (reason !== undefined) this.#onLost(reason)
  }
}

// How many events of one code the holders of one key may cause: they choose the host that an event
// names, and must not fill `mqevent` with it.

const eventsPerHour = 16

export class EventPace {
  /** By code and key, both of which are few. */
  readonly #hours = new Map<string, { sinceMs: number; reported: number }>()

  mayTell(code: string, key: string, nowMs: number): boolean {
    const name = `${code} ${key}`
    const hour = this.#hours.get(name)
    if (hour === undefined || Math.abs(nowMs - hour.sinceMs) >= hourMs) {
      this.#hours.set(name, { sinceMs: nowMs, reported: 1 })
      return true
    }
    hour.reported++
    return hour.reported <= eventsPerHour
  }
}
