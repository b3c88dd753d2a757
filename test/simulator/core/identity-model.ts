/**
 * The random model of identity (PROTOCOL §7): databases of senders and receivers that are restored,
 * copied, wiped and renamed by lot, with the real rules and the real chain between them. Must never
 * depend on anything but the seed, and must never be used in production.
 *
 *   node test/simulator/core/identity-model.ts --seed 1 --runs 20000 [--without 'rule 2']
 */
import { parseArgs } from 'node:util'
import { assert, AssertionFailure, unreachable } from '../../../daemon/protocol/assert.ts'
import {
  applyIdentityRules,
  type LaneIdentity,
  type OpenedIdentity,
  type IdentityVerdict,
} from '../../../daemon/store/outbox/identity-check.ts'
import { Checker } from './identity-checker.ts'
import {
  type Entry,
  type Id,
  Lane,
  ReceiverDatabase,
  type Row,
  SenderDatabase,
} from './identity-parties.ts'
import { SeededRandom } from '../../../sdk/testing/lossy-network.ts'

/** What a life can be without, to show that it is needed. */
export const knockouts = [
  'uid check',
  'chain',
  'all but the watermark',
  'rule 2',
  'rule 4',
  'rule 9',
  'uids in SKIP',
  'a new uid for a rejected sequence',
  'closing when uids are forgotten',
  'superseding',
  'the order of ids',
] as const
type Knockout = (typeof knockouts)[number]

type Session = {
  readonly machine: ReceiverMachine
  readonly id: number
  readonly logStart: number
  next: number
}
type SenderMachine = { database: SenderDatabase; readonly sessions: Map<Lane, Session> }
type ReceiverMachine = {
  database: ReceiverDatabase
  /** By stream: an OPEN supersedes the session before it. */
  readonly sessions: Map<number, { readonly id: number; readonly databaseId: number }>
}
type Action = { readonly weight: number; readonly run: () => void }

const stepsPerLife = 150
const roundsOfPeace = 1_000
const sendersMax = 3
const restartsMax = 6

/** One history of a few databases, from their creation to the day when all is delivered. */
class DaemonInstance {
  readonly checker = new Checker()
  readonly #without: Knockout | undefined
  readonly #random: SeededRandom
  #lastNumber = 0
  #nowMs = 0
  #isCalm = false
  readonly #senders: SenderMachine[]
  readonly #receivers: readonly [ReceiverMachine, ReceiverMachine]
  /** Who is reached by each of the two names. */
  readonly #named: [ReceiverMachine, ReceiverMachine]
  readonly #senderBackups: SenderDatabase[] = []
  readonly #receiverBackups: ReceiverDatabase[] = []

