/**
 * What can happen to stores and their files, one thing at a time, by chance; then peace; then a
 * verdict. Must never be used outside tests.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import type { LaneAddress, LaneId } from '../../../daemon/protocol/store-messages.ts'
import { readId } from '../../../daemon/store/outbox/batches.ts'
import { LaneLink } from './lane-link.ts'
import type { Machine } from './machine.ts'
import type { StatementFault } from './statement-faults.ts'
import { tellsOf } from './reported-losses.ts'
import { lanesOf, type Chance, type World } from './world.ts'

export type Faults = {
  /** Files are replaced by older copies, removed, and copied to further machines. */
  readonly restores: boolean
  /** Some messages are large. */
  readonly large: boolean
  readonly steps: number
  /** Part of the statements that fail, of each store; none if left out. */
  readonly statements?: number
  /** Part of the rows whose time is no time, or whose host is not UTF-8; none if left out. */
  readonly odd?: number
}

type Sent = {
  readonly data: Buffer
  readonly isText: boolean
  readonly token: string
  readonly headers: string | null
  readonly id: number
  /** It may be missing: its owner deleted it, or a restore took it back. */
  isExcused: boolean
  /**
   * It may come behind rows with higher ids: rerouted, rejected for a while, or with an id by hand.
   */
  isDisplaced: boolean
}

type Arrived = {
  readonly data: Buffer
  readonly type: string
  readonly token: string
  readonly headers: string | null
  readonly sender: number
  readonly sender_row: number
}

const refusal = `CREATE TRIGGER picky BEFORE INSERT ON mqin WHEN NEW.token = 'bad'
  BEGIN SELECT RAISE(ABORT, 'not this one'); END`

/** What programs write as the time of a row: none, seconds, microseconds, a text, a fraction. */
const oddTimes = [null, 0, -5, 1_800_000_000, 1_800_000_000_000_000, 'yesterday', 0.5] as const
/** A host that is not UTF-8, as SQL cannot see. */
const oddHost = Buffer.from([0x61, 0xbf, 0x62])
const isOddHost = "hex(CAST(host AS BLOB)) = '61BF62'"

export class Scenario {
  readonly #world: World
  readonly #chance: Chance
  readonly #faults: Faults
  readonly #senders: Machine[]
  readonly #receivers: readonly [Machine, Machine]
  readonly #links = new Map<Machine, Map<LaneId, LaneLink>>()
  readonly #lanes = new Map<Machine, Map<LaneId, LaneAddress>>()
  readonly #sent = new Map<number, Sent>()
  readonly #backups = new Map<Machine, string>()
  /** Messages that a receiver had and lost with a restore. */
  readonly #lost = new Set<number>()
  #isPeace = false
  #hasCopies = false

  constructor(world: World, faults: Faults) {
    this.#world = world
    this.#chance = world.chance
    this.#faults = faults
    this.#senders = [world.machine()]
    this.#receivers = [world.machine(), world.machine()]
  }

