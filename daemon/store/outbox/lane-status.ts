/**
 * What each lane is doing, written for people (`mqlane.state` and its neighbours). Must never cost
 * a transaction of its own more than once a second: nothing depends on it.
 */
import type BetterSqlite3 from 'better-sqlite3'
import type { LaneId, LaneStatus, Traffic } from '../../protocol/store-messages.ts'
import type { Connection } from '../connection.ts'

const pauseMs = 1_000
/** A time of retry that moves by less is not worth a write … */
const retryGrainMs = 500
/** … nor is a round-trip time that moves by less than this part. */
const rttGrain = 0.25

/**
 * A session that opens does not end a fault: the next row may meet it again. What is confirmed
 * does, or a session that lasts so long.
 */
const keepMs = 15_000

type Written = {
  readonly state: LaneStatus['type']
  readonly code: string | null
  readonly error: string | null
  readonly since: number
  readonly retryAt: number | null
  readonly rttUs: number | null
}

type Update = [string, string | null, string | null, number, number | null, number | null, LaneId]

export class LaneStatusWriter {
  readonly #connection: Connection
  readonly #update: BetterSqlite3.Statement<Update>
  readonly #count: BetterSqlite3.Statement<[number, number, number, LaneId]>
  readonly #known = new Map<LaneId, Written>()
  readonly #unwritten = new Set<LaneId>()
  /** Lanes that are open, or on the way, with the fault of before; since when. */
  readonly #doubtful = new Map<LaneId, number>()
  readonly #traffic = new Map<LaneId, Traffic>()
  #writtenAtMs = -Infinity
  /** In the last transaction, or kept from it by the owner's. */
  #isWritten = false

  constructor(connection: Connection) {
    this.#connection = connection
    this.#update = connection.prepareChange(
      `UPDATE mqlane SET state = ?, error_code = ?, error = ?, since = ?, retry_at = ?,
         rtt_us = coalesce(?, rtt_us) WHERE id = ?`,
    )
    this.#count = connection.prepareChange(
      'UPDATE mqlane SET rtt_us = ?, packets = packets + ?, lost = lost + ? WHERE id = ?',
    )
  }

  /** Takes note; `write` writes it. */
  set(lane: LaneId, status: LaneStatus, nowMs: number): void {
    const before = this.#known.get(lane)
    const said = statusRow(status, before, nowMs)
    const after = this.#withFault(lane, said, before, nowMs)
    if (before !== undefined && isSame(before, after)) return
    this.#known.set(lane, after)
    this.#unwritten.add(lane)
  }

  /** Takes note of what came on top. */
  add(lane: LaneId, { rttUs, packets, lost }: Traffic): void {
    const before = this.#traffic.get(lane) ?? { packets: 0, lost: 0 }
    const sum = { rttUs, packets: before.packets + packets, lost: before.lost + lost }
    this.#traffic.set(lane, sum)
  }

  /** The peer has confirmed rows of this lane: what was wrong with it is over. */
  onProgress(lane: LaneId, nowMs: number): void {
    const row = this.#known.get(lane)
    if (!this.#doubtful.delete(lane) || row === undefined) return
    this.#known.set(lane, { ...row, code: null, error: null, since: nowMs })
    this.#unwritten.add(lane)
  }

  #withFault(lane: LaneId, said: Written, before: Written | undefined, nowMs: number): Written {
    const isOpening = said.state === 'open' || said.state === 'connecting'
    if (!isOpening || before?.code === undefined || before.code === null) {
      this.#doubtful.delete(lane)
      return said
    }
    if (!this.#doubtful.has(lane)) this.#doubtful.set(lane, nowMs)
    const { code, error, since } = before
    return { ...said, code, error, since }
  }

  /** It is worth a transaction of its own. */
  isDue(nowMs: number): boolean {
    for (const [lane, sinceMs] of this.#doubtful) {
      if (Math.abs(nowMs - sinceMs) >= keepMs) this.onProgress(lane, nowMs)
    }
    // Either way: the clock may have been set back.
    return this.#unwrittenCount > 0 && Math.abs(nowMs - this.#writtenAtMs) >= pauseMs
  }

  /**
   * Writes what has changed, inside the open transaction. `onCommitted` must follow.
   * @returns why it could not: a trigger of the owner's on `mqlane`.
   */
  write(): string | undefined {
    // After a turn that has failed it says what was not to be.
    this.#isWritten = this.#unwrittenCount > 0 && !this.#connection.isOnTrial
    if (!this.#isWritten) return undefined
    return this.#connection.writeOptional('mqlane', () => this.#writeAll())
  }

  #writeAll(): void {
    for (const lane of this.#unwritten) {
      const row = this.#known.get(lane)
      if (row === undefined) continue
      const { state, code, error, since, retryAt, rttUs } = row
      this.#update.run(state, code, error, since, retryAt, rttUs, lane)
    }
    for (const [lane, { rttUs, packets, lost }] of this.#traffic) {
      this.#count.run(rttUs, packets, lost, lane)
    }
    this.#connection.spend(this.#unwrittenCount, 0)
  }

  onCommitted(nowMs: number): void {
    if (!this.#isWritten) return
    this.#isWritten = false
    this.#unwritten.clear()
    this.#traffic.clear()
    this.#writtenAtMs = nowMs
  }

  get #unwrittenCount(): number {
    return this.#unwritten.size + this.#traffic.size
  }
}

function statusRow(status: LaneStatus, before: Written | undefined, nowMs: number): Written {
  const waiting = status.type === 'waiting' ? status : undefined
  const code = waiting?.code ?? null
  const retryInUs = waiting?.retryInUs
  const isGoingOn = before?.state === status.type && before.code === code
  return {
    state: status.type,
    code,
    error: waiting?.reason ?? null,
    since: isGoingOn ? before.since : nowMs,
    retryAt: retryInUs === undefined ? null : nowMs + Math.round(retryInUs / 1_000),
    rttUs: status.type === 'open' ? status.rttUs : (before?.rttUs ?? null),
  }
}

function isSame(before: Written, after: Written): boolean {
  return (
    before.state === after.state &&
    before.code === after.code &&
    before.error === after.error &&
    isNear(before.retryAt, after.retryAt, retryGrainMs) &&
    isNear(before.rttUs, after.rttUs, (before.rttUs ?? 0) * rttGrain)
  )
}

function isNear(before: number | null, after: number | null, grain: number): boolean {
  if (before === null || after === null) return before === after
  return Math.abs(before - after) <= grain
}
