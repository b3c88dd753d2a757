/**
 * Which rows of `mqin` may be next, by indexes, a bounded number of rows at a time. It only reads;
 * whether a row can be had is decided when it is claimed. Must never hold more than a few ids.
 */

import { waitMsMax } from './options.ts'
import { prepare, type SqliteHandle, type SqliteStatement } from '../schema/sqlite-handle.ts'
import { headersWithSql, isReply, replyHeader, requestPrefix } from '../schema/reply-headers.ts'

/** Finds rows that nobody holds. */
export interface Candidates {
  /** Something was committed, or has become due: what was looked at may have changed. */
  onChange(nowMs: number): void
  /** Nothing that was found counts, because the transaction was rolled back. */
  onRollback(): void
  /** This message was settled, and is of this sender. */
  onSettled(sender: number | null): void
  /** Up to `count` ids. Fewer while `hasMore` means only that the look was cut short. */
  take(count: number, nowMs: number): number[]
  /** There is more to look at without any change. */
  readonly hasMore: boolean
  /**
   * When a row becomes free without any change, ms since 1970; undefined when none will. That may
   * have passed since the last `take`, which then has not seen the row.
   */
  dueMs(): number | undefined
}

// So many rows take about a millisecond.
const sliceRows = 1_000

// Rows may come to lie behind the cursor: dead letters that were put back, for instance. So it
// begins again, as often as a small part of the time allows.
const anewEveryMs = 1_000
const restPerPass = 20

/** So many rows are indexed in a tenth of a second. */
const indexedAtOnceMax = 100_000
/** Of rows that no index distinguishes, so many are passed over in about a millisecond. */
const windowRows = 10_000

/** The index by which leases become due. */
const dueIndex = 'CREATE INDEX IF NOT EXISTS mqlease_due ON mqlease (until)'
/** Made by the first consumer that needs them: the inbox of others need not pay for them. */
const tokenIndex = 'CREATE INDEX IF NOT EXISTS mqin_token ON mqin (token)'
const laneIndex = 'CREATE INDEX IF NOT EXISTS mqin_lane ON mqin (sender)'
const tokenLaneIndex = 'CREATE INDEX IF NOT EXISTS mqin_token_lane ON mqin (sender, token)'

/** What makes the indexes that the look-ups need and that are not there. */
export function missingIndexes(
  db: SqliteHandle,
  token: string | null,
  isOrdered: boolean,
): readonly string[] {
  const wanted = [['mqlease_due', dueIndex]]
  if (isOrdered && token === null) wanted.push(['mqin_lane', laneIndex])
  if (isOrdered && token !== null) wanted.push(['mqin_token_lane', tokenLaneIndex])
  // To index a million rows takes a second, in which nobody else can write: then it is left to a
  // consumer that begins at a better time.
  if (!isOrdered && token !== null && isSmall(db)) wanted.push(['mqin_token', tokenIndex])
  return wanted.flatMap(([name = '', sql = '']) => (hasIndex(db, name) ? [] : [sql]))
}

/** The right one for these messages. */
export const findCandidates = (
  db: SqliteHandle,
  token: string | null,
  isOrdered: boolean,
): Candidates => (isOrdered ? new LaneHeads(db, token) : new AllMessages(db, token))

function hasIndex(db: SqliteHandle, name: string): boolean {
  const query = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?"
  return prepare(db, query).get(name) !== undefined
}

function isSmall(db: SqliteHandle): boolean {
  const query = 'SELECT (SELECT max(id) FROM mqin) - (SELECT min(id) FROM mqin) AS span'
  const { span } = prepare(db, query).get() as { span: number | null }
  return (span ?? 0) < indexedAtOnceMax
}

type Lane = number | null

/** All messages, or all with one token. */
class AllMessages implements Candidates {
  readonly #token: string | null
  readonly #db: SqliteHandle
  readonly #fresh: SqliteStatement
  readonly #windowEnd: SqliteStatement
  readonly #window: SqliteStatement
  readonly #due: SqliteStatement
  readonly #nextDue: NextDue
  /** Rows are found by an index; else window by window. */
  #isIndexed: boolean
  #cursor = 0
  #anewAtMs = 0
  #passMs = 0
  #hasFresh = true
  #hasDue = true
  #dueCursor: DueCursor = dueStart
  /** Something has changed since the pass through what is due began: another pass must follow. */
  #isDueStale = false
  #dueIdleUntilMs = 0
  /** The time of the last look: what was due by then was seen. */
  #lookedMs = 0

