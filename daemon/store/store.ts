/**
 * The store: works through what the core and the driver ask, one transaction a call, and answers
 * only when that transaction is on disk. Must never wait, hold a lock between two calls, or try a
 * sync again that has failed.
 */
import { unreachable } from '../protocol/assert.ts'
import type { LaneId, StoreResult, StoreWork } from '../protocol/store-port.ts'
import { Confirming } from './confirming.ts'
import { Connection, DatabaseBusy, type ConnectionOptions } from './connection.ts'
import { realEnvironment, type StoreEnvironment } from './environment.ts'
import { Events, type StoreEvent } from './events.ts'
import { faultOf } from './faults.ts'
import { Inbox } from './inbox.ts'
import { InboxRows } from './inbox-rows.ts'
import { Judging } from './judging.ts'
import { LaneStatuses } from './lane-statuses.ts'
import { Keying, type KeyingChoice } from './keying.ts'
import { Lanes } from './lanes.ts'
import { Numbering } from './numbering.ts'
import { OutboxPlaces } from './outbox-places.ts'
import { OutboxRows } from './outbox-rows.ts'
import { Outbox } from './outbox.ts'
import { LateRows, ParkedRows } from './parked.ts'
import { Parts } from './parts.ts'
import { Rekeying } from './rekeying.ts'
import { Runs } from './runs.ts'
import { Scanner } from './scanner.ts'
import { Seen } from './seen.ts'
import { SenderLog } from './sender-log.ts'
import { Senders } from './senders.ts'
import { Storing } from './storing.ts'
import type { Done } from './tally.ts'
import { resultOf, type Answer, type Turn } from './turn.ts'
import { WriteDuty } from './write-duty.ts'
import { given } from '../../sdk/given-sql.ts'

export type StoreTask =
  | StoreWork
  /** Look what other programs have written. Cheap when it is nothing. */
  | { readonly type: 'scan' }
  /** Something that the operator must know, for `mqevent`. */
  | ({ readonly type: 'event' } & StoreEvent)

/** Where a peer can be reached, as far as is known. */
export type Peer = { readonly host: string; readonly port: number }

export type StoreOptions = ConnectionOptions & {
  readonly environment?: StoreEnvironment
  /** What tokens mean; labels if left out. */
  readonly keying?: KeyingChoice
}

/** Another program holds the lock for seconds: it gets some more before it is asked again. */
const busyPauseUs = 20_000
/**
 * A lone message takes two or three commits of five to ten pages, so this comes before the log has
 * the thousand pages at which SQLite moves them. Fewer: the first commit into a log that begins
 * anew is synced twice. More: some message waits for the move.
 */
const commitsPerRest = 50
/** The disk is full, say. Sessions are asked to come back after this. */
const troublePauseMs = 2_000
/** How many peers are told that this node is back. */
const peersMax = 256

/**
 * Opens or makes the database at `path`, with all tables.
 * @throws TinymqError
 */
export function openStore(path: string, options: StoreOptions = {}): Store {
  return new Store(path, options)
}

export class Store {
  /** The identity of this database, 16 bytes. */
  readonly origin: Uint8Array
  readonly #connection: Connection
  readonly #duty = new WriteDuty()
  readonly #lanes: Lanes
  readonly #runs: Runs
  readonly #statuses: LaneStatuses
  readonly #events: Events
  readonly #parked: ParkedRows
  readonly #rekeying: Rekeying
  readonly #scanner: Scanner
  readonly #senders: Senders
  readonly #outbox: Outbox
  readonly #inbox: Inbox
  /** What does not fit into a transaction waits here, in its order. */
  readonly #backlog: StoreTask[] = []
  /** Lanes whose read could not be answered in the last transaction. */
  readonly #unread = new Set<LaneId>()
  readonly #nowUs: () => number
  #version = -1
  /** The pause has begun: the database is not locked any more. */
  #quietFromUs = Number.NEGATIVE_INFINITY
  #commits = 0
  #restedAtCommit = 0

