/**
 * Brings messages to one consumer and takes back what became of them: all that has gathered since
 * the last turn in one transaction, together with the next claims. It sleeps until something was
 * committed or becomes due, and renews the leases of what is in hand. Must never begin a turn while
 * the application has a transaction of its own open on the connection.
 */
import { closedWhileWaiting, type CommitListener, type CommitWatch } from '../commit-watch.ts'
import type { Message } from '../inbox-reader.ts'
import {
  type BriefLock,
  type SqliteHandle,
  atomically,
  inTransaction,
  isOpen,
} from '../schema/sqlite-handle.ts'
import {
  errorText,
  fromSqlite,
  isStatementFailure,
  messageOf,
  TinymqError,
} from '../schema/errors.ts'
import type { OneLibrary } from '../schema/one-library.ts'
import { type Claim, Leases, type Outcome } from './leases.ts'
import type { Consumption } from './options.ts'

export type IntakeParts = {
  readonly db: SqliteHandle
  readonly watch: CommitWatch
  readonly library: OneLibrary
  readonly lock: BriefLock
  readonly failures: Failures
  readonly consumption: Consumption<unknown>
  /**
   * Runs a transaction about leases alone, whose commit need not wait for the disk: what a power
   * cut takes back of it is handled again. It would hold the lock of all writers for a sync.
   */
  readonly unsynced: <T>(work: () => T) => T
}

type IntakeEvents = {
  /** As many as were wanted, or fewer. */
  readonly onClaims: (leases: readonly Claim[]) => void
  /** Somebody else may have the message now. What becomes of it here counts no longer. */
  readonly onLost: (claim: Claim) => void
  /** It was settled for good by `settleNow`. */
  readonly onSettled?: (claim: Claim) => void
  /** Nothing is in hand and nothing is wanted. */
  readonly onIdle: () => void
  /** It cannot go on. What is in hand comes free when its leases end. */
  readonly onFailed: (reason: unknown) => void
}

type Turn = { readonly leases: Claim[]; readonly lost: Claim[] }

const inTransactionMs = 1
// Longer, and the application's own events wait; shorter, and the loop costs more than the turns.
const chainMs = 2
// After a failure that may pass: the database is locked, or the disk is full.
const pauseMsMin = 5
const pauseMsMax = 1_000
/** Between tries to renew leases while somebody holds the lock: they have time. */
const renewPauseMs = 250
// The clock may be set while we sleep.
const sleepMsMax = 10_000
const renewalsPerLease = 3

export class Batcher {
  readonly #db: SqliteHandle
  readonly #watch: CommitWatch
  readonly #library: OneLibrary
  readonly #lock: BriefLock
  readonly #failureReports: Failures
  readonly #onError: Consumption<unknown>['onError']
  readonly #leases: Leases
  readonly #events: IntakeEvents
  readonly #unsynced: IntakeParts['unsynced']
  readonly #leaseMs: number
  readonly #listener: CommitListener
  readonly #held = new Set<Claim>()
  /** Of these, the ones that a transaction of the application has settled, if it is committed. */
  readonly #unsure = new Set<Claim>()
  #endings: Ending[] = []
  #wanted = 0
  #failures = 0
  #isOpen = true
  #isWatching = false
  /** It watches, and the indexes are there. */
  #isReady = false
  /** Since the last turn. */
  #hasChanged = false
  /** One of the endings, and nobody knows which, cannot be committed. */
  #isOneByOne = false
  #isTurnDue = false
  /** Up to then turns may follow each other before the event loop goes on. */
  #chainUntilMs = 0
  #timer: NodeJS.Timeout | undefined
  #renewTimer: NodeJS.Timeout | undefined

