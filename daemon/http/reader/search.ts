/**
 * Pages of the outbox and the inbox, the newest row first. Must never read the data of more rows
 * than a search asks for, nor count.
 */
import type Database from 'better-sqlite3'
import type { InboxRow, InboxState, OutboxRow, OutboxState, Rows, SearchBy } from '../api-types.ts'

type PageQuery = Search & {
  /** Only rows with lower ids. */
  readonly before: number
  readonly limit: number
}
export type OutboxQuery = PageQuery & { readonly state: OutboxState | 'any' }
export type InboxQuery = PageQuery & { readonly isDead: boolean }

type StatusRow = Omit<OutboxRow, 'state' | 'retryAt'> & {
  readonly state: string
  readonly retryInS: number | null
}

const statusColumns = `s.id, s.host, s.port, s.token, s.bytes, o.created_at AS createdAt, s.state,
  coalesce(s.reason, '') AS reason, s.retry_in_s AS retryInS`
const statusSource = 'mqstatus AS s JOIN mqout AS o ON o.id = s.id'

export function outboxPage(db: Database.Database, query: OutboxQuery): Rows<OutboxRow> {
  const { ids, ...rest } = readSlices(db, outboxQuery(db, query))
  const rows = ids.map((id) => outboxRow(db, id)).filter((row) => row !== undefined)
  return { rows, ...rest }
}

/** Undefined when it is not in the outbox. */
export function outboxRow(db: Database.Database, id: number): OutboxRow | undefined {
  const row = db
    .prepare<[number], StatusRow>(`SELECT ${statusColumns} FROM ${statusSource} WHERE s.id = ?`)
    .get(id)
  if (row === undefined) return undefined
  const { state, retryInS, ...same } = row
  const retryAt = retryInS === null ? null : Date.now() + Math.round(retryInS * 1_000)
  return { ...same, state: state === 'in flight' ? 'in-flight' : parkedOrNot(state), retryAt }
}

const parkedOrNot = (state: string): OutboxState => (state === 'parked' ? 'parked' : 'waiting')

function outboxQuery(db: Database.Database, query: OutboxQuery): SliceQuery {
  const { before, limit, state } = query
  const { sql, values } = conditionOf(query, 'o', 'o.bytes')
  const plain = { from: 'mqout AS o', id: 'o.id', condition: sql, values, before, limit, floor: 0 }
  if (state === 'any') return idRange(plain, query)
  const word = state === 'in-flight' ? 'in flight' : state
  const condition = `(${sql}) AND (SELECT s.state FROM mqstatus AS s WHERE s.id = o.id) = @state`
  const wanted = { ...plain, condition, values: { ...values, state: word } }
  return idRange(state === 'in-flight' ? { ...wanted, ...flightRange(db, before) } : wanted, query)
}

/** Rows in flight are the oldest: to come down to them from the newest would take long. */
function flightRange(
  db: Database.Database,
  before: number,
): { readonly before: number; readonly floor: number } {
  const range = db
    .prepare<[], { first: number | null; last: number }>(
      'SELECT min(id_first) AS first, max(id_last) AS last FROM mqbatch WHERE done_at IS NULL',
    )
    .get()
  if (range === undefined || range.first === null) return { before: 0, floor: 0 }
  return { before: Math.min(before, range.last + 1), floor: range.first - 1 }
}

/** Whoever names an id means one row. */
function idRange(query: SliceQuery, { text, by }: Search): SliceQuery {
  const id = by === 'id' && /^\d{1,16}$/.test(text) ? Number(text) : undefined
  if (id === undefined) return query
  return { ...query, before: Math.min(query.before, id + 1), floor: id - 1 }
}

type InboxSourceRow = Omit<InboxRow, 'state' | 'leaseUntil'> & {
  readonly owner: string | null
  readonly until: number | null
}

const inboxColumns = `i.id, coalesce(i.host, '') AS host, coalesce(i.port, 0) AS port,
  coalesce(i.token, '') AS token, octet_length(i.data) AS bytes, i.sent_at AS sentAt,
  i.arrived_at AS arrivedAt`

export function inboxPage(db: Database.Database, query: InboxQuery): Rows<InboxRow> {
  const { before, limit, isDead } = query
  const { sql: condition, values } = conditionOf(query, 'i', 'octet_length(i.data)')
  const from = `${isDead ? 'mqdead' : 'mqin'} AS i`
  const slices: Slices = readSlices(
    db,
    idRange({ from, id: 'i.id', condition, values, before, limit, floor: 0 }, query),
  )
  const one = isDead ? deadRow : inboxRow
  const rows = slices.ids.map((id) => one(db, id)).filter((row) => row !== undefined)
  return { rows, next: slices.next, isComplete: slices.isComplete }
}