  /** Use `openStore`. */
  constructor(path: string, options: StoreOptions) {
    const { environment = realEnvironment } = options
    const { randomBytes, sha256 } = environment
    const connection = new Connection(path, environment.nowUs, options)
    const origin = readOrigin(connection)
    const lanes = new Lanes(connection, environment)
    const runs = new Runs(connection)
    const keying = new Keying(options.keying ?? { type: 'labels' })
    const rows = new OutboxRows(connection, keying)
    const parked = new ParkedRows(connection)
    const late = new LateRows(connection, keying)
    const events = new Events(connection)
    const confirming = new Confirming(connection, lanes, runs, keying)
    const numbering = new Numbering(connection, lanes, runs, rows, parked, late)
    const shared = { connection, lanes, runs, confirming, events, randomBytes, sha256, origin }
    const judging = new Judging(shared)
    const seen = new Seen(connection)
    const log = new SenderLog(connection, seen)
    const senders = new Senders(connection, log, sha256)
    const storing = new Storing(connection, keying, senders, seen, new InboxRows(connection))
    const parts = new Parts(connection)
    this.origin = origin
    this.#nowUs = environment.nowUs
    this.#connection = connection
    this.#lanes = lanes
    this.#runs = runs
    this.#statuses = new LaneStatuses(connection)
    this.#events = events
    this.#parked = parked
    this.#senders = senders
    this.#outbox = new Outbox({ ...shared, rows, numbering, judging })
    this.#inbox = new Inbox({ ...shared, senders, log, seen, parts, storing })
    const hasSession = (lane: LaneId): boolean => this.#outbox.hasSession(lane)
    const settle = (lane: LaneId): void => this.#outbox.settle(lane)
    const places = new OutboxPlaces(connection, keying)
    const scanned = { connection, lanes, places, rows, parked, late }
    this.#scanner = new Scanner({ ...scanned, hasSession, settle })
    this.#rekeying = new Rekeying({ ...shared, keying })
  }

  /** There is work left that did not fit into the last transaction: call `run` again. */
  get hasWork(): boolean {
    return this.#backlog.length + this.#unread.size > 0 || this.#inbox.hasWork
  }

