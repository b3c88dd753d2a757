/**
 * Leases on rows of `mqin`, one owner's: claim, renew, and the four ends. What is done to a row is
 * done only while the lease on it is the caller's, identified by its owner and its attempt, so that
 * a consumer that has lost it (its process stood still, or the clock jumped) spoils nothing. All
 * but `renew` and `seek` need an open write transaction. Must never keep a lease in memory only.
 */

import { hostname } from 'node:os'
import { type Candidates, findCandidates, missingIndexes } from './candidates.ts'
import { type Consumption, waitMsMax } from './options.ts'
import { isStatementFailure, messageOf } from '../schema/errors.ts'
import {
  atomically,
  prepare,
  type SqliteHandle,
  type SqliteStatement,
} from '../schema/sqlite-handle.ts'
import { type Message, messageColumns, parseMessage, type Row } from '../inbox-reader.ts'
import { isReply, replyWaitMs, requestPrefix } from '../schema/reply-headers.ts'

/** A message in hand. */
export type Claim = {
  readonly message: Message
  /** Counts from 1, and distinguishes this lease from earlier and later ones. */
  readonly attempt: number
}

/** How it ends. `afterMs`: not before so many milliseconds from now. */
export type Outcome =
  | { readonly type: 'completed' }
  | { readonly type: 'released'; readonly afterMs: number }
  | { readonly type: 'failed'; readonly error: string; readonly cause?: unknown }
  | { readonly type: 'dead'; readonly error: string; readonly cause?: unknown }

/** A message that went to `mqdead` when it was to be claimed. */
type Buried = Claim & { readonly error: string }

export type ClaimsOptions = Pick<
  Consumption<unknown>,
  'token' | 'isOrdered' | 'attempts' | 'leaseMs'
> & {
  /** Milliseconds since 1970. */
  readonly nowMs: () => number
  /** From 0 to 1. */
  readonly random: () => number
}

const lateReply = 'a late reply: the process that asked has ended or given up'
const keptBecause = '\nIt cannot be moved to mqdead: '

const backoffMsMin = 200
const backoffMsMax = 300_000

/** How long a message rests after its attempt `attempt` has failed, in milliseconds. */
export function backoffMs(attempt: number, random: number): number {
  const longest = Math.min(backoffMsMax, backoffMsMin * 2 ** (attempt - 1))
  // Jitter: what failed together need not be tried together.
  return Math.round(longest * (0.75 + random / 4))
}

const kept = 'host, port, token, sent_at, arrived_at, sender, sender_row'
const isMine = 'id = ? AND owner = ? AND attempts = ?'

type Leased = { readonly attempts: number; readonly error: string | null }

/** The leases of one consumer on one connection. */
export class Leases {
  /** Who holds them, for people: in `mqlease.owner`. */
  readonly owner: string
  readonly candidates: Candidates
  readonly #db: SqliteHandle
  readonly #options: ClaimsOptions
  readonly #requests: string
  readonly #buried: Buried[] = []
  readonly #statements: ReturnType<typeof prepareAll>

  constructor(db: SqliteHandle, options: ClaimsOptions) {
    const tag = crypto.randomUUID().slice(0, 8)
    this.owner = `${hostname()} ${process.pid} ${tag}`
    this.candidates = findCandidates(db, options.token, options.isOrdered)
    this.#db = db
    this.#options = options
    this.#requests = requestPrefix(db)
    this.#statements = prepareAll(db)
  }

  /** What makes the indexes that it needs and that are not there. */
  missingIndexes(): readonly string[] {
    return missingIndexes(this.#db, this.#options.token, this.#options.isOrdered)
  }

  /** Rows that are worth an attempt to claim. Needs no transaction. */
  seek(count: number): number[] {
    return this.candidates.take(count, this.#options.nowMs())
  }

  /** Those of the rows that could be had; the others have gone, or are somebody else's. */
  claim(ids: readonly number[]): Claim[] {
    return ids.flatMap((id) => this.#claimOne(id) ?? [])
  }

  /** What went to `mqdead` since the last call because it was to be claimed. */
  takeBuried(): Buried[] {
    return this.#buried.splice(0)
  }

  /** Whether a message that fails in this attempt goes to `mqdead`. */
  isLast(attempt: number): boolean {
    return attempt >= this.#options.attempts
  }

  /** Whether the lease is still this claim's. */
  isHeld({ message, attempt }: Claim): boolean {
    return this.#isMine(message.id, attempt)
  }

  /** Ends a lease; false, with nothing done, when it was lost. */
  settle(claim: Claim, outcome: Outcome): boolean {
    const isDone = this.#settle(claim, outcome)
    this.candidates.onSettled(claim.message.sender)
    return isDone
  }

  /** Makes the lease last again; false when it was lost. */
  renew({ message, attempt }: Claim): boolean {
    const until = this.#options.nowMs() + this.#options.leaseMs
    const { changes } = this.#statements.renew.run(until, message.id, this.owner, attempt)
    return Number(changes) === 1
  }

  #settle({ message: { id }, attempt }: Claim, outcome: Outcome): boolean {
    const lease = [id, this.owner, attempt] as const
    const { release, fail } = this.#statements
    const nowMs = this.#options.nowMs()
    switch (outcome.type) {
      case 'completed':
        return this.#end(id, attempt)
      case 'released': {
        return Number(release.run(nowMs + outcome.afterMs, ...lease).changes) === 1
      }
      case 'failed': {
        if (this.isLast(attempt)) return this.#bury(id, attempt, outcome.error)
        const until = nowMs + backoffMs(attempt, this.#options.random())
        return Number(fail.run(until, outcome.error, ...lease).changes) === 1
      }
      case 'dead':
        return this.#bury(id, attempt, outcome.error)
      default:
        return outcome satisfies never
    }
  }

  #isMine(id: number, attempt: number): boolean {
    return this.#statements.isHeld.get(id, this.owner, attempt) !== undefined
  }

  #end(id: number, attempt: number): boolean {
    const { changes } = this.#statements.end.run(id, this.owner, attempt)
    if (Number(changes) === 0) return false
    // It may be gone: a handler may delete the row itself.
    this.#statements.remove.run(id)
    return true
  }

  #bury(id: number, attempt: number, error: string): boolean {
    if (!this.#isMine(id, attempt)) return false
    try {
      return atomically(this.#db, () => {
        this.#statements.bury.run(this.#options.nowMs(), error, id)
        return this.#end(id, attempt)
      })
    } catch (cause) {
      if (!isStatementFailure(cause)) throw cause
      // A foreign key or a trigger of the owner's keeps it. It must not stand in the way of others.
      const before = error.split(keptBecause)[0] ?? ''
      const text = `${before}${keptBecause}${messageOf(cause)}`
      this.#statements.fail.run(this.#options.nowMs() + backoffMsMax, text, id, this.owner, attempt)
      return true
    }
  }

