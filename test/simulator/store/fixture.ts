/**
 * Three machines for small scenarios that are played again and again, each time with one fault at
 * another statement; after each time everything must have come out the same. Must never be used
 * outside tests.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { watchFreedRows } from './freed-rows.ts'
import { LaneLink } from './lane-link.ts'
import type { Machine } from './machine.ts'
import type { StatementFault } from './statement-faults.ts'
import { lanesOf, type World } from './world.ts'

export type Play = {
  readonly name: string
  /** A fault at each fifth statement only, say: it takes long. */
  readonly stride?: number
  /** Once, when nothing fails yet. */
  readonly prepare?: (stage: Stage) => void
  /** Every time, with the fault. */
  readonly act: (stage: Stage) => void
  /** Events that may come of it. */
  readonly events?: readonly string[]
  /** What has to be there besides that every row came once, in order, at the right machine. */
  readonly checkIdentity?: (stage: Stage) => void
}

/** Where a fault is: at statement `index` of all that the machine runs in one play. */
type FaultPlace = {
  readonly machine: 'a' | 'b'
  readonly index: number
  readonly rollsBack: boolean
}

const roundsMax = 16
const peaceMax = 12

export class Stage {
  readonly a: Machine
  readonly b: Machine
  readonly c: Machine
  /** Nobody is at x before. */
  isPeace = false
  readonly #links = new Map<string, LaneLink>()
  readonly #expected = new Map<Machine, string[]>()
  readonly #replaced = new Set<number>()
  #numbers = 0

  constructor(world: World) {
    this.a = world.machine()
    this.b = world.machine()
    this.c = world.machine()
    for (const machine of this.machines) {
      const peerAt = (host: string): Machine | undefined => this.#machineAt(host)
      const isExcused = (number: number): boolean => this.#replaced.has(number)
      watchFreedRows({ machine, peerAt, isExcused })
    }
  }

  get machines(): readonly Machine[] {
    return [this.a, this.b, this.c]
  }

  close(): void {
    for (const machine of this.machines) machine.close()
  }

  /** Plays it without a fault. @returns how many statements the machine runs. */
  statementsOf(play: Play, machine: 'a' | 'b'): number {
    this.play(play, { machine, index: -1, rollsBack: false })
    return this[machine].faults.count
  }

  /** @returns whether the fault has come: else the play has fewer statements. */
  play(play: Play, { machine: name, index, rollsBack }: FaultPlace): boolean {
    const machine = this[name]
    for (const one of this.machines) one.user.exec('DELETE FROM mqin; DELETE FROM mqevent')
    this.#expected.clear()
    this.isPeace = false
    const { faults } = machine
    const before = faults.injected
    faults.count = 0
    faults.at = (sql, at) => (at === index ? faultOf(sql, rollsBack) : undefined)
    for (const link of this.#links.values()) link.drop()
    play.act(this)
    for (const one of this.machines) one.faults.at = undefined
    this.#makePeace()
    this.#checkIdentity(play)
    return faults.injected > before
  }

  /** @returns its number. `data` stands behind it. */
  send(from: Machine, host: string, data = '', token = 'token'): number {
    const number = ++this.#numbers
    const text = `${number}:${data}`
    const sql = 'INSERT INTO mqout (host, token, created_at, data) VALUES (?, ?, ?, ?)'
    from.user.prepare(sql).run(host, token, from.nowMs, text)
    this.expect(host, text)
    return number
  }

  /** It has to come, behind all that is expected so far. */
  expect(host: string, data: string): void {
    const machine = host === 'x' ? this.b : this.#machineAt(host)
    ok(machine !== undefined)
    this.#expected.set(machine, [...(this.#expected.get(machine) ?? []), data])
  }

  /** A number for a row that a trigger will insert. */
  nextNumber(): number {
    return ++this.#numbers
  }

  /** A turn may take this row back: it may come, and need not. */
  replace(number: number): void {
    this.#replaced.add(number)
    this.forget(number)
  }

  /** It is not expected any more, where it was. */
  forget(number: number): void {
    for (const [machine, all] of this.#expected) {
      this.#expected.set(
        machine,
        all.filter((data) => Number.parseInt(data, 10) !== number),
      )
    }
  }

