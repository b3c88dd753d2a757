/**
 * What applications and people do to the databases: they insert, delete, reroute, roll back, put
 * rows in by hand, and consume. Must never expect more of the daemon than the promises say.
 */
import { ok } from 'node:assert/strict'
import { headersBytesMax } from '../../daemon/store/record.ts'
import type { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import {
  contentOf,
  headersBytesMin,
  headersOf,
  recordExtraBytes,
  sizeLimits,
  usualSizes,
} from './store/contents.ts'
import { epochMs } from './machine-clock.ts'
import { createdAtOf, type Entry, type NewEntry } from './expected-state.ts'
import type { SimMachine } from './sim-machine.ts'
import { nobody, type SimWorld } from './sim-world.ts'
import { goodToken, labels, refusedToken } from './tokens.ts'

const insertSql = `INSERT OR REPLACE INTO mqout (id, host, token, uid, created_at, headers, data)
  VALUES (?, ?, ?, ?, ?, ?, iif(?, CAST(? AS TEXT), ?))`
const againSql = `INSERT OR REPLACE INTO mqout
    (id, host, port, token, created_at, uid, headers, data)
  SELECT id, host, port, token, created_at, uid, headers, data FROM mqout WHERE id = ?`

type Draft = Omit<NewEntry, 'sender'>

/** Parts of the rows: of a size at which something begins or ends, with headers, in one batch. */
const boundaryPart = 0.15
const headersPart = 0.5
const uniformPart = 0.5
/** More is for the seeds with large rows. */
const boundaryBytesMax = 66_001

export class Workload {
  readonly #world: SimWorld
  readonly #random: SeededRandom
  readonly #senders: readonly string[]
  #bytesLeft: number

  constructor(world: SimWorld) {
    this.#world = world
    this.#random = world.random
    this.#bytesLeft = world.plan.work.bytesMax
    const { machines } = world
    // Pure receivers are checked more strictly when their files are restored.
    const pure = this.#random.below(machines.length)
    this.#senders = machines.slice(pure).map(({ name }) => name)
  }

  /** Spreads all of it over the time of trouble. */
  schedule(): void {
    const { work, durationUs } = this.#world.plan
    let rows = 0
    while (rows < work.rows) {
      const count = 1 + this.#random.below(work.batchMax)
      rows += count
      this.#at(() => this.#insert(count))
    }
    const actions: readonly [number, () => void][] = [
      [work.cancel, () => this.#cancel()],
      [work.reroute, () => this.#reroute()],
      [work.idByHand, () => this.#insertById()],
      [work.again, () => this.#insertAgain()],
      [work.rollback, () => this.#rollBack()],
      [work.consume, () => this.#consume()],
      [work.retry, () => this.#retry()],
    ]
    for (const [part, act] of actions) {
      for (let left = part * work.rows; left > this.#random.next(); left--) this.#at(act)
    }
    ok(durationUs > 0)
  }

  /** Rows of one kind, at once: for scenarios. @returns what became part of the books. */
  send(from: string, host: string, count = 1, chosen: Partial<Draft> = {}): Entry[] {
    const sender = this.#world.machine(from)
    const drafts = Array.from({ length: count }, () => ({
      ...this.#draft(host),
      token: goodToken,
      bytes: 100,
      ...chosen,
    }))
    return this.#put(sender, drafts)
  }

  /** A place that applications of this machine write to; undefined when they do not. */
  hostFor(sender: SimMachine): string | undefined {
    return this.#maySend(sender) ? this.#host(sender) : undefined
  }

  /** Rows for one place, all at once. */
  burst(sender: SimMachine, host: string): void {
    if (!sender.hasPower || !this.#isReachable(sender, host)) return
    const count = 1 + this.#random.below(this.#random.one([4, 40]))
    const drafts = Array.from({ length: count }, () => this.#draft(host))
    this.#put(sender, drafts)
  }

  /** One more row for each way that there ever was: whoever has lost something notices. */
  sendFarewells(): void {
    for (const machine of this.#world.machines) {
      const sql = 'SELECT host, key FROM mqlane ORDER BY id'
      for (const { host, key } of machine.disk.read<{ host: string; key: string }>(sql)) {
        if (!this.#isReachable(machine, host)) continue
        // Under the key of the lane: another token would go another way.
        const token = key === '' ? goodToken : key
        this.#put(machine, [{ ...this.#draft(host), token }])
      }
    }
  }

  #at(act: () => void): void {
    const { time, plan } = this.#world
    time.at(time.nowUs + this.#random.below(plan.durationUs), act)
  }

  /** A machine with power, on which applications send. */
  #sender(): SimMachine | undefined {
    const machines = this.#world.machines.filter(
      (machine) => machine.hasPower && this.#maySend(machine),
    )
    return machines.length === 0 ? undefined : this.#random.one(machines)
  }

  /** Applications send on it. */
  #maySend({ name, isCopy }: SimMachine): boolean {
    return isCopy || this.#senders.includes(name)
  }

  #host(sender: SimMachine): string {
    // To itself now and then, to others most of the time.
    for (;;) {
      const host = this.#random.chance(0.04) ? nobody : this.#random.one(this.#world.hosts)
      const isSelf = this.#world.placeOf(host) === sender.name
      if (this.#isReachable(sender, host) && (!isSelf || this.#random.chance(0.2))) return host
    }
  }

  /** A copy that writes to its original is held back by rule 0: its operator has to act. */
  #isReachable(sender: SimMachine, host: string): boolean {
    return !sender.isCopy || this.#world.placeOf(host) !== sender.name.replace('copy-of-', '')
  }

  #draft(host: string): Draft {
    const token = this.#token()
    const headers = this.#headers()
    const bytes = this.#bytes(token, headers)
    this.#bytesLeft -= bytes
    return { host, token, isText: this.#random.chance(0.7), headers, bytes }
  }

  #token(): string {
    if (this.#random.chance(0.08)) return refusedToken
    const isPlain = this.#world.plan.hasKeys || this.#random.chance(0.7)
    return isPlain ? goodToken : this.#random.one(labels)
  }

  #headers(): string | null {
    if (!this.#random.chance(headersPart)) return null
    const most = Math.min(headersBytesMax, Math.max(400, this.#bytesLeft))
    const luck = this.#random.next()
    if (luck < 0.1) return '{}'
    // Few of them are long: an inbox of long headers is a slow one.
    const bytes = luck < 0.13 ? most - this.#random.below(2) : Math.floor(most * luck ** 12)
    this.#bytesLeft -= bytes
    return headersOf(this.#random.below(1e9), Math.max(headersBytesMin, bytes))
  }

  #bytes(token: string, headers: string | null): number {
    const { rowBytesMax } = this.#world.plan.work
    const most = Math.max(0, Math.min(rowBytesMax, this.#bytesLeft))
    if (!this.#random.chance(boundaryPart)) return Math.floor(most * this.#random.next() ** 3)
    const roomBytes = Math.max(1, Math.min(this.#bytesLeft, Math.max(boundaryBytesMax, most)))
    const known = this.#random.chance(0.5) ? usualSizes : sizeLimits
    const limits = known.filter((limit) => limit < roomBytes)
    // Small ones more often: large rows take the time of many others.
    const limit = limits[Math.floor(limits.length * this.#random.next() ** 1.5)] ?? 1
    const bytes = limit - 1 + this.#random.below(3)
    if (this.#random.chance(0.7)) return bytes
    // The whole record is so long, about: the id and the time of the row are not known yet.
    const message = { row: 100, timeMs: epochMs, token, headers: headers ?? undefined }
    return Math.max(0, bytes - recordExtraBytes(message, bytes))
  }

  #insert(count: number): void {
    const sender = this.#sender()
    if (sender === undefined) return
    const drafts = Array.from({ length: count }, () => this.#draft(this.#host(sender)))
    // The store inserts rows in another way that are alike but for their data.
    const isUniform = this.#random.chance(uniformPart)
    const { token = goodToken, isText = true } = drafts[0] ?? {}
    const alike = { token, isText, headers: null }
    this.#put(sender, isUniform ? drafts.map((draft) => ({ ...draft, ...alike })) : drafts)
  }

  /** In one transaction. @returns what was put in, or nothing: locked or full. */
  #put(sender: SimMachine, drafts: readonly Draft[], id?: number): Entry[] {
    const { ledger } = this.#world
    const { user } = sender.disk
    const inserted: { id: number; uid: Buffer; createdAtMs: number }[] = []
    const isDone = this.#write(sender, () => {
      const insert = user.prepare(insertSql)
      for (const [index, { host, token, isText, bytes, headers }] of drafts.entries()) {
        const number = ledger.nextNumber + index
        const data = contentOf(number, bytes, isText)
        const uid = ledger.newUid()
        const createdAtMs = this.#createdAt(number)
        const values = [host, token, uid, createdAtMs, headers, isText ? 1 : 0, data, data]
        const { lastInsertRowid } = insert.run(id ?? null, ...values)
        inserted.push({ id: Number(lastInsertRowid), uid, createdAtMs })
      }
    })
    if (!isDone) return []
    sender.hasSent = true
    return drafts.map((draft, index) => {
      const row = inserted[index]
      ok(row !== undefined)
      const { id: newId, uid, createdAtMs } = row
      const entry = ledger.add(newId, uid, createdAtMs, { ...draft, sender: sender.name })
      entry.isDisplaced = entry.token === refusedToken || id !== undefined
      sender.outbox.onInserted(entry)
      return entry
    })
  }

  #createdAt(number: number): number {
    return createdAtOf(number, epochMs + Math.floor(this.#world.time.nowUs / 1_000))
  }

  /** @returns false when the database was locked or full, as applications must expect. */
  #write(machine: SimMachine, change: () => void): boolean {
    const { user } = machine.disk
    try {
      user.exec('BEGIN IMMEDIATE')
      change()
      user.exec('COMMIT')
    } catch (error) {
      if (user.inTransaction) user.exec('ROLLBACK')
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      if (!/^SQLITE_(?:BUSY|FULL)/.test(code)) throw error
      this.#world.trace.count(`application finds ${code}`)
      return false
    }
    machine.onClientWrote()
    return true
  }

  #pickRow(): { sender: SimMachine; entry: Entry } | undefined {
    const sender = this.#sender()
    if (sender === undefined) return undefined
    // What is parked is rare, and is what people look at.
    const parked = this.#random.chance(0.3) ? this.#parked(sender) : []
    const numbers = parked.length > 0 ? parked : Array.from(sender.outbox.waiting.keys())
    if (numbers.length === 0) return undefined
    const entry = this.#world.ledger.get(this.#random.one(numbers))
    // What a restore brought back, or a copy has, has an owner elsewhere in these books.
    return entry.sender === sender.name ? { sender, entry } : undefined
  }

  #parked({ disk, outbox }: SimMachine): number[] {
    const sql = 'SELECT o.uid FROM mqparked JOIN mqout AS o USING (id)'
    const rows = disk.read<{ uid: Buffer }>(sql)
    const numbers = rows.map(({ uid }) => this.#world.ledger.numberOf(uid))
    return numbers.filter((number) => outbox.waiting.has(number))
  }

  #cancel(): void {
    const picked = this.#pickRow()
    if (picked === undefined) return
    const { sender, entry } = picked
    const isInFlight = sender.outbox.isInFlight(entry)
    const isDone = this.#write(sender, () => {
      sender.disk.user.prepare('DELETE FROM mqout WHERE uid = ?').run(entry.uid)
    })
    if (!isDone) return
    sender.outbox.onDeleted(entry.number)
    if (!isInFlight && entry.seenAt.size === 0) entry.stopped = 'its owner had deleted'
    sender.note('cancel', String(entry.number))
  }

  #reroute(): void {
    const picked = this.#pickRow()
    if (picked === undefined) return
    const { sender, entry } = picked
    const isInFlight = sender.outbox.isInFlight(entry)
    const host = this.#host(sender)
    try {
      const isDone = this.#write(sender, () => {
        sender.disk.user.prepare('UPDATE mqout SET host = ? WHERE uid = ?').run(host, entry.uid)
      })
      if (!isDone) return
      ok(!isInFlight, `Row ${entry.id} is in flight and was rerouted all the same.`)
      entry.host = host
      entry.isDisplaced = true
      sender.note('reroute', `${entry.number} ${host}`)
    } catch (error) {
      ok(error instanceof Error && error.message.includes('TINYMQ_IN_FLIGHT'), String(error))
      ok(isInFlight, `Row ${entry.id} is not in flight, and may be rerouted.`)
    }
  }

  /** An id that was used before, perhaps one that is in flight. */
  #insertById(): void {
    const sender = this.#sender()
    if (sender === undefined) return
    const sql = "SELECT seq FROM sqlite_sequence WHERE name = 'mqout'"
    const last = sender.disk.read<{ seq: number }>(sql)[0]?.seq ?? 1
    const waiting = Array.from(sender.outbox.waiting.keys(), (one) => this.#world.ledger.get(one))
    const own = waiting.filter(({ sender: name }) => name === sender.name)
    // A row that is there is replaced half of the time, and then in its own lane.
    const replaced = own.length > 0 && this.#random.chance(0.5) ? this.#random.one(own) : undefined
    const id = replaced?.id ?? 1 + this.#random.below(last)
    const host = replaced?.host ?? this.#host(sender)
    const [row] = sender.disk.read<{ uid: Buffer }>('SELECT uid FROM mqout WHERE id = ?', id)
    const [entry] = this.#put(sender, [this.#draft(host)], id)
    if (entry === undefined) return
    if (row !== undefined) sender.outbox.onDeleted(this.#world.ledger.numberOf(row.uid))
    sender.note('id-by-hand', `${id} is message ${entry.number}`)
  }

  #insertAgain(): void {
    const picked = this.#pickRow()
    if (picked !== undefined) this.insertAgain(picked.sender, picked.entry)
  }

  /** The very same row, uid and all. */
  insertAgain(sender: SimMachine, entry: Entry): void {
    const isDone = this.#write(sender, () => {
      sender.disk.user.prepare(againSql).run(entry.id)
    })
    if (isDone) entry.isDisplaced = true
  }

  #rollBack(): void {
    const sender = this.#sender()
    if (sender === undefined) return
    const { user } = sender.disk
    const { host, headers } = this.#draft(this.#host(sender))
    const { ledger } = this.#world
    const createdAtMs = this.#createdAt(ledger.nextNumber)
    try {
      user.exec('BEGIN IMMEDIATE')
      const values = [host, goodToken, ledger.newUid(), createdAtMs, headers]
      user.prepare(insertSql).run(null, ...values, 1, contentOf(1, 20, true), null)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      if (!/^SQLITE_(?:BUSY|FULL)/.test(code)) throw error
    }
    if (user.inTransaction) user.exec('ROLLBACK')
  }

  #retry(): void {
    const sender = this.#sender()
    if (sender === undefined) return
    this.#write(sender, () => void sender.disk.user.exec('DELETE FROM mqparked'))
  }

  #consume(): void {
    const machine = this.#random.one(this.#world.machines)
    if (!machine.hasPower) return
    const count = 1 + this.#random.below(20)
    this.#write(machine, () => {
      const sql = 'DELETE FROM mqin WHERE id IN (SELECT id FROM mqin ORDER BY id LIMIT ?)'
      machine.disk.user.prepare(sql).run(count)
    })
  }
}
