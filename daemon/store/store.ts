/**
 * The store: works through what the core and the driver ask, one transaction a call, and answers
 * only when that transaction is on disk. Must never wait, hold a lock between two calls, or try a
 * sync again that has failed.
 */
import { unreachable } from '../protocol/assert.ts'
import type { LaneId, SessionId, StoreResult, StoreWork } from '../protocol/store-messages.ts'
import { equalBytes } from '../protocol/codec/buffer.ts'
import {
  type Answer,
  Connection,
  type ConnectionOptions,
  DatabaseBusy,
  realEnvironment,
  resultOf,
  type StoreEnvironment,
  type Turn,
  WriteThrottle,
} from './connection.ts'
import { CoreView, type Memory, type Outside, memoryOf, readDatabaseId } from './memory.ts'
import type { StoreEvent } from './event-log.ts'
import {
  DatabaseChanged,
  FaultWatch,
  type StoreFault,
  explainedFault,
} from './error-classification.ts'
import { LaneStatusWriter } from './outbox/lane-status.ts'
import type { KeyPolicyChoice } from './key-policy.ts'
import type { Suspended } from './outbox/row-deletion.ts'
import { Suspects } from './inbox/senders.ts'
import type { Totals } from './metrics.ts'
import { given } from '../../sdk/schema/sqlite-handle.ts'

export type StoreTask =
  | StoreWork
  /** Look what other programs have written. Cheap when it is nothing. */
  | { readonly type: 'scan' }
  /** Something that the operator must know, for `mqevent`. */
  | ({ readonly type: 'event' } & StoreEvent)

/** Where a peer can be reached, as far as is known. */
export type Peer = { readonly host: string; readonly port: number }

type StoreOptions = ConnectionOptions & {
  readonly environment?: StoreEnvironment
  /** What tokens mean; labels if left out. */
  readonly keyPolicy?: KeyPolicyChoice
}

/** Another program holds the lock for seconds: it gets some more before it is asked again. */
const busyPauseUs = 20_000
/**
 * A lone message takes two or three commits of five to ten pages, so this comes before the log has
 * the thousand pages at which SQLite moves them. Fewer: the first commit into a log that begins
 * again is synced twice. More: some message waits for the move.
 */
const commitsPerRest = 50
/** The disk is full, say. Sessions are asked to come back after this. */
const troublePauseMs = 2_000
/** Another program holds the lock for so long: the operator is informed … */
const busyMsMin = 3_000
/** … and peers are asked to come back later. */
const busyMsMax = 8_000
/** How many peers are informed that this node is back. */
const peersMax = 256

/**
 * Opens or makes the database at `path`, with all tables.
 * @throws TinymqError
 */
export function openStore(path: string, options: StoreOptions = {}): Store {
  return new Store(path, options)
}

/**
 * Two halves. The memory is what a turn changes: it is thrown away when a turn fails, and built
 * from the file when the next one begins. All else here outlives a failed turn, so a turn may only
 * read it, or tell it what does not depend on the transaction.
 */
export class Store {
  /** Undefined after a failed turn. */
  #memory: Memory | undefined
  /** Of the newest memory. */
  #databaseId: Uint8Array
  readonly #outside: Outside
  readonly #connection: Connection
  readonly #core = new CoreView()
  readonly #throttle = new WriteThrottle()
  /** What the core has said of its lanes: it stays unwritten until a commit has written it. */
  readonly #statuses: LaneStatusWriter
  /** What does not fit into a transaction waits here, in its order. */
  #backlog: StoreTask[] = []
  /** Events of this turn about the store itself: they are written in a later one. */
  readonly #news: StoreTask[] = []
  readonly #nowUs: () => number
  #version = -1
  /** The pause has begun: the database is not locked any more. */
  #quietFromUs = Number.NEGATIVE_INFINITY
  #commits = 0
  readonly #faults = new FaultWatch()
  /** Since when another program has held the lock, in each turn. */
  #busySinceMs: number | undefined
  #restedAtCommit = 0
  /** Why events or statuses of this turn are not in their table. */
  #unwritten: string | undefined