  #claimOne(id: number): Claim | undefined {
    const { nowMs: clock, leaseMs, attempts: attemptsMax } = this.#options
    const nowMs = clock()
    const { take, read, clear } = this.#statements
    const values = [this.owner, nowMs + leaseMs, nowMs, id, nowMs, nowMs + waitMsMax] as const
    const leased = take.get(...values) as Leased | undefined
    if (leased === undefined) {
      clear.run(id)
      return undefined
    }
    const { attempts: attempt, error } = leased
    const message = parseMessage(read.get(id) as Row)
    if (isReply(message.headersText, this.#requests)) {
      this.#leaveReply(message, attempt, nowMs)
      return undefined
    }
    if (attempt <= attemptsMax) return { message, attempt }
    const unknown = `the process ended, or lost its lease, in attempt ${attempt - 1}`
    this.#bury(id, attempt, error ?? unknown)
    this.#buried.push({ message, attempt: attempt - 1, error: error ?? unknown })
    this.candidates.onSettled(message.sender)
    return undefined
  }

  /** A reply is for the process that asked, but not for ever. */
  #leaveReply(message: Message, attempt: number, nowMs: number): void {
    const { id, arrivedAt, sender } = message
    const waitMs = arrivedAt.getTime() + replyWaitMs - nowMs
    if (waitMs > replyWaitMs && attempt === 1) {
      // The clock was set back: it waits as long as others, once, and that counts as an attempt.
      this.#statements.fail.run(nowMs + replyWaitMs, null, id, this.owner, attempt)
    } else if (waitMs > 0 && waitMs <= replyWaitMs) {
      this.#statements.release.run(nowMs + waitMs, id, this.owner, attempt)
    } else {
      this.#bury(id, attempt, lateReply)
      this.#buried.push({ message, attempt, error: lateReply })
    }
    this.candidates.onSettled(sender)
  }
}

// One object of all statements keeps the fields of the class few.
function prepareAll(db: SqliteHandle): Readonly<Record<StatementName, SqliteStatement>> {
  return {
    take: prepare(
      db,
      `INSERT INTO mqlease (owner, until, since, id, attempts)
        SELECT ?, ?, ?, id, 1 FROM mqin WHERE id = ?
      ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, until = excluded.until,
        since = excluded.since, attempts = attempts + 1
        WHERE mqlease.until <= ? OR mqlease.until > ?
      RETURNING attempts, error`,
    ),
    read: prepare(db, `SELECT ${messageColumns} FROM mqin WHERE id = ?`),
    clear: prepare(
      db,
      'DELETE FROM mqlease WHERE id = ? AND NOT EXISTS (SELECT 1 FROM mqin WHERE id = mqlease.id)',
    ),
    isHeld: prepare(db, `SELECT 1 FROM mqlease WHERE ${isMine}`),
    renew: prepare(db, `UPDATE mqlease SET until = ? WHERE ${isMine}`),
    release: prepare(
      db,
      `UPDATE mqlease SET owner = NULL, until = ?, attempts = attempts - 1 WHERE ${isMine}`,
    ),
    fail: prepare(db, `UPDATE mqlease SET owner = NULL, until = ?, error = ? WHERE ${isMine}`),
    end: prepare(db, `DELETE FROM mqlease WHERE ${isMine}`),
    remove: prepare(db, 'DELETE FROM mqin WHERE id = ?'),
    bury: prepare(
      db,
      // Another one has the id already where somebody made the ids begin again.
      `INSERT INTO mqdead (id, ${kept}, died_at, error, headers, data)
      SELECT iif(EXISTS (SELECT 1 FROM mqdead AS d WHERE d.id = mqin.id), NULL, id),
        ${kept}, ?, ?, headers, data FROM mqin WHERE id = ?`,
    ),
  }
}

type StatementName =
  | 'take'
  | 'read'
  | 'clear'
  | 'isHeld'
  | 'renew'
  | 'release'
  | 'fail'
  | 'end'
  | 'remove'
  | 'bury'