  run(): void {
    for (let step = 0; step < this.#faults.steps; step++) {
      for (const { faults } of this.#machines()) faults.at = (sql) => this.#statementFault(sql)
      this.#step()
    }
    for (const { faults } of this.#machines()) faults.at = undefined
    this.#makePeace()
    this.#checkIdentity()
  }

  close(): void {
    for (const machine of this.#machines()) machine.close()
  }

  #statementFault(sql: string): StatementFault | undefined {
    const { statements = 0 } = this.#faults
    if (statements === 0 || !this.#chance.is(sql === 'COMMIT' ? 6 * statements : statements)) {
      return undefined
    }
    if (sql === 'BEGIN IMMEDIATE') return { code: 'SQLITE_BUSY', rollsBack: false }
    const code = this.#pick(['SQLITE_FULL', 'SQLITE_NOMEM', 'SQLITE_INTERRUPT'])
    return { code, rollsBack: this.#chance.is(0.5) }
  }

  #machines(): Machine[] {
    return [...this.#senders, ...this.#receivers]
  }

  // ---- what happens

  #step(): void {
    const sender = this.#pick(this.#senders)
    const receiver = this.#pick(this.#receivers)
    if (this.#faults.restores && this.#chance.is(0.05)) return this.#replaceFile(sender, receiver)
    if ((this.#faults.odd ?? 0) > 0 && this.#chance.is(0.04)) return this.#forgetLog(receiver)
    const what = this.#chance.next()
    if (what < 0.18) this.#insert(sender)
    else if (what < 0.21) this.#delete(sender)
    else if (what < 0.25) this.#reroute(sender)
    else if (what < 0.27) this.#insertById(sender)
    else if (what < 0.28) this.#insertAgain(sender)
    else if (what < 0.31) this.#passTime(this.#chance.below(3_000))
    else if (what < 0.33) this.#crash(sender)
    else if (what < 0.35) this.#crash(receiver)
    else if (what < 0.4) this.#pickLink(sender)?.drop()
    else if (what < 0.42) this.#toggleRefusal(receiver)
    else if (what < 0.44) this.#passTime(61_000)
    else this.#transfer(sender)
  }

  #insert(sender: Machine): void {
    for (let count = 1 + this.#chance.below(4); count > 0; count--) this.#send(sender, undefined)
  }

  #send(sender: Machine, id: number | undefined): void {
    const number = this.#sent.size + 1
    const isText = this.#chance.is(0.7)
    const payload = this.#payload()
    const text = isText ? Buffer.from(payload.toString('latin1')) : payload
    const data = Buffer.concat([Buffer.from(`${number}:`), text])
    const token = this.#chance.is(0.1) ? 'bad' : 'good'
    const headers = this.#chance.is(0.2) ? `{"n":${number}}` : null
    const { odd = 0 } = this.#faults
    const isOdd = odd > 0 && this.#chance.is(odd)
    const { lastInsertRowid } = sender.user
      .prepare(
        `INSERT OR REPLACE INTO mqout (id, host, token, uid, headers, created_at, data)
         VALUES (?, CAST(? AS TEXT), ?, ?, ?, ?, iif(?, CAST(? AS TEXT), ?))`,
      )
      .run(
        id ?? null,
        isOdd && this.#chance.is(0.3) ? oddHost : this.#host(),
        token,
        this.#chance.bytes(16),
        headers,
        isOdd ? this.#pick(oddTimes) : sender.nowMs,
        isText ? 1 : 0,
        data,
        data,
      )
    const isDisplaced = id !== undefined || token === 'bad'
    const row = Number(lastInsertRowid)
    const sent = { data, isText, token, headers, id: row, isExcused: false, isDisplaced }
    this.#sent.set(number, sent)
  }

  #payload(): Buffer {
    if (this.#faults.large && this.#chance.is(0.15)) {
      const size = this.#pick([262_144, 300_000, 1_048_577, 2_500_000])
      return Buffer.alloc(size - this.#chance.below(20), this.#chance.bytes(97))
    }
    return this.#chance.bytes(this.#chance.below(40))
  }

  #host(): string {
    return this.#pick(['b', 'b', 'b', 'b2', 'c', 'x'])
  }

  #delete(sender: Machine): void {
    const row = this.#pickRow(sender)
    if (row === undefined) return
    this.#excuse(row.number)
    sender.user.prepare('DELETE FROM mqout WHERE id = ?').run(row.id)
  }

  #reroute(sender: Machine): void {
    const row = this.#pickRow(sender)
    if (row === undefined) return
    const sent = this.#sent.get(row.number)
    try {
      sender.user.prepare('UPDATE mqout SET host = ? WHERE id = ?').run(this.#host(), row.id)
      if (sent !== undefined) sent.isDisplaced = true
    } catch (error) {
      ok(error instanceof Error && error.message.includes('TINYMQ_IN_FLIGHT'), String(error))
    }
  }

  /** An id that was used before, perhaps one that is in flight. */
  #insertById(sender: Machine): void {
    const [row] = sender.all("SELECT seq FROM sqlite_sequence WHERE name = 'mqout'")
    const id = 1 + this.#chance.below(Number(row?.['seq'] ?? 1))
    for (const { number } of rowsOf(sender, id)) this.#excuse(number)
    this.#send(sender, id)
  }

  /** The very same row, uid and all. */
  #insertAgain(sender: Machine): void {
    const row = this.#pickRow(sender)
    if (row === undefined) return
    const sent = this.#sent.get(row.number)
    if (sent !== undefined) sent.isDisplaced = true
    sender.user
      .prepare(
        `INSERT OR REPLACE INTO mqout (id, host, port, token, created_at, uid, headers, data)
         SELECT id, host, port, token, created_at, uid, headers, data FROM mqout WHERE id = ?`,
      )
      .run(row.id)
  }