  /** How much longer the caller should leave the database to other programs. */
  get pauseUs(): number {
    const passedUs = this.#nowUs() - this.#quietFromUs
    return Math.max(0, this.#duty.pauseUs - passedUs)
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
    for (const task of tasks) this.#backlog.push(task)
    const answers: Answer[] = []
    const turn: Turn = { nowMs, emit: (answer) => void answers.push(answer) }
    const done: StoreTask[] = []
    try {
      this.#look(nowMs)
      this.#rekeying.apply(nowMs)
      this.#workThrough(turn, done)
      this.#commit(nowMs)
      return answers.map(resultOf)
    } catch (error) {
      if (!(error instanceof DatabaseBusy)) return this.#recover(error, done, nowMs)
      // Nothing was written. What was answered so far needed no transaction.
      this.#duty.onTrouble(busyPauseUs)
      this.#quietFromUs = this.#nowUs()
      return answers.map(resultOf)
    } finally {
      this.#backlog.splice(0, done.length)
    }
  }

  /**
   * Nothing is asked for now: what would make some later commit wait is done already. SQLite moves
   * its log into the file within a commit when the log is long enough, and a lone message would
   * wait for that.
   * @throws TinymqError as `run`.
   */
  rest(): void {
    if (this.#commits - this.#restedAtCommit < commitsPerRest) return
    this.#restedAtCommit = this.#commits
    try {
      this.#connection.checkpoint()
    } catch (error) {
      const fault = faultOf(error)
      // What a full disk or a lock keeps in the log is safe there.
      if (fault.type !== 'wait') throw fault.type === 'fatal' ? fault.error : error
    }
  }

  /** Peers that may have something for this node, the latest first: greet them (PROTOCOL §3.7). */
  peers(): Peer[] {
    const statement = this.#connection.prepare<[number], [string, number]>(peersSql)
    return statement.all(peersMax).map(([host, port]) => ({ host, port }))
  }

  /** What was done since the last call. */
  takeDone(): Done {
    return this.#connection.tally.take()
  }

  close(): void {
    this.#connection.close()
  }

  #look(nowMs: number): void {
    const version = this.#connection.dataVersion()
    if (version !== this.#version && this.#version !== -1) this.#duty.onForeignCommit(nowMs)
    this.#version = version
  }

  #workThrough(turn: Turn, done: StoreTask[]): void {
    if (this.#inbox.hasWork) this.#inbox.goOn(turn)
    for (const lane of this.#unread) {
      if (this.#connection.isSpent) return
      if (this.#outbox.onRows(lane, turn)) this.#unread.delete(lane)
    }
    for (const task of this.#backlog) {
      if (this.#connection.isSpent || !this.#do(task, turn)) return
      done.push(task)
    }
  }

  /** @returns whether the task is done; else it must be given again in the next transaction. */
  #do(task: StoreTask, turn: Turn): boolean {
    switch (task.type) {
      case 'scan':
        this.#scan(turn)
        return true
      case 'event':
        this.#events.add(task, turn.nowMs)
        return true
      case 'open-lane':
        this.#outbox.openLane(task, turn)
        return true
      case 'judge':
        return this.#outbox.judge(task, turn)
      case 'read':
        return this.#outbox.read(task, turn)
      case 'confirmed':
        return this.#outbox.confirmed(task, turn)
      case 'refused':
        this.#outbox.refused(task, turn)
        return true
      case 'lane-status':
        this.#statuses.set(task.lane, task.status, turn.nowMs)
        return true
      case 'lane-traffic':
        this.#statuses.add(task.lane, task.traffic)
        return true
      case 'accept':
        this.#inbox.accept(task, turn)
        return true
      case 'receive':
        this.#inbox.receive(task, turn)
        return true
      case 'forget':
        this.#forget(task.session)
        return true
      default:
        return unreachable(task)
    }
  }

  #scan(turn: Turn): void {
    const { results, found } = this.#scanner.scan(this.#version, turn.nowMs)
    for (const result of results) turn.emit(result)
    for (const lane of found) this.#unread.add(lane)
    for (const lane of found) {
      if (this.#connection.isSpent) return
      if (this.#outbox.onRows(lane, turn)) this.#unread.delete(lane)
    }
  }

  #forget(session: number): void {
    const lane = this.#outbox.forget(session)
    if (lane !== undefined && !this.#outbox.hasSession(lane)) this.#scanner.onForgotten(lane)
    this.#inbox.forget(session)
  }

  #commit(nowMs: number): void {
    if (this.#statuses.isDue(nowMs)) this.#connection.begin()
    if (this.#connection.isWriting) {
      this.#statuses.write()
      for (const lane of this.#lanes.changed) this.#runs.write(lane)
      this.#lanes.write()
      this.#senders.write(nowMs)
      const heldUs = this.#connection.commit()
      this.#commits++
      this.#statuses.onCommitted(nowMs)
      this.#scanner.onCommitted()
      this.#duty.onCommit(heldUs, nowMs)
      this.#quietFromUs = this.#nowUs()
    } else this.#duty.onIdle()
    this.#rekeying.onCommitted()
    this.#outbox.onCommitted()
    this.#inbox.onCommitted()
  }

  /** Nothing of this call has happened, and what is in memory may say that it has. */
  #recover(error: unknown, done: readonly StoreTask[], nowMs: number): StoreResult[] {
    const fault = faultOf(error)
    if (fault.type === 'fatal') throw fault.error
    if (fault.type === 'bug') throw error
    this.#connection.rollback()
    const answers: Answer[] = []
    const turn: Turn = { nowMs, emit: (answer) => void answers.push(answer) }
    this.#outbox.loseAll(troublePauseMs, fault.reason, turn)
    this.#inbox.loseAll(troublePauseMs, fault.reason, turn)
    this.#lanes.reset()
    this.#runs.reset()
    this.#senders.reset()
    this.#parked.reset()
    this.#scanner.reset()
    this.#unread.clear()
    // Events are not bound to a session; they are said when they can be.
    this.#backlog.push(...done.filter(({ type }) => type === 'event'))
    this.#duty.onTrouble(troublePauseMs * 1_000)
    this.#quietFromUs = this.#nowUs()
    return answers.map(resultOf)
  }
}

const peersSql = `SELECT host, port FROM mqsender
  WHERE host <> '' AND port BETWEEN 1 AND 65535
  GROUP BY host, port ORDER BY max(seen_at) DESC LIMIT ${given}`

function readOrigin(connection: Connection): Uint8Array {
  const read = connection.prepareValue<[], Uint8Array>(
    "SELECT value FROM mqmeta WHERE key = 'origin'",
  )
  return Uint8Array.from(read.get() ?? [])
}