  constructor(seed: number, without: Knockout | undefined) {
    this.#random = new SeededRandom(seed)
    this.#without = without
    const lanes = [new Lane(0, this.#newNumber()), new Lane(1, this.#newNumber())]
    this.#senders = [
      { database: new SenderDatabase(this.#newId(), lanes), sessions: new Map<Lane, Session>() },
    ]
    this.#receivers = [this.#newReceiver(), this.#newReceiver()]
    this.#named = [this.#random.one(this.#receivers), this.#random.one(this.#receivers)]
  }

  live(): void {
    const actions = this.#actions()
    for (let step = 0; step < stepsPerLife; step++) {
      this.#nowMs++
      this.#random.oneByWeight(actions).run()
    }
    this.#haveEnd()
  }

  /** Not every life has every fault: what is always there may hide what it would uncover alone. */
  #actions(): Action[] {
    const faults: Action[] = [
      { weight: 60, run: () => this.#crashSender() },
      { weight: 30, run: () => this.#random.one(this.#receivers).sessions.clear() },
      { weight: 15, run: () => this.#restoreSender() },
      { weight: 10, run: () => this.#copySender() },
      { weight: 10, run: () => this.#restoreReceiver() },
      { weight: 5, run: () => this.#copyReceiver() },
      { weight: 5, run: () => this.#wipeReceiver() },
      { weight: 15, run: () => this.#moveName() },
      { weight: 20, run: () => this.#deleteRow() },
      { weight: 20, run: () => this.#reroute() },
      { weight: 25, run: () => this.#forget() },
      { weight: 40, run: () => this.#refuse() },
    ]
    return [
      { weight: 250, run: () => this.#insert() },
      { weight: 20, run: () => this.#unpark() },
      { weight: 30, run: () => this.#choose() },
      { weight: 30, run: () => this.#backUpSender() },
      { weight: 20, run: () => this.#backUpReceiver() },
      { weight: 550, run: () => this.#deliver(...this.#drawLane()) },
      ...faults.filter(() => this.#random.chance(0.6)),
    ]
  }

  #insert(): void {
    const [{ database }, lane] = this.#drawLane()
    // Now and then so many that a block of the chain is full.
    const count = this.#random.chance(0.01) ? 70 : 1
    for (let i = 0; i < count; i++) this.#insertInto(database, lane)
  }

  #insertInto(database: SenderDatabase, lane: Lane): void {
    // Clocks are wrong at times; no rule may rely on them.
    const createdMs = this.#random.chance(0.1) ? 1 + this.#random.below(stepsPerLife) : this.#nowMs
    lane.add({ id: database.nextRow++, uid: this.#newId(), createdMs, isDisplaced: false })
  }

  #deleteRow(): void {
    const [, lane] = this.#drawLane()
    const rows = [...lane.entries.flatMap(({ row }) => row ?? []), ...lane.waiting, ...lane.parked]
    if (rows.length > 0) this.#delete(lane, this.#random.one(rows))
  }

  #delete(lane: Lane, row: Row): void {
    this.checker.onDeleted(row)
    lane.delete(row)
  }

  /** Only a row without a number can go another way. */
  #reroute(): void {
    const [{ database }, from] = this.#drawLane()
    if (from.waiting.length === 0) return
    const row = this.#random.one(from.waiting)
    from.delete(row)
    this.#random.one(database.lanes).add({ ...row, isDisplaced: true })
  }

  #unpark(): void {
    this.#drawLane()[1].unpark()
  }

  /** The operator of a lane that holds chooses: send, or delete. */
  #choose(): void {
    const [, lane] = this.#drawLane()
    if (lane.heldMs === 0) return
    if (this.#random.chance(0.7)) {
      lane.releasedMs = lane.heldMs
    } else {
      const rows = [...lane.entries.flatMap(({ row }) => row ?? []), ...lane.waiting]
      for (const row of rows) if (row.createdMs <= lane.heldMs) this.#delete(lane, row)
    }
    lane.heldMs = 0
  }

  #crashSender(): void {
    this.#random.one(this.#senders).sessions.clear()
  }

  #backUpSender(): void {
    this.#senderBackups.push(this.#random.one(this.#senders).database.clone())
  }

  #backUpReceiver(): void {
    this.#receiverBackups.push(this.#random.one(this.#receivers).database.clone())
  }

  #restoreSender(): void {
    if (this.#senderBackups.length === 0) return
    this.checker.happened('sender copied')
    const sender = this.#random.one(this.#senders)
    sender.database = this.#random.one(this.#senderBackups).clone()
    sender.sessions.clear()
  }

  #copySender(): void {
    if (this.#senders.length === sendersMax) return
    this.checker.happened('sender copied')
    const database = this.#random.one(this.#senders).database.clone()
    this.#senders.push({ database, sessions: new Map<Lane, Session>() })
  }

  #restoreReceiver(): void {
    if (this.#receiverBackups.length === 0) return
    this.checker.happened('receiver copied')
    this.#replaceReceiver(
      this.#random.one(this.#receivers),
      this.#random.one(this.#receiverBackups).clone(),
    )
  }

  #copyReceiver(): void {
    this.checker.happened('receiver copied')
    const copied = this.#random.one(this.#receivers).database.clone()
    this.#replaceReceiver(this.#random.one(this.#receivers), copied)
  }

  #wipeReceiver(): void {
    const receiver = this.#random.one(this.#receivers)
    this.#replaceReceiver(receiver, new ReceiverDatabase(this.#newId()))
  }

  #replaceReceiver(machine: ReceiverMachine, database: ReceiverDatabase): void {
    if (machine.database.id.n !== database.id.n) this.checker.happened('receiver changed')
    machine.database = database
    machine.sessions.clear()
  }

  #moveName(): void {
    this.checker.happened('receiver changed')
    const [first, second] = this.#receivers
    const name = this.#random.chance(0.5) ? 0 : 1
    this.#named[name] = this.#named[name] === first ? second : first
  }

  /**
   * The log's retention. Sessions of the database id's other streams end, so that they are
   * informed.
   */
  #forget(): void {
    const machine = this.#random.one(this.#receivers)
    const forgotten = machine.database.forget(1 + this.#random.below(10))
    if (forgotten.length > 0) this.checker.happened('uids forgotten')
    if (this.#without === 'closing when uids are forgotten') return
    for (const [stream, { databaseId }] of machine.sessions) {
      const isReported = forgotten.every(
        (logged) => logged.databaseId !== databaseId || logged.stream === stream,
      )
      if (!isReported) machine.sessions.delete(stream)
    }
  }

  /** One turn of a lane: it opens a session, or sends a row, or hears a confirm. */
  #deliver(sender: SenderMachine, lane: Lane): void {
    if (lane.heldMs > 0) return
    const session = sender.sessions.get(lane)
    if (session === undefined) {
      const hasRows = lane.entries.length + lane.waiting.length > 0
      if (hasRows && (this.#isCalm || this.#random.chance(0.7))) this.#open(sender, lane)
    } else if (this.#isOver(session, lane)) {
      sender.sessions.delete(lane)
    } else {
      this.#send(sender, lane, session)
    }
  }

  #isOver({ machine, id }: Session, lane: Lane): boolean {
    if (this.#without === 'superseding') return !machine.sessions.has(lane.stream)
    return machine.sessions.get(lane.stream)?.id !== id
  }

  #open(sender: SenderMachine, lane: Lane): void {
    const machine = this.#named[lane.name]
    const databaseId = sender.database.id
    for (let restarts = 0; restarts < restartsMax; restarts++) {
      const id = this.#newNumber()
      machine.sessions.set(lane.stream, { id, databaseId: databaseId.n })
      const opened = machine.database.opened(lane.stream, databaseId)
      const decision = this.#checkIdentity(sender, lane, opened)
      this.checker.onDecision(lane, machine.database, decision)
      if (decision.type === 'reject') return
      lane.peer = decision.peer
      if (decision.type === 'go') {
        this.#go(
          sender,
          lane,
          { machine, id, logStart: opened.logStart, next: decision.from },
          decision,
        )
        return
      }
      // One session, one stream: the CLOSE may be lost.
      if (!this.#isLost(0.2)) machine.sessions.delete(lane.stream)
      lane.renew(this.#newNumber())
      // The sender crashes before it opens again.
      if (!this.#isCalm && this.#random.chance(0.1)) return
    }
    assert(false, 'No chain of rules is longer than the restarts of a lane.')
  }

  #go(
    sender: SenderMachine,
    lane: Lane,
    session: Session,
    { from, ambiguous }: Extract<IdentityVerdict, { type: 'go' }>,
  ): void {
    this.#confirm(lane, session.machine.database, from - 1)
    if (ambiguous) this.#hold(sender, lane, session.logStart)
    else sender.sessions.set(lane, session)
  }

  #checkIdentity({ database }: SenderMachine, lane: Lane, opened: OpenedIdentity): IdentityVerdict {
    const identity: LaneIdentity = {
      ownDatabase: database.id.bytes,
      addressIsOwn: false,
      peer: lane.peer,
      confirmed: lane.confirmed,
      numbered: lane.numbered,
      digestAt: (sequence) => lane.digestAt(sequence),
      oldestRowMs: (watermark) => lane.oldestRowMs(watermark),
    }
    return applyIdentityRules(blindfolded(identity, opened, this.#without), opened)
  }

  #hold(sender: SenderMachine, lane: Lane, logStart: number): void {
    this.checker.onAmbiguous()
    lane.heldMs = logStart
    sender.sessions.delete(lane)
  }

  #send(sender: SenderMachine, lane: Lane, session: Session): void {
    if (lane.entryAt(session.next) === undefined && !this.#number(sender, lane, session)) return
    const entry = lane.entryAt(session.next)
    const { machine } = session
    if (entry === undefined) {
      this.#confirm(lane, machine.database, session.next - 1)
      return
    }
    if (this.#isLost(0.2)) return
    this.#receive(sender, lane, session, entry)
    session.next++
    // The receiver crashes between its commit and the confirm.
    if (this.#isLost(0.05)) machine.sessions.clear()
    else if (!this.#isLost(0.2)) this.#confirm(lane, machine.database, session.next - 1)
  }

  /** Gives the next rows, if there are any, their numbers. False if the lane has to hold. */
  #number(sender: SenderMachine, lane: Lane, { next, logStart }: Session): boolean {
    assert(next === lane.numbered + 1, 'A session goes through the sequences without a hole.')
    for (let count = 1 + this.#random.below(3); count > 0; count--) {
      const row = lane.waiting[0]
      if (row === undefined) return true
      // Rule 9 for a row that came into the lane after OPENED.
      const mayDouble = row.createdMs > lane.releasedMs && row.createdMs <= logStart
      if (mayDouble && this.#without !== 'rule 9') {
        this.#hold(sender, lane, logStart)
        return false
      }
      if (this.#without === 'the order of ids') lane.waiting.reverse()
      lane.numberNext()
    }
    return true
  }

  /** One transaction of the receiver. */
  #receive(sender: SenderMachine, lane: Lane, session: Session, { uid, row }: Entry): void {
    const { database } = session.machine
    const databaseId = sender.database.id
    const inbound = database.inbound(lane.stream, databaseId)
    assert(inbound.chain.sequence + 1 === session.next, 'A record takes the next sequence.')
    if (row === undefined) {
      database.skipped.add(uid.n)
    } else {
      this.checker.onMessage(lane, database, row, databaseId)
      const isKnown = this.#without !== 'uid check' && database.knows(uid, databaseId)
      if (!isKnown) {
        this.checker.onInsert(lane, database, row)
        database.insert(row, lane.stream, databaseId)
      }
    }
    const isUidLeftOut = row === undefined && this.#without === 'uids in SKIP'
    inbound.chain.append(isUidLeftOut ? new Uint8Array(uid.bytes.length) : uid.bytes)
    inbound.history.push(uid.n)
  }

  #confirm(lane: Lane, receiver: ReceiverDatabase, sequence: number): void {
    const first = lane.confirmed + 1
    this.checker.onFreed(lane, receiver, lane.confirm(sequence), first)
  }

  /** The receiver rejects the row that is next (close code 4); the lane goes on without it. */
  #refuse(): void {
    const [sender, lane] = this.#drawLane()
    const session = sender.sessions.get(lane)
    if (session === undefined || this.#isOver(session, lane)) return
    const entry = lane.entryAt(session.next)
    if (entry?.row === undefined) return
    this.checker.happened('row rejected')
    session.machine.sessions.delete(lane.stream)
    sender.sessions.delete(lane)
    if (this.#isLost(0.2)) return
    const keepsUid = this.#without === 'a new uid for a rejected sequence'
    lane.park(session.next, keepsUid ? entry.uid : this.#newId())
  }

  /** Faults stop; a last row goes through each lane, so that each hears of its peer once more. */
  #haveEnd(): void {
    this.#isCalm = true
    // A session that outlived a move of its name would hear of its old peer only.
    for (const { sessions } of this.#senders) sessions.clear()
    const lanes = this.#senders.flatMap((sender) =>
      sender.database.lanes.map((lane): [SenderMachine, Lane] => [sender, lane]),
    )
    for (const [{ database }, lane] of lanes) this.#insertInto(database, lane)
    for (let round = 0; round < roundsOfPeace; round++) {
      if (lanes.every(([, lane]) => lane.isEmpty)) break
      for (const [sender, lane] of lanes) {
        // In step, three copies would supersede each other for ever.
        if (this.#random.chance(0.5)) continue
        lane.unpark()
        if (lane.heldMs > 0) lane.releasedMs = lane.heldMs
        lane.heldMs = 0
        this.#deliver(sender, lane)
      }
    }
    for (const [, lane] of lanes) {
      this.checker.onEnd(lane, this.#named[lane.name].database)
    }
  }

  #newReceiver(): ReceiverMachine {
    return { database: new ReceiverDatabase(this.#newId()), sessions: new Map() }
  }

  #newNumber(): number {
    return ++this.#lastNumber
  }

  #newId(): Id {
    const n = this.#newNumber()
    const bytes = new Uint8Array(16)
    bytes.set([n >>> 16, n >>> 8, n])
    return { n, bytes }
  }

  #drawLane(): [SenderMachine, Lane] {
    const sender = this.#random.one(this.#senders)
    return [sender, this.#random.one(sender.database.lanes)]
  }

  /** Nothing gets lost once there is peace. */
  #isLost(probability: number): boolean {
    return !this.#isCalm && this.#random.chance(probability)
  }
}

/** What a check without that rule would see. */
function blindfolded(
  lane: LaneIdentity,
  { database, watermark, digest }: OpenedIdentity,
  without: Knockout | undefined,
): LaneIdentity {
  const confirmed = Math.min(lane.confirmed, watermark)
  const digestAt = (): Uint8Array => digest
  switch (without) {
    case 'chain':
      return { ...lane, digestAt }
    case 'rule 2':
      return { ...lane, peer: database }
    case 'rule 4':
      return watermark < lane.confirmed ? { ...lane, confirmed, digestAt } : lane
    case 'rule 9':
      return { ...lane, oldestRowMs: () => undefined }
    case 'all but the watermark':
      return {
        ...lane,
        peer: database,
        confirmed,
        numbered: Math.max(lane.numbered, watermark),
        digestAt,
      }
    case 'uid check':
    case 'uids in SKIP':
    case 'a new uid for a rejected sequence':
    case 'closing when uids are forgotten':
    case 'superseding':
    case 'the order of ids':
    case undefined:
      return lane
    default:
      return unreachable(without)
  }
}

export type Outcome = {
  readonly runs: number
  /** The first failing seeds, each with what was violated. */
  readonly failures: readonly string[]
  /** How often each event came, and what else is worth a number. */
  readonly counts: ReadonlyMap<string, number>
}

/** Lives `runs` lives from `seed` on; stops after so many failures. */
export function runModel(seed: number, runs: number, without?: Knockout, failuresMax = 1): Outcome {
  const failures: string[] = []
  const counts = new Map<string, number>()
  let done = 0
  while (done < runs && failures.length < failuresMax) {
    const { violations, counts: counted } = liveOnce(seed + done, without)
    for (const [what, times] of counted) counts.set(what, (counts.get(what) ?? 0) + times)
    const [violation] = violations
    if (violation !== undefined) failures.push(`seed ${seed + done}: ${violation}`)
    done++
  }
  return { runs: done, failures, counts }
}

function liveOnce(seed: number, without: Knockout | undefined): Checker {
  const life = new DaemonInstance(seed, without)
  try {
    life.live()
  } catch (error) {
    if (!(error instanceof AssertionFailure)) throw error
    life.checker.violations.push(error.message)
  }
  return life.checker
}

function main(): void {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: '20000' },
      without: { type: 'string' },
    },
  })
  const without = knockouts.find((knockout) => knockout === values.without)
  assert(without === values.without, `--without takes one of: ${knockouts.join(', ')}.`)
  const { runs, failures, counts } = runModel(Number(values.seed), Number(values.runs), without, 10)
  const result = { without, runs, failures, counts: Object.fromEntries(counts) }
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
  process.exitCode = failures.length > 0 ? 1 : 0
}

if (import.meta.main) main()