  /** Use `openStore`. */
  constructor(path: string, options: StoreOptions) {
    const { environment = realEnvironment, keyPolicy: keyPolicyChoice = { type: 'keyless' } } =
      options
    const connection = new Connection(path, environment.nowUs, options)
    const suspects = new Suspects()
    this.#nowUs = environment.nowUs
    this.#connection = connection
    const suspended = new Map<LaneId, Suspended>()
    const kept = { core: this.#core, suspects, suspended, rebuild: { nextTryMs: undefined } }
    const onUnwritten = (reason: string): void => void (this.#unwritten = reason)
    this.#outside = { connection, environment, keyPolicyChoice, ...kept, onUnwritten }
    this.#statuses = new LaneStatusWriter(connection)
    this.#memory = memoryOf(this.#outside)
    this.#databaseId = this.#memory.databaseId
  }

  /** The identity of this database, 16 bytes. */
  get databaseId(): Uint8Array {
    return this.#databaseId
  }

  /** There is work left that did not fit into the last transaction: call `run` again. */
  get hasWork(): boolean {
    if (this.#backlog.length > 0) return true
    return this.#memory !== undefined && hasWork(this.#memory)
  }

  /** How much longer the caller should leave the database to other programs. */
  get pauseUs(): number {
    const passedUs = this.#nowUs() - this.#quietFromUs
    return Math.max(0, this.#throttle.pauseUs - passedUs)
  }

  /** What keeps it from writing; undefined when nothing does. */
  get fault(): StoreFault | undefined {
    return this.#faults.current
  }

  /** Transactions so far. */
  get commits(): number {
    return this.#commits
  }

  /**
   * Takes `tasks` behind what is left over, and works through as much as one transaction holds:
   * some 2,000 rows or 1 MiB. What does not write needs no transaction.
   * @returns the answers, which are on disk.
   * @throws TinymqError when the database cannot be used any more; the process must end.
   */
  run(tasks: readonly StoreTask[], nowMs: number): StoreResult[] {
    this.#core.onTasks(tasks)
    for (const task of tasks) this.#backlog.push(task)
    const answers: Answer[] = []
    const turn: Turn = { nowMs, emit: (answer) => void answers.push(answer) }
    const done: StoreTask[] = []
    const startUs = this.#nowUs()
    this.#faults.look(nowMs)
    try {
      const isNews = this.#look(nowMs)
      if (isNews) this.#connection.repairSchema()
      const memory = (this.#memory ??= memoryOf(this.#outside))
      this.#databaseId = memory.databaseId
      this.#maintain(memory, nowMs)
      // Rows that were rerouted go before new ones: a read must not come before this look.
      if (isNews) {
        this.#expectDatabaseId(memory)
        this.#scan(memory, turn)
      }
      this.#workThrough(memory, turn, done)
      memory.deletion.retry(isNews, nowMs)
      this.#commit(memory, nowMs)
      this.#busySinceMs = undefined
    } catch (error) {
      if (!(error instanceof DatabaseBusy)) return this.#recover(error, done, nowMs)
      this.#busySinceMs ??= nowMs
      const waitedMs = (this.#nowUs() - startUs) / 1_000
      const busyMs = Math.abs(nowMs - this.#busySinceMs) + waitedMs
      if (busyMs >= busyMsMin) this.#onFault('TINYMQ_BUSY', 'error', busySentence, nowMs)
      if (busyMs >= busyMsMax) {
        return this.#loseAll(done, busySentence, 'TINYMQ_BUSY', busyPauseUs)
      }
      // Nothing was written. What was answered so far needed no transaction, and a task that needs
      // one begins it before it changes anything.
      this.#throttle.onTrouble(busyPauseUs)
      this.#quietFromUs = this.#nowUs()
    }
    this.#backlog.splice(0, done.length)
    this.#backlog.unshift(...this.#news.splice(0))
    const results = answers.map(resultOf)
    this.#core.onAnswered(results)
    return results
  }

  /**
   * Nothing is asked for now: what would make some later commit wait is done already. SQLite moves
   * its log into the file within a commit when the log is long enough, and a lone message would
   * wait for that.
   * @throws TinymqError as `run`.
   */
  checkpointWhenIdle(): void {
    if (this.#commits - this.#restedAtCommit < commitsPerRest) return
    this.#restedAtCommit = this.#commits
    try {
      this.#connection.checkpoint()
    } catch (error) {
      const fault = explainedFault(error, this.#connection)
      // What a full disk or a lock keeps in the log is safe there.
      if (fault.type !== 'wait') throw fault.type === 'fatal' ? fault.error : error
    }
  }

  /**
   * Peers that may have something for this node: contact them (PROTOCOL §3.7).
   */
  peers(): Peer[] {
    const statement = this.#connection.prepare<[number], [string, number]>(peersSql)
    return statement.all(peersMax).map(([host, port]) => ({ host, port }))
  }

  /** What was done since the last call. */
  drainTotals(): Totals {
    return this.#connection.tally.take()
  }

  close(): void {
    this.#connection.close()
  }

  /** @returns whether another program has written. */
  #look(nowMs: number): boolean {
    const version = this.#connection.dataVersion()
    const isNews = version !== this.#version && this.#version !== -1
    if (isNews) this.#throttle.onForeignCommit(nowMs)
    this.#version = version
    return isNews
  }

  /** An operator may give a copy a database id of its own. */
  #expectDatabaseId({ databaseId }: Memory): void {
    if (!equalBytes(readDatabaseId(this.#connection), databaseId))
      throw new DatabaseChanged('mqmeta')
  }

  #workThrough(memory: Memory, turn: Turn, done: StoreTask[]): void {
    const { inbox, outbox, unread } = memory
    inbox.onTurn(turn)
    if (inbox.hasWork) inbox.goOn(turn)
    for (const lane of unread) {
      if (this.#connection.isSpent) return
      if (outbox.onRows(lane, turn)) unread.delete(lane)
    }
    for (const task of this.#backlog) {
      if (this.#connection.isSpent || !this.#do(memory, task, turn)) return
      done.push(task)
    }
    if (done.length === 0 && !this.#connection.isSpent) inbox.onRest(turn)
    inbox.careForLogs(turn)
  }

  /** @returns whether the task is done; else it must be given again in the next transaction. */
  #do(memory: Memory, task: StoreTask, turn: Turn): boolean {
    const { outbox, inbox, events } = memory
    switch (task.type) {
      case 'scan':
        this.#scan(memory, turn)
        return true
      case 'event':
        events.add(task, turn.nowMs)
        return true
      case 'open-lane':
        outbox.openLane(task, turn)
        return true
      case 'check-identity':
        return outbox.checkIdentity(task, turn)
      case 'read':
        return outbox.read(task, turn)
      case 'confirmed':
        return outbox.confirmed(task, turn)
      case 'row-rejected':
        outbox.refused(task, turn)
        return true
      case 'lane-status':
        this.#statuses.set(task.lane, task.status, turn.nowMs)
        return true
      case 'lane-traffic':
        this.#statuses.add(task.lane, task.traffic)
        return true
      case 'accept':
        inbox.accept(task, turn)
        return true
      case 'receive':
        inbox.receive(task, turn)
        return true
      case 'release-session':
        forget(memory, task.session)
        return true
      default:
        return unreachable(task)
    }
  }

  #scan({ scanner, outbox, unread }: Memory, turn: Turn): void {
    const { results, found } = scanner.scan(this.#version, turn.nowMs)
    for (const result of results) turn.emit(result)
    for (const lane of found) unread.add(lane)
    for (const lane of found) {
      if (this.#connection.isSpent) return
      if (outbox.onRows(lane, turn)) unread.delete(lane)
    }
  }

  #commit(memory: Memory, nowMs: number): void {
    const { lanes, batches, senders, scanner, keyMigration, outbox, inbox } = memory
    for (const lane of lanes.confirmed) this.#statuses.onProgress(lane, nowMs)
    if (this.#statuses.isDue(nowMs)) this.#connection.begin()
    if (this.#connection.hasBegun) {
      const unwritten = this.#statuses.write() ?? this.#unwritten
      this.#unwritten = undefined
      if (unwritten !== undefined) this.#onFault('TINYMQ_SQLITE', 'warn', unwritten, nowMs)
      for (const lane of lanes.changed) batches.write(lane)
      lanes.write()
      senders.write(nowMs)
      const heldUs = this.#connection.commit()
      this.#commits++
      this.#faults.onCommitted()
      this.#statuses.onCommitted(nowMs)
      scanner.onCommitted()
      this.#throttle.onCommit(heldUs, nowMs)
      this.#quietFromUs = this.#nowUs()
    } else this.#throttle.onIdle()
    keyMigration.onCommitted()
    outbox.onCommitted()
    inbox.onCommitted()
  }

  /** Nothing of this turn has happened: what is in memory may say that it has. */
  #recover(error: unknown, done: readonly StoreTask[], nowMs: number): StoreResult[] {
    const fault = explainedFault(error, this.#connection)
    if (fault.type === 'fatal') throw fault.error
    if (fault.type === 'bug') throw error
    const { code, reason } = fault
    if (code !== undefined) this.#onFault(code, 'error', reason, nowMs)
    return this.#loseAll(done, reason, code, troublePauseMs * 1_000)
  }

  /** What a daemon does once for itself. Where it has no room, the work goes on without. */
  #maintain({ keyMigration }: Memory, nowMs: number): void {
    const reason = keyMigration.apply(nowMs)
    if (reason === undefined) return
    this.#onFault('TINYMQ_SCRATCH_FULL', 'warn', `mqout_lane cannot be built: ${reason}`, nowMs)
  }

  #onFault(...fault: Parameters<FaultWatch['on']>): void {
    const event = this.#faults.on(...fault)
    if (event !== undefined) this.#news.push({ type: 'event', ...event })
  }

  #loseAll(
    done: readonly StoreTask[],
    reason: string,
    code: string | undefined,
    pauseUs: number,
  ): StoreResult[] {
    this.#memory = undefined
    this.#connection.rollback()
    // The sessions are over. Events are bound to none: they are reported when they can be. What the
    // core has said of lanes is noted already.
    const events = done.filter(({ type }) => type === 'event')
    const left = this.#backlog.slice(done.length).filter((task) => !('session' in task))
    this.#backlog = [...this.#news.splice(0), ...events, ...left]
    this.#throttle.onTrouble(pauseUs)
    this.#quietFromUs = this.#nowUs()
    return this.#core.loseAll(troublePauseMs, reason, code)
  }
}

function hasWork({ inbox, unread }: Memory): boolean {
  return inbox.hasWork || unread.size > 0
}

function forget({ outbox, inbox, scanner }: Memory, session: SessionId): void {
  const lane = outbox.forget(session)
  if (lane !== undefined && !outbox.hasSession(lane)) scanner.onForgotten(lane)
  inbox.forget(session)
}

const busySentence = 'another program has held the write lock of the database for seconds'

// In turns the newest and the one that has brought most: whoever brings one message each from many
// places he makes up does not push out those that have sent for long.
const peersSql = `SELECT host, port FROM (
    SELECT host, port, row_number() OVER (ORDER BY max(seen_at) DESC) AS newest,
      row_number() OVER (ORDER BY max(watermark) DESC) AS largest
    FROM mqsender WHERE host <> '' AND port BETWEEN 1 AND 65535 AND watermark > 0
    GROUP BY host, port)
  ORDER BY min(newest, largest), newest LIMIT ${given}`