/** Undefined when it is not in the inbox. */
export function inboxRow(db: Database.Database, id: number): InboxRow | undefined {
  const row = db
    .prepare<[number], InboxSourceRow>(
      `SELECT ${inboxColumns}, coalesce(l.attempts, 0) AS attempts, l.error, l.owner, l.until
       FROM mqin AS i LEFT JOIN mqlease AS l ON l.id = i.id WHERE i.id = ?`,
    )
    .get(id)
  if (row === undefined) return undefined
  const { owner, until, ...same } = row
  const isLeased = owner !== null && until !== null && until > Date.now()
  const state: InboxState = isLeased ? 'leased' : 'ready'
  return { ...same, state, leaseUntil: isLeased ? until : null }
}

/** Undefined when it is no dead letter. */
export function deadRow(db: Database.Database, id: number): InboxRow | undefined {
  const row = db
    .prepare<[number], Omit<InboxRow, 'state' | 'leaseUntil' | 'attempts'>>(
      `SELECT ${inboxColumns}, i.error FROM mqdead AS i WHERE i.id = ?`,
    )
    .get(id)
  return row === undefined ? undefined : { ...row, state: 'dead', leaseUntil: null, attempts: 0 }
}

// What a person looks for, as a condition in SQL. Must never put a word of theirs into the SQL
// itself, nor look into data that is large.

export type Search = { readonly text: string; readonly by: SearchBy }

type Condition = {
  readonly sql: string
  readonly values: { readonly [name: string]: string | number | null }
}

/** SQLite reads a value whole to look into it: larger ones are passed over. */
const searchedBytesMax = 262_144

/**
 * @param row alias of the table, with columns id, host, port, token and data.
 * @param bytes SQL for the size of its data.
 */
function conditionOf({ text, by }: Search, row: string, bytes: string): Condition {
  if (text === '') return { sql: 'true', values: {} }
  const { host, port } = hostAndPort(text)
  const id = /^\d{1,16}$/.test(text) ? Number(text) : null
  const sqlBy: { readonly [By in Exclude<SearchBy, 'any'>]: string } = {
    id: `${row}.id = @id`,
    host: `(${row}.host = @host AND (@port IS NULL OR ${row}.port = @port))`,
    token: `${row}.token = @text`,
    text: `(${bytes} <= ${searchedBytesMax} AND typeof(${row}.data) = 'text'
      AND instr(${row}.data, @text) > 0)`,
  }
  const sql = by === 'any' ? Object.values(sqlBy).join(' OR ') : sqlBy[by]
  const values = { id, host, port, text }
  const used = Object.entries(values).filter(([name]) => sql.includes(`@${name}`))
  return { sql, values: Object.fromEntries(used) }
}

/** `host:port` as the page shows it; a bare IPv6 address has no port. */
function hostAndPort(text: string): { readonly host: string; readonly port: number | null } {
  const match = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? text
  return { host, port: match === null ? null : Number(match[3]) }
}

// Goes down through the ids of a table for rows that meet a condition, in slices that grow as long
// as they are quick, until there are enough or the time is over. Must never run one statement over
// more rows than a slice.

/** Which rows, the newest first. `values` are bound to `condition` by name. */
type SliceQuery = {
  readonly from: string
  /** The column of the id, as `from` names it. */
  readonly id: string
  readonly condition: string
  readonly values: { readonly [name: string]: string | number | null }
  /** Ids below this one. */
  readonly before: number
  /** Nothing can be at or below this id. */
  readonly floor: number
  readonly limit: number
}

type Slices = {
  readonly ids: readonly number[]
  /** Go on below this id; null: nothing is left. */
  readonly next: number | null
  /** False: the time was over. */
  readonly isComplete: boolean
}

const budgetMs = 100
const sliceMs = 15
const rowsMin = 20
const rowsMax = 20_000

function readSlices(db: Database.Database, query: SliceQuery): Slices {
  const { from, id, condition, values, floor, limit } = query
  const edge = db
    .prepare<{ before: number; rows: number }, number>(
      `SELECT ${id} FROM ${from} WHERE ${id} < @before ORDER BY ${id} DESC LIMIT 1 OFFSET @rows`,
    )
    .pluck()
  const slice = db
    .prepare<object, number>(
      `SELECT ${id} FROM ${from} WHERE ${id} < @before AND ${id} >= @lower AND (${condition})
       ORDER BY ${id} DESC LIMIT @limit`,
    )
    .pluck()
  const startMs = performance.now()
  const ids: number[] = []
  let [before, rows] = [query.before, rowsMin]
  for (;;) {
    const sliceStartMs = performance.now()
    const lower = Math.max(edge.get({ before, rows: rows - 1 }) ?? 0, floor + 1)
    ids.push(...slice.all({ ...values, before, lower, limit: limit - ids.length }))
    if (ids.length >= limit) return { ids, next: ids.at(-1) ?? null, isComplete: true }
    if (lower <= floor + 1) return { ids, next: null, isComplete: true }
    before = lower
    const nowMs = performance.now()
    if (nowMs - startMs >= budgetMs) return { ids, next: before, isComplete: false }
    if (nowMs - sliceStartMs < sliceMs / 2) rows = Math.min(rowsMax, rows * 2)
    else if (nowMs - sliceStartMs > sliceMs) rows = Math.max(rowsMin, Math.floor(rows / 4))
  }
}