  constructor(db: SqliteHandle, token: string | null) {
    this.#token = token
    this.#db = db
    this.#isIndexed = token === null || hasIndex(db, 'mqin_token')
    this.#nextDue = new NextDue(db)
    const tokenIs = token === null ? '? IS NULL' : 'm.token = ?'
    const rows = `SELECT m.id, EXISTS (SELECT 1 FROM mqlease AS l WHERE l.id = m.id) AS known
      FROM mqin AS m WHERE ${tokenIs} AND m.id > ?`
    this.#fresh = prepare(db, `${rows} ORDER BY m.id LIMIT ${sliceRows}`)
    this.#window = prepare(db, `${rows} AND m.id <= ? ORDER BY m.id LIMIT ${sliceRows}`)
    this.#windowEnd = prepare(
      db,
      `SELECT max(id) AS last, count(*) AS count
      FROM (SELECT id FROM mqin WHERE id > ? ORDER BY id LIMIT ${windowRows})`,
    )
    // A lease without its row is everybody's to clear away.
    this.#due = prepare(
      db,
      `SELECT l.id, l.until, m.id IS NULL OR ${tokenIs} AS fits
      FROM mqlease AS l LEFT JOIN mqin AS m ON m.id = l.id
      WHERE (l.until, l.id) > (?, ?) AND l.until <= ?
      ORDER BY l.until, l.id LIMIT ${sliceRows}`,
    )
  }

  get hasMore(): boolean {
    return this.#hasFresh || (this.#hasDue && performance.now() >= this.#dueIdleUntilMs)
  }

  onChange(): void {
    this.#hasFresh = true
    this.#hasDue = true
    this.#isDueStale = true
    const nowMs = performance.now()
    if (nowMs < this.#anewAtMs) return
    this.#anewAtMs = nowMs + Math.max(anewEveryMs, restPerPass * this.#passMs)
    this.#cursor = 0
    this.#passMs = 0
    this.#isIndexed ||= hasIndex(this.#db, 'mqin_token')
  }

  onRollback(): void {
    this.#cursor = 0
    this.#hasFresh = true
    this.#hasDue = true
    this.#dueCursor = dueStart
  }

  onSettled(): void {
    // Another message is not nearer for it.
  }

  take(count: number, nowMs: number): number[] {
    this.#lookedMs = nowMs
    const ids = this.#hasDue ? this.#takeDue(count, nowMs) : []
    if (ids.length < count && this.#hasFresh) ids.push(...this.#takeFresh(count - ids.length))
    return ids
  }

  dueMs(): number | undefined {
    if (!this.#hasDue) return this.#nextDue.readAfter(this.#lookedMs)
    return this.#lookedMs + Math.max(0, this.#dueIdleUntilMs - performance.now())
  }

  #takeFresh(count: number): number[] {
    const startMs = performance.now()
    const window = this.#isIndexed ? undefined : (this.#windowEnd.get(this.#cursor) as WindowEnd)
    const rows = (
      window === undefined
        ? this.#fresh.iterate(this.#token, this.#cursor)
        : this.#window.iterate(this.#token, this.#cursor, window.last)
    ) as Iterable<Fresh>
    const ids: number[] = []
    let looked = 0
    for (const { id, known } of rows) {
      this.#cursor = id
      looked++
      if (known === 0 && ids.push(id) === count) break
    }
    const isCut = ids.length === count || looked === sliceRows
    if (!isCut && window !== undefined) this.#cursor = window.last ?? this.#cursor
    this.#hasFresh = isCut || window?.count === windowRows
    this.#passMs += performance.now() - startMs
    return ids
  }

  /** Those of other tokens are passed over, and cost a rest. */
  #takeDue(count: number, nowMs: number): number[] {
    const startMs = performance.now()
    if (startMs < this.#dueIdleUntilMs) return []
    if (this.#dueCursor === dueStart) this.#isDueStale = false
    const ids: number[] = []
    let passedOver = 0
    let looked = 0
    for (const { id, until, fits } of this.#dueRows(nowMs)) {
      looked++
      this.#dueCursor = [until, id]
      if (fits === 0) passedOver++
      else ids.push(id)
      if (ids.length === count || looked === sliceRows) break
    }
    if (passedOver > 0) {
      const endMs = performance.now()
      this.#dueIdleUntilMs = endMs + restPerPass * (endMs - startMs)
    }
    if (ids.length === count || looked === sliceRows) return ids
    this.#dueCursor = dueStart
    this.#hasDue = this.#isDueStale
    return ids
  }

  *#dueRows(nowMs: number): Generator<Due> {
    const { MAX_SAFE_INTEGER } = Number
    yield* this.#due.iterate(this.#token, ...this.#dueCursor, nowMs) as Iterable<Due>
    // The clock was set back: nobody waits for so long. The cursor may have come as far already.
    const wildMs = nowMs + waitMsMax
    const from =
      this.#dueCursor[0] > wildMs ? this.#dueCursor : ([wildMs, MAX_SAFE_INTEGER] as const)
    yield* this.#due.iterate(this.#token, ...from, MAX_SAFE_INTEGER) as Iterable<Due>
  }
}

type DueCursor = readonly [until: number, id: number]

const dueStart: DueCursor = [Number.MIN_SAFE_INTEGER, 0]

type Fresh = { readonly id: number; readonly known: number }
type WindowEnd = { readonly last: number | null; readonly count: number }
type Due = { readonly id: number; readonly until: number; readonly fits: number }
type Head = {
  readonly id: number
  readonly until: number | null
  /** Only of what may be a reply. */
  readonly headers: string | null
}

/** The first message of each sender. */
class LaneHeads implements Candidates {
  readonly #token: string | null
  readonly #head: SqliteStatement
  readonly #senders: SqliteStatement
  readonly #nextDue: NextDue
  /** Where there may be one: the order is that in which it is their turn. */
  readonly #lanes = new Set<Lane>()
  readonly #requests: string
  #mustRefill = true
  #lookedMs = 0

  constructor(db: SqliteHandle, token: string | null) {
    this.#token = token
    this.#nextDue = new NextDue(db)
    this.#requests = requestPrefix(db)
    const tokenIs = token === null ? '? IS NULL' : 'm.token = ?'
    this.#head = prepare(
      db,
      `SELECT m.id, l.until, ${headersWithSql('m', replyHeader)} AS headers
      FROM mqin AS m LEFT JOIN mqlease AS l ON l.id = m.id
      WHERE m.sender IS ? AND ${tokenIs} AND m.id > ? ORDER BY m.id LIMIT 1`,
    )
    // Each that has a row, by leaps through the index; the last one is NULL, as rows have it that
    // no daemon has put there.
    this.#senders = prepare(
      db,
      `WITH RECURSIVE senders (id) AS (
        SELECT min(sender) FROM mqin
        UNION ALL SELECT (SELECT min(m.sender) FROM mqin AS m WHERE m.sender > s.id)
        FROM senders AS s WHERE s.id IS NOT NULL)
      SELECT id FROM senders`,
    )
  }

  get hasMore(): boolean {
    return this.#mustRefill || this.#lanes.size > 0
  }

  onChange(): void {
    this.#mustRefill = true
  }

  onRollback(): void {
    this.#mustRefill = true
  }

  onSettled(sender: Lane): void {
    this.#lanes.add(sender)
  }

  take(count: number, nowMs: number): number[] {
    this.#lookedMs = nowMs
    if (this.#mustRefill) this.#refill()
    const ids: number[] = []
    let looked = 0
    for (const lane of this.#lanes) {
      if (ids.length === count || looked++ === sliceRows) break
      this.#lanes.delete(lane)
      const id = this.#freeHead(lane, nowMs)
      if (id !== undefined) ids.push(id)
    }
    return ids
  }

  dueMs(): number | undefined {
    return this.#nextDue.readAfter(this.#lookedMs)
  }

  #refill(): void {
    this.#mustRefill = false
    for (const { id } of this.#senders.all() as { id: Lane }[]) this.#lanes.add(id)
  }

  /** Replies that wait to be fetched hold up nobody. */
  #freeHead(lane: Lane, nowMs: number): number | undefined {
    let after = 0
    for (;;) {
      const head = this.#head.get(lane, this.#token, after) as Head | undefined
      if (head === undefined) return undefined
      const { id, until, headers } = head
      if (until === null || until <= nowMs || until > nowMs + waitMsMax) return id
      if (!isReply(headers, this.#requests)) return undefined
      after = id
    }
  }
}

class NextDue {
  readonly #statement: SqliteStatement

  constructor(db: SqliteHandle) {
    this.#statement = prepare(db, 'SELECT min(until) AS until FROM mqlease WHERE until > ?')
  }

  readAfter(ms: number): number | undefined {
    return (this.#statement.get(ms) as { until: number | null }).until ?? undefined
  }
}