  constructor(parts: IntakeParts, events: IntakeEvents) {
    const { db, watch, library, lock, failures, consumption, unsynced } = parts
    this.#db = db
    this.#unsynced = unsynced
    this.#library = library
    this.#lock = lock
    this.#failureReports = failures
    this.#onError = consumption.onError
    this.#watch = watch
    this.#events = events
    this.#leaseMs = consumption.leaseMs
    this.#leases = new Leases(db, { ...consumption, nowMs: Date.now, random: Math.random })
    this.#listener = {
      onCommit: () => this.#onChange(),
      onEnd: (reason) => this.#fail(reason),
    }
  }

  /** Takes so many more. */
  want(count: number): void {
    this.#wanted += count
    this.#schedule()
  }

  /** Takes no more; what is in hand stays there until it is settled. */
  wantNothing(): void {
    this.#wanted = 0
    this.#schedule()
  }

  /**
   * Ends a lease with the next turn, after `work` in the same transaction if there is any. Does
   * nothing to one that is ended or lost.
   */
  settle(claim: Claim, outcome: Outcome, work?: Work): void {
    if (this.#held.has(claim)) this.#endings.push({ claim, outcome, work })
    this.#schedule()
  }

  /**
   * Whether the message is in hand and not settled. What a transaction of the application has
   * settled is again, once that was rolled back.
   */
  isHeld(claim: Claim): boolean {
    if (!this.#held.has(claim) || !isOpen(this.#db)) return false
    return !this.#unsure.has(claim) || this.#leases.isHeld(claim)
  }

  /** Whether it hangs on a transaction of the application that may still be rolled back. */
  isUnsure(claim: Claim): boolean {
    return this.#unsure.has(claim)
  }

  /**
   * Ends a lease at once, in the transaction that is open or in one of its own.
   * @throws TinymqError TINYMQ_LEASE_LOST, TINYMQ_CLOSED, or what SQLite says; then the lease is as
   * it was.
   */
  settleNow(claim: Claim, outcome: Outcome): void {
    if (!isOpen(this.#db)) throw closedWhileWaiting()
    const isNested = inTransaction(this.#db)
    const end = (): boolean => atomically(this.#db, () => this.#leases.settle(claim, outcome))
    if (!(isNested ? end() : this.#unsynced(end))) {
      if (!isNested) this.#forget(claim)
      throw leaseLost(claim)
    }
    this.#report(claim, outcome)
    if (isNested) this.#unsure.add(claim)
    else this.#forget(claim)
    this.#schedule()
  }

  /** Releases all that is in hand and not settled yet. */
  releaseAll(): void {
    const settled = new Set(this.#endings.map(({ claim }) => claim))
    for (const claim of this.#held) {
      if (!settled.has(claim)) this.settle(claim, { type: 'released', afterMs: 0 })
    }
    this.#schedule()
  }

  /** Ends all timers. What is in hand comes free when its leases end. */
  close(): void {
    this.#isOpen = false
    this.#watch.remove(this.#listener)
    clearTimeout(this.#timer)
    clearTimeout(this.#renewTimer)
  }

  #forget(claim: Claim): void {
    this.#held.delete(claim)
    this.#unsure.delete(claim)
    this.#events.onSettled?.(claim)
  }

  /**
   * What became of the transactions of the application, now that none is open. It must come before
   * anything is claimed: a message that was released and taken again looks like one never released.
   */
  #makeSure(): void {
    for (const claim of this.#unsure) {
      if (this.#leases.isHeld(claim)) this.#unsure.delete(claim)
      else this.#forget(claim)
    }
  }

  /** Not before something is wanted: what is never used must not keep the process alive. */
  #getReady(): void {
    if (this.#isReady || this.#wanted === 0) return
    if (!this.#isWatching) this.#watch.add(this.#listener)
    this.#isWatching = true
    const indexes = this.#leases.missingIndexes()
    const make = (): void => indexes.forEach((sql) => this.#db.exec(sql))
    if (indexes.length > 0) atomically(this.#db, make, this.#lock.begin)
    this.#isReady = true
    this.#hasChanged = true
  }

  #onChange(): void {
    this.#hasChanged = true
    this.#schedule()
  }

  #schedule(): void {
    if (!this.#isOpen || this.#isTurnDue) return
    clearTimeout(this.#timer)
    this.#isTurnDue = true
    // A handler that has returned at once, or all of those that have, need not wait for the loop.
    if (performance.now() < this.#chainUntilMs) return process.nextTick(() => this.#takeTurn())
    setImmediate(() => {
      this.#chainUntilMs = performance.now() + chainMs
      this.#takeTurn()
    })
  }

  #takeTurn(): void {
    this.#isTurnDue = false
    if (!this.#isOpen) return undefined
    if (!isOpen(this.#db)) return this.#fail(closedWhileWaiting())
    if (inTransaction(this.#db)) return this.#scheduleIn(inTransactionMs)
    try {
      this.#makeSure()
      this.#getReady()
      if (this.#hasChanged) this.#leases.candidates.onChange(performance.now())
      this.#hasChanged = false
      const endings = this.#isOneByOne ? this.#endings.slice(0, 1) : this.#endings
      this.#onTurn(endings, this.#transact(endings))
      this.#goOn()
    } catch (error) {
      this.#leases.takeBuried()
      this.#leases.candidates.onRollback()
      this.#onFailed(error)
    }
  }

  #onTurn(endings: readonly Ending[], { leases, lost }: Turn): void {
    this.#failures = 0
    this.#wanted -= leases.length
    const endedAs = new Map(endings.map(({ claim, outcome }) => [claim, outcome]))
    this.#endings = this.#endings.filter(({ claim }) => !endedAs.has(claim))
    this.#isOneByOne &&= this.#endings.length > 0
    for (const claim of endedAs.keys()) this.#forget(claim)
    for (const claim of leases) this.#held.add(claim)
    for (const claim of lost) {
      endedAs.delete(claim)
      this.#events.onLost(claim)
    }
    for (const [claim, outcome] of endedAs) this.#report(claim, outcome)
    for (const { message, attempt, error } of this.#leases.takeBuried()) {
      this.#failureReports.report(error, { message, attempt, isDead: true }, this.#onError)
    }
    if (this.#endings.length > 0) this.#schedule()
    if (leases.length > 0) this.#events.onClaims(leases)
  }

  #report({ message, attempt }: Claim, outcome: Outcome): void {
    if (outcome.type !== 'failed' && outcome.type !== 'dead') return
    const isDead = outcome.type === 'dead' || this.#leases.isLast(attempt)
    const { error, cause = error } = outcome
    this.#failureReports.report(cause, { message, attempt, isDead }, this.#onError)
  }

  #transact(endings: readonly Ending[]): Turn {
    const hasEnding = endings.length > 0
    // Many wake up for one message: who finds nothing need not wait for the lock.
    const seen = hasEnding ? [] : this.#seek()
    if (!hasEnding && seen.length === 0) return { leases: [], lost: [] }
    this.#library.check()
    let isCommitting = false
    const transaction = (): Turn => {
      const lost = endings.filter((ending) => !this.#end(ending)).map(({ claim }) => claim)
      const ids = hasEnding && !this.#isOneByOne ? this.#seek() : seen
      const leases = this.#leases.claim(ids)
      isCommitting = true
      return { leases, lost }
    }
    const work = (): Turn => atomically(this.#db, transaction, this.#lock.begin)
    const hasWork = endings.some((ending) => ending.work !== undefined)
    try {
      return hasWork ? work() : this.#unsynced(work)
    } catch (error) {
      if (!isCommitting || !hasEnding || !isStatementFailure(error)) throw error
      // A deferred foreign key, for instance. When it is one ending of many, the next turns tell.
      const [ending, another] = endings
      if (ending !== undefined && another === undefined) throw this.#failure(ending, error)
      this.#isOneByOne = true
      throw new WorkFailure({ type: 'failed', error: '' }, { cause: error })
    }
  }

  #seek(): number[] {
    return this.#wanted > 0 ? this.#leases.seek(this.#wanted) : []
  }

  #end(ending: Ending): boolean {
    const { claim, outcome, work } = ending
    try {
      if (work === undefined) return this.#leases.settle(claim, outcome)
      if (!this.#leases.isHeld(claim)) return false
      return !work() || this.#leases.settle(claim, outcome)
    } catch (error) {
      throw this.#failure(ending, error)
    }
  }

  /** The next turn writes down what became of the message. */
  #failure(ending: Ending, error: unknown): unknown {
    const failure = failureOf(ending, error)
    if (failure === undefined) return error
    const failed = { claim: ending.claim, outcome: failure.outcome }
    this.#endings = this.#endings.map((other) => (other === ending ? failed : other))
    return failure
  }

  /** After a turn: at once, when something becomes due, or when something is committed. */
  #goOn(): void {
    if (!this.#isOpen || this.#isTurnDue) return this.#keepLeases()
    if (this.#held.size === 0 && this.#wanted === 0 && this.#endings.length === 0) {
      this.#keepLeases()
      return this.#events.onIdle()
    }
    this.#keepLeases()
    if (this.#wanted === 0) return undefined
    if (this.#leases.candidates.hasMore) return this.#schedule()
    const dueMs = this.#leases.candidates.dueMs()
    const sleepMs = dueMs === undefined ? sleepMsMax : Math.ceil(dueMs - Date.now())
    return this.#scheduleIn(Math.max(1, Math.min(sleepMs, sleepMsMax)))
  }

  #scheduleIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#onChange(), ms)
  }

  #onFailed(error: unknown): void {
    if (error instanceof WorkFailure) return this.#schedule()
    const reason = fromSqlite(error)
    if (!(reason instanceof TinymqError && reason.retryable)) return this.#fail(reason)
    const pauseMs = Math.min(pauseMsMax, pauseMsMin * 2 ** this.#failures++)
    return this.#scheduleIn(Math.ceil(pauseMs * (0.5 + Math.random() / 2)))
  }

  #fail(reason: unknown): void {
    if (!this.#isOpen) return
    this.close()
    this.#events.onFailed(reason)
  }

  #keepLeases(): void {
    if (this.#held.size === 0) {
      clearTimeout(this.#renewTimer)
      this.#renewTimer = undefined
    } else if (this.#isOpen && this.#renewTimer === undefined) {
      this.#renewIn(this.#leaseMs / renewalsPerLease)
    }
  }

  #renewIn(ms: number): void {
    this.#renewTimer = setTimeout(() => this.#renewAll(), ms)
  }

  #renewAll(): void {
    this.#renewTimer = undefined
    if (!isOpen(this.#db)) return this.#fail(closedWhileWaiting())
    if (inTransaction(this.#db)) return this.#renewIn(inTransactionMs)
    try {
      this.#makeSure()
      const renewAll = (): Claim[] =>
        Array.from(this.#held).filter((claim) => !this.#leases.renew(claim))
      const lost = this.#unsynced(() => atomically(this.#db, renewAll, this.#lock.begin))
      for (const claim of lost) {
        this.#held.delete(claim)
        this.#events.onLost(claim)
      }
    } catch (error) {
      const reason = fromSqlite(error)
      if (!(reason instanceof TinymqError && reason.retryable)) return this.#fail(reason)
      return this.#renewIn(renewPauseMs)
    }
    return this.#keepLeases()
  }
}

// What the oldest Node has, and its types lack.

/** Whether anybody subscribes to a channel of `tracingChannel`. */
export const isTraced = (channel: object): boolean =>
  (channel as { readonly hasSubscribers: boolean }).hasSubscribers

// Says that handlers fail and that messages go to `mqdead`: to the application when it has asked
// for it, else as a warning of the process, of which there is one in a while, however many fail.
// Must never let what the application does with it end a consumer.

/** What has failed. */
export type Failure = {
  readonly message: Message
  readonly attempt: number
  /** It is in `mqdead`; else it is handled again after a while. */
  readonly isDead: boolean
}

export type OnError = (error: unknown, failure: Failure) => void

const warnEveryMs = 10_000
const reasonCharactersMax = 300

export class Failures {
  #nextMs = 0
  #left = 0

  /** `error` is what was thrown, or the reason in words. */
  report(error: unknown, failure: Failure, onError: OnError | undefined): void {
    if (onError === undefined) return this.#warn(error, failure)
    try {
      return onError(error, failure)
    } catch (cause) {
      return warn('TINYMQ_ON_ERROR', `onError has thrown: ${messageOf(cause)}`)
    }
  }

  #warn(error: unknown, { message, attempt, isDead }: Failure): void {
    const nowMs = performance.now()
    if (nowMs < this.#nextMs) {
      this.#left++
      return
    }
    this.#nextMs = nowMs + warnEveryMs
    const others = this.#left === 0 ? '' : ` (and ${this.#left} more since the last warning)`
    this.#left = 0
    const from = `message ${message.id} from ${oneLine(message.host) || 'an unknown host'}`
    const token = message.token === '' ? '' : ` with token ${oneLine(message.token)}`
    const what = isDead ? 'is dead, in mqdead,' : 'failed, and is handled again later,'
    const reason = oneLine(typeof error === 'string' ? error : errorText(error))
    const code = isDead ? 'TINYMQ_DEAD' : 'TINYMQ_FAILED'
    warn(code, `${from}${token} ${what} after attempt ${attempt}${others}: ${reason}`)
  }
}

/** One line on stderr, unless the application listens for warnings or has turned them off. */
export function warn(code: string, sentence: string): void {
  process.emitWarning(sentence, { type: 'TinymqWarning', code })
}

const oneLine = (text: string): string =>
  (text.split('\n')[0] ?? '').replaceAll(/\p{Cc}/gu, ' ').slice(0, reasonCharactersMax)

// How leases end in a turn of a consumer, and how they end when that cannot be.

/**
 * What must happen in the transaction that ends a lease; false when the lease has been ended by it.
 * What it throws as a `WorkFailure` becomes the outcome, anything else ends the intake.
 */
export type Work = () => boolean

export type Ending = {
  readonly claim: Claim
  readonly outcome: Outcome
  readonly work?: Work | undefined
}

/** The transaction is rolled back, and the message gets this outcome instead. */
export class WorkFailure extends Error {
  readonly outcome: Outcome

  constructor(outcome: Outcome, options: ErrorOptions) {
    super('The handler failed.', options)
    this.outcome = outcome
  }
}

/**
 * What becomes of a message whose handler has failed, or that something of the owner's on the
 * tables (a foreign key, a trigger) does not let go. Undefined: it is no affair of the message.
 */
export function failureOf({ outcome }: Ending, error: unknown): WorkFailure | undefined {
  if (error instanceof WorkFailure) return error
  const isFirst = outcome.type === 'completed' || outcome.type === 'released'
  if (!isFirst || !isStatementFailure(error)) return undefined
  const failed: Outcome = { type: 'failed', error: errorText(error), cause: fromSqlite(error) }
  return new WorkFailure(failed, { cause: error })
}

/** What a consumer gets that comes too late. */
export const leaseLost = ({ message: { id }, attempt }: Claim): TinymqError =>
  new TinymqError(
    'TINYMQ_LEASE_LOST',
    `the lease on message ${id} ended in attempt ${attempt} before it was renewed, ` +
      'and another consumer may have it now',
  )
