/**
 * What must hold of the outbox of one machine at every step: a row goes only when it is on the
 * receiver's durable medium or its owner deletes it (P5); no row leaves under a number that a power
 * cut could take back (P1); numbers and confirmations of a stream never fall. Must never write.
 */
import type { StoreResult } from '../../daemon/protocol/store-messages.ts'
import type { StoreTask } from '../../daemon/store/store.ts'
import type { Disk } from './disk.ts'
import type { Entry, Ledger } from './expected-state.ts'
import { expect } from './violation.ts'

type OutboxCheckerParts = {
  readonly name: string
  readonly disk: Disk
  readonly ledger: Ledger
}

type LaneRow = {
  readonly id: number
  readonly stream: string
  readonly confirmed: number
  readonly numbered: number
}

const lanesSql = 'SELECT id, hex(stream) AS stream, confirmed, numbered FROM mqlane'
const inFlightSql = 'SELECT 1 FROM mqbatch WHERE done_at IS NULL AND instr(uids, ?) LIMIT 1'

export class OutboxChecker {
  readonly #parts: OutboxCheckerParts
  /** Messages that are there, with the operation of the disk that brought each. */
  readonly #waiting = new Map<number, number>()
  #lanes = new Map<number, LaneRow>()
  #storedLanes = new Map<number, LaneRow>()
  readonly #laneOf = new Map<number, number>()

  constructor(parts: OutboxCheckerParts) {
    this.#parts = parts
  }

  /** Messages that should be in the outbox. */
  get waiting(): ReadonlyMap<number, number> {
    return this.#waiting
  }

  onInserted(entry: Entry): void {
    this.#waiting.set(entry.number, this.#parts.disk.syncs.operations)
  }

  /** Its owner has deleted it, or put another row in its place. */
  onDeleted(number: number): void {
    const entry = this.#parts.ledger.get(number)
    entry.isExcused = true
    this.#waiting.delete(number)
  }

  isInFlight({ uid }: Entry): boolean {
    return this.#parts.disk.read(inFlightSql, uid).length > 0
  }

  /** The store has done these. */
  onTasks(tasks: readonly StoreTask[]): void {
    for (const task of tasks) {
      if (task.type === 'open-lane') this.#laneOf.set(task.session, task.lane)
    }
  }

  /** Something was written. */
  look(): void {
    this.#lanes = this.#readLanes(this.#lanes)
    const [row] = this.#parts.disk.read<{ n: number }>('SELECT count(*) AS n FROM mqout')
    if (row?.n !== this.#waiting.size) this.#judgeGone()
  }

  onSynced(): void {
    this.#storedLanes = this.#lanes
  }

  /** The core is about to hear of it, and to send what it hears of. */
  onReported(result: StoreResult): void {
    if (result.type !== 'rows') return
    const lane = this.#storedLanes.get(this.#laneOf.get(result.session) ?? 0)
    const numbered = lane?.numbered ?? 0
    expect(result.lastSequence <= numbered, 'durable before sent', () =>
      this.#say(`hands over row ${result.lastSequence}, numbered on disk are ${numbered}`),
    )
  }

  onKilled(): void {
    this.#laneOf.clear()
    this.look()
  }

  /** @param durableOperations of the disk before the cut. */
  onPowerCut(durableOperations: number): void {
    this.#laneOf.clear()
    const present = this.#present()
    for (const [number, operation] of this.#waiting) {
      if (present.has(number)) continue
      const entry = this.#parts.ledger.get(number)
      this.#waiting.delete(number)
      if (entry.storedAt.size > 0) continue
      expect(operation > durableOperations, 'durable', () =>
        this.#say(`has lost message ${number}, which was on its disk, in a power cut`),
      )
      this.#onTakenBack(entry)
    }
    this.#onPresent(present)
    this.#lanes = this.#readLanes(this.#storedLanes)
    this.onSynced()
  }

  onReplaced(): void {
    this.#laneOf.clear()
    const present = this.#present()
    // What was inserted after the backup is gone, delivered or not.
    for (const number of this.#waiting.keys()) {
      if (!present.has(number)) this.onDeleted(number)
    }
    this.#onPresent(present)
    this.#lanes = this.#readLanes(new Map())
    this.onSynced()
  }

  /** Where each message that is there goes. */
  #present(): Map<number, string> {
    type Row = { readonly uid: Buffer; readonly host: string }
    const { disk, ledger } = this.#parts
    const rows = disk.read<Row>('SELECT uid, host FROM mqout')
    return new Map(rows.map(({ uid, host }) => [ledger.numberOf(uid), host]))
  }

  /** These are in the file from its start: no power cut takes them back. */
  #onPresent(present: ReadonlyMap<number, string>): void {
    const { ledger, name } = this.#parts
    this.#waiting.clear()
    for (const [number, host] of present) {
      this.#waiting.set(number, 0)
      const entry = ledger.get(number)
      // What its owner had deleted or rerouted is back, and is delivered like any other row.
      entry.stopped = undefined
      if (entry.sender === name) entry.host = host
    }
  }

  /** A power cut took back a row that its application had not waited for: it never was. */
  #onTakenBack(entry: Entry): void {
    const { ledger } = this.#parts
    expect(entry.seenAt.size === 0 || ledger.hasCopies, 'durable before sent', () =>
      this.#say(`has sent message ${entry.number} before it was on its disk, and lost it`),
    )
    entry.isExcused = true
    entry.stopped = 'a power cut took back before it could leave'
  }

  #judgeGone(): void {
    const present = this.#present()
    for (const number of this.#waiting.keys()) {
      if (present.has(number)) continue
      const { ledger } = this.#parts
      const { storedAt, isExcused } = ledger.get(number)
      // PROTOCOL §7.6: what is deleted in one copy of the initiator is taken as done in the others.
      const isDeletedElsewhere = ledger.hasCopies && isExcused
      expect(storedAt.size > 0 || isDeletedElsewhere, 'confirmed before deleted', () =>
        this.#say(`has deleted message ${number}, which is on no other disk`),
      )
      this.#waiting.delete(number)
    }
    for (const number of present.keys()) {
      expect(this.#waiting.has(number), 'books', () => this.#say(`has message ${number} again`))
    }
  }

  #readLanes(before: ReadonlyMap<number, LaneRow>): Map<number, LaneRow> {
    const rows = this.#parts.disk.read<LaneRow>(lanesSql)
    const now = new Map(rows.map((row) => [row.id, row]))
    for (const [id, { stream, confirmed, numbered }] of before) {
      const after = now.get(id)
      if (after === undefined || after.stream !== stream) continue
      expect(after.confirmed >= confirmed && after.numbered >= numbered, 'watermark', () =>
        this.#say(
          `had numbered ${numbered} and confirmed ${confirmed} of lane ${id}, ` +
            `and has ${after.numbered} and ${after.confirmed}`,
        ),
      )
      expect(after.confirmed <= after.numbered, 'watermark', () =>
        this.#say(`has confirmed ${after.confirmed} of ${after.numbered} of lane ${id}`),
      )
    }
    return now
  }

  #say(what: string): string {
    return `${this.#parts.name} ${what}.`
  }
}