  /** So many steps of all lanes; what they ask of one machine is asked in one turn. */
  transfer(rounds = roundsMax, pieceBytes = 65_536): void {
    for (let round = 0; round < rounds; round++) {
      this.findLinks()
      for (const machine of this.machines) machine.isHolding = true
      for (const link of this.#links.values()) link.step(pieceBytes, 1_000)
      for (const machine of this.machines) {
        machine.isHolding = false
        this.flush(machine)
      }
      for (const link of this.#links.values()) link.hear()
      if (this.#isDone()) return
    }
  }

  /** A turn that fails ends every session that the core knows of, and says so. */
  flush(machine: Machine): void {
    const known = Array.from(this.#links.values()).filter((link) => link.isKnownTo(machine))
    const { injected } = machine.faults
    machine.flush()
    if (machine.faults.injected === injected || machine.faults.wasBusy) return
    for (const link of known) {
      link.hear()
      ok(!link.isOpen, 'the core was not informed of a session that a failed turn has ended')
    }
  }

  findLinks(): void {
    for (const from of this.machines) {
      for (const lane of lanesOf(from)) {
        const to = this.#machineAt(lane.host)
        const name = `${this.machines.indexOf(from)} ${lane.host} ${lane.port} ${lane.key}`
        if (to !== undefined && this.#links.get(name)?.lane.lane !== lane.lane) {
          this.#links.set(name, new LaneLink({ from, to, lane }))
        }
      }
    }
  }

  /** The process dies, and begins again. */
  crash(machine: Machine): void {
    const { at } = machine.faults
    machine.crash()
    machine.faults.at = at
    this.#onGone(machine)
  }

  restore(machine: Machine, backup: string): void {
    const { at } = machine.faults
    machine.restore(backup)
    machine.faults.at = at
    this.#onGone(machine)
    for (const [name, { from }] of this.#links) if (from === machine) this.#links.delete(name)
  }

  passTime(ms: number): void {
    for (const machine of this.machines) machine.nowMs += ms
  }

  #onGone(machine: Machine): void {
    for (const link of this.#links.values()) if (link.isKnownTo(machine)) link.onCrash()
  }

  #machineAt(host: string): Machine | undefined {
    if (host === 'x') return this.isPeace ? this.b : undefined
    if (host === 'a') return this.a
    return host === 'c' ? this.c : this.b
  }

  #isDone(): boolean {
    return this.machines.every((one) => one.all('SELECT 1 FROM mqout LIMIT 1').length === 0)
  }

  #makePeace(): void {
    this.isPeace = true
    for (let rounds = 0; rounds < peaceMax; rounds++) {
      this.transfer()
      if (this.#isDone()) return
      this.passTime(70_000)
    }
    const waiting = this.machines.map((one) => one.all('SELECT id, host, data FROM mqout'))
    ok(false, `rows are stuck: ${JSON.stringify(waiting).slice(0, 500)}`)
  }

  #checkIdentity({ events = [], checkIdentity }: Play): void {
    for (const [name, machine] of Object.entries({ a: this.a, b: this.b, c: this.c })) {
      const come = machine
        .all('SELECT data FROM mqin ORDER BY id')
        .map(({ data }) => String(data))
        .filter((data) => !this.#replaced.has(Number.parseInt(data, 10)))
      deepEqual(come, this.#expected.get(machine) ?? [], `what has come to ${name}`)
      for (let scans = 0; scans < 2; scans++) {
        machine.nowMs += 5_000
        machine.run({ type: 'scan' })
      }
      for (const table of ['mqrequeue', 'mqparked']) {
        equal(machine.all(`SELECT 1 FROM ${table}`).length, 0, `${table} of ${name} is empty`)
      }
      const reported = machine.all('SELECT code FROM mqevent').map(({ code }) => String(code))
      const other = reported.filter((code) => !events.includes(code) && !isOfStore(code))
      deepEqual(other, [], `the events of ${name}`)
    }
    checkIdentity?.(this)
  }
}

function faultOf(sql: string, rollsBack: boolean): StatementFault {
  if (sql === 'BEGIN IMMEDIATE' && rollsBack) return { code: 'SQLITE_BUSY', rollsBack: false }
  return { code: rollsBack ? 'SQLITE_FULL' : 'SQLITE_NOMEM', rollsBack }
}

/** What a store says of the faults that are injected. */
const isOfStore = (code: string): boolean =>
  /^TINYMQ_(?:DISK_FULL|BUSY|SQLITE|TOO_LARGE)$/.test(code)