  #passTime(ms: number): void {
    for (const machine of this.#machines()) machine.nowMs += ms
  }

  #crash(machine: Machine): void {
    const links = this.#linksAt(machine)
    const tasks = links.flatMap((link) => link.nextTaskOf(machine) ?? [])
    machine.crash(...tasks.slice(0, this.#chance.below(3)))
    for (const link of links) link.onCrash()
  }

  /** All that is in the log of identities has become too old and too much. */
  #forgetLog(receiver: Machine): void {
    // Its sessions have ended by then, as they do when the log is pruned.
    this.#crash(receiver)
    receiver.user.exec(`UPDATE mqsender SET history_expired_at = max(history_expired_at,
        coalesce((SELECT max(newest) FROM mquidlog WHERE sender = mqsender.id), 0));
      DELETE FROM mquidlog; DELETE FROM mquidindex`)
    this.#crash(receiver)
  }

  #toggleRefusal(receiver: Machine): void {
    const isPicky = receiver.all("SELECT 1 FROM sqlite_master WHERE name = 'picky'").length > 0
    receiver.user.exec(isPicky ? 'DROP TRIGGER picky' : refusal)
  }

  #transfer(sender: Machine): void {
    this.#findLinks(sender)
    for (let steps = 1 + this.#chance.below(12); steps > 0; steps--) {
      const pieceBytes = this.#pick([7, 100, 1_000, 65_536, 1_048_576])
      this.#pickLink(sender)?.step(pieceBytes, this.#pick([1_000, 100_000]))
    }
  }

  #replaceFile(sender: Machine, receiver: Machine): void {
    const what = this.#chance.next()
    if (what < 0.3) this.#backup(sender)
    else if (what < 0.6) this.#backup(receiver)
    else if (what < 0.75) this.#restoreSender(sender)
    else if (what < 0.88) this.#restore(receiver, this.#backups.get(receiver))
    else if (what < 0.92) this.#restore(receiver, this.#emptyFile())
    else if (this.#senders.length < 3) this.#copy(sender)
  }

  #backup(machine: Machine): void {
    const path = `${machine.path}-backup`
    machine.backup(path)
    this.#backups.set(machine, path)
  }

  #restoreSender(sender: Machine): void {
    const backup = this.#backups.get(sender)
    if (backup === undefined) return
    const before = rowsOf(sender)
    this.#hasCopies = true
    this.#restore(sender, backup)
    const kept = new Set(rowsOf(sender).map(({ number }) => number))
    // What was inserted after the backup is gone, delivered or not.
    for (const { number } of before) if (!kept.has(number)) this.#excuse(number)
  }

  #restore(machine: Machine, backup: string | undefined): void {
    if (backup === undefined) return
    const before = arrivalsOf(machine).map(numberOf)
    for (const link of this.#linksAt(machine)) link.onCrash()
    this.#links.delete(machine)
    this.#lanes.delete(machine)
    machine.restore(backup)
    const kept = new Set(arrivalsOf(machine).map(numberOf))
    for (const number of before) if (!kept.has(number)) this.#lost.add(number)
  }

  #emptyFile(): string {
    const machine = this.#world.machine()
    machine.close()
    return machine.path
  }

  #copy(sender: Machine): void {
    const path = `${sender.path}-copy`
    sender.backup(path)
    const copy = this.#world.copy(path)
    copy.nowMs = sender.nowMs
    this.#senders.push(copy)
    this.#hasCopies = true
  }

  // ---- who talks to whom

  #findLinks(sender: Machine): void {
    const links = this.#links.get(sender) ?? new Map<LaneId, LaneLink>()
    this.#links.set(sender, links)
    const lanes = this.#lanes.get(sender) ?? new Map<LaneId, LaneAddress>()
    this.#lanes.set(sender, lanes)
    for (const lane of lanesOf(sender)) lanes.set(lane.lane, lane)
    for (const lane of lanes.values()) {
      const to = this.#machineAt(lane.host)
      const known = links.get(lane.lane)
      if (to !== undefined && known?.lane.host !== lane.host) {
        links.set(lane.lane, new LaneLink({ from: sender, to, lane }))
      }
    }
  }

  /** Nobody is at x until there is peace. */
  #machineAt(host: string): Machine | undefined {
    const [first, second] = this.#receivers
    if (host === 'x' && !this.#isPeace) return undefined
    return host === 'c' ? second : first
  }

  #linksAt(machine: Machine): LaneLink[] {
    const all = Array.from(this.#links.values()).flatMap((links) => Array.from(links.values()))
    return all.filter((link) => link.from === machine || link.to === machine)
  }

  #pickLink(sender: Machine): LaneLink | undefined {
    return this.#chance.pick(Array.from(this.#links.get(sender)?.values() ?? []))
  }

  #pickRow(sender: Machine): { id: number; number: number } | undefined {
    return this.#chance.pick(rowsOf(sender))
  }

  #pick<T>(from: readonly T[]): T {
    const picked = this.#chance.pick(from)
    ok(picked !== undefined)
    return picked
  }

  #excuse(number: number): void {
    const sent = this.#sent.get(number)
    if (sent !== undefined) sent.isExcused = true
  }

  // ---- peace and verdict

  #makePeace(): void {
    this.#isPeace = true
    for (const receiver of this.#receivers) receiver.user.exec('DROP TRIGGER IF EXISTS picky')
    for (let rounds = 0; rounds < 12; rounds++) {
      if (rounds === 5) this.#giveUpOdd()
      this.#passTime(70_000)
      for (const sender of this.#senders) {
        this.#findLinks(sender)
        for (const link of this.#links.get(sender)?.values() ?? []) link.settle()
      }
      if (this.#senders.every((sender) => rowsOf(sender).length === 0)) return
    }
    ok(
      false,
      `rows are stuck: ${JSON.stringify(this.#senders.flatMap((sender) => rowsOf(sender)))}`,
    )
  }

  /** The owner deletes what is rejected, and what nobody knows whether it has arrived. */
  #giveUpOdd(): void {
    const forgotten = this.#receivers.flatMap((receiver) =>
      receiver
        .all('SELECT max(history_expired_at) AS at FROM mqsender')
        .map(({ at }) => Number(at)),
    )
    const isOdd = `${isOddHost} OR typeof(created_at) <> 'integer'
      OR created_at NOT BETWEEN ${Math.max(...forgotten) + 1} AND 100000000000000`
    for (const sender of this.#senders) {
      const silent = sender.all(`SELECT id FROM mqout WHERE ${isOddHost}
        AND id NOT IN (SELECT id FROM mqparked WHERE code = 'TINYMQ_INVALID_TEXT')`)
      deepEqual(silent, [], 'what can never leave is parked with the reason')
      for (const { id } of sender.all(`SELECT id FROM mqout WHERE ${isOdd}`)) {
        for (const { number } of rowsOf(sender, Number(id))) this.#excuse(number)
      }
      sender.user.exec(`DELETE FROM mqout WHERE ${isOdd}`)
      for (const link of this.#links.get(sender)?.values() ?? []) link.held = undefined
    }
  }

  #checkIdentity(): void {
    const arrived = this.#receivers.map(arrivalsOf)
    for (const arrivals of arrived) {
      const numbers = arrivals.map(numberOf)
      equal(new Set(numbers).size, numbers.length, 'a message came twice')
      for (const arrival of arrivals) this.#compare(arrival)
      this.#judgeOrder(arrivals)
    }
    const numbers = arrived.flat().map(numberOf)
    if (!this.#hasCopies) equal(new Set(numbers).size, numbers.length, 'a message came to both')
    this.#judgeLosses(new Set(numbers))
    if (!this.#hasCopies) this.#judgeRuns()
    for (const sender of this.#senders) judgeBooks(sender)
  }

  #compare(arrival: Arrived): void {
    const sent = this.#sent.get(numberOf(arrival))
    ok(sent !== undefined, 'a message that nobody sent')
    ok(sent.data.equals(arrival.data), 'the data have changed')
    deepEqual(
      [arrival.type, arrival.token, arrival.headers, arrival.sender_row],
      [sent.isText ? 'text' : 'blob', sent.token, sent.headers, sent.id],
    )
  }

  #judgeOrder(arrivals: readonly Arrived[]): void {
    const last = new Map<number, number>()
    for (const arrival of arrivals) {
      if (this.#sent.get(numberOf(arrival))?.isDisplaced === true) continue
      const before = last.get(arrival.sender) ?? 0
      ok(arrival.sender_row > before, `row ${arrival.sender_row} came after row ${before}`)
      last.set(arrival.sender, arrival.sender_row)
    }
  }

  /** What has left the outbox as delivered is in a run, and what its owner deleted need not be. */
  #judgeRuns(): void {
    const delivered = new Set(this.#senders.flatMap(deliveredIdsOf))
    for (const [number, { id, isExcused }] of this.#sent) {
      ok(isExcused || delivered.has(id), `no run reports message ${number} (row ${id})`)
    }
  }

  #judgeLosses(arrived: ReadonlySet<number>): void {
    const reported = this.#senders.flatMap((sender) =>
      sender.all('SELECT code, detail FROM mqevent'),
    )
    for (const [number, sent] of this.#sent) {
      if (arrived.has(number) || sent.isExcused) continue
      ok(this.#lost.has(number), `message ${number} (row ${sent.id}) was lost without a word`)
      // With copies about, PROTOCOL §7.6 names what cannot be noticed.
      if (this.#hasCopies) continue
      const isReported = reported.some(({ code, detail }) =>
        tellsOf(String(code), String(detail), sent.id),
      )
      ok(isReported, `nobody was informed that row ${sent.id} is lost`)
    }
  }
}

/** When all is delivered, nothing may be left over in any table. */
function judgeBooks(sender: Machine): void {
  for (let scans = 0; scans < 3; scans++) {
    sender.nowMs += 5_000
    sender.run({ type: 'scan' })
  }
  const count = (from: string): unknown => sender.all(`SELECT count(*) AS n FROM ${from}`)[0]?.['n']
  // Rows that were deleted in flight, in a lane that has no other rows, are struck out.
  const open = sender.all(`SELECT first, count, ids, confirmed FROM mqbatch AS r
    JOIN mqlane AS l ON l.id = r.lane WHERE done_at IS NULL`)
  for (const { first, count: rows, ids, confirmed } of open) {
    const waits = Number(first) + Number(rows) - 1 - Number(confirmed)
    ok(
      ids instanceof Buffer && ids.subarray(-8 * waits).every((byte) => byte === 0),
      'a run is open',
    )
  }
  equal(count('mqrequeue'), 0, 'a late row is left')
}

function deliveredIdsOf(sender: Machine): number[] {
  const batches = sender.all('SELECT id_first, count, ids FROM mqbatch WHERE done_at IS NOT NULL')
  return batches.flatMap(({ id_first: first, count, ids }) =>
    Array.from({ length: Number(count) }, (_, index) =>
      ids instanceof Buffer ? readId(ids, index) : Number(first) + index,
    ),
  )
}

function rowsOf(sender: Machine, id?: number): { id: number; number: number }[] {
  const where = id === undefined ? '' : `WHERE id = ${id}`
  const rows = sender.all(`SELECT id, substr(CAST(data AS BLOB), 1, 12) AS d FROM mqout ${where}`)
  return rows.map((row) => ({
    id: Number(row['id']),
    number: Number.parseInt(String(row['d']), 10),
  }))
}

function arrivalsOf(receiver: Machine): Arrived[] {
  const sql = `SELECT CAST(data AS BLOB) AS data, typeof(data) AS type, token, headers, sender,
    sender_row FROM mqin ORDER BY id`
  return receiver.all(sql) as Arrived[]
}

function numberOf({ data }: Pick<Arrived, 'data'>): number {
  return Number.parseInt(data.subarray(0, 12).toString('latin1'), 10)
}
