/**
 * What goes wrong, and when: each kind by itself, at times that the seed draws, and all of it is
 * fixed when there is peace. Must never do what no operator, disk, network or clock could do.
 */
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import type { FaultAt } from './store/statement-faults.ts'
import type { FaultPlan } from './plan.ts'
import type { Backup, SimMachine } from './sim-machine.ts'
import type { SimWorld } from './sim-world.ts'
import { UnauthenticatedPeers } from './unauthenticated-peers.ts'
import { refusedToken } from './tokens.ts'
import { turnFaults } from './turn-faults.ts'
import type { Workload } from './workload.ts'

const second = 1_000_000
const hourMs = 3_600_000

const refusal = `CREATE TRIGGER IF NOT EXISTS picky BEFORE INSERT ON mqin
  WHEN NEW.token = '${refusedToken}' BEGIN SELECT RAISE(ABORT, 'not this one'); END`

type Fault = (machine: SimMachine) => void

export class Faults {
  readonly #world: SimWorld
  readonly #work: Workload
  readonly #random: SeededRandom
  /** By itself, so that all else of a seed keeps its course until the first of them. */
  readonly #statementRandom: SeededRandom
  readonly #unauthenticated: UnauthenticatedPeers
  /** What undoes what still lasts. */
  readonly #lasting = new Set<() => void>()
  readonly #kinds: Readonly<Record<keyof FaultPlan, Fault>> = {
    kill: (machine) => machine.die('kill'),
    powerCut: (machine) => this.#powerCut(machine),
    stop: (machine) => machine.stop(),
    freeze: (machine) => this.#freeze(machine),
    sleep: (machine) => this.#sleep(machine),
    backup: (machine) => this.#backup(machine),
    restore: (machine) => this.#restore(machine),
    clone: (machine) => this.#clone(machine),
    remove: (machine) => this.#remove(machine),
    diskFull: (machine) => this.#diskFull(machine),
    slowDisk: (machine) => this.#slowDisk(machine),
    lockHeld: (machine) => this.#holdLock(machine),
    longRead: (machine) => this.#readLong(machine),
    clockJump: (machine) => machine.clock.setWallOffset(this.#jumpMs()),
    drift: (machine) => machine.clock.setRate(1 + (this.#random.next() - 0.5) / 25),
    oneWay: (machine) => this.#block(machine, false),
    partition: (machine) => this.#block(machine, true),
    narrow: (machine) => this.#narrow(machine),
    move: (machine) => machine.host.moveTo(this.#world.newIp(machine.name)),
    nameServer: () => this.#stopNameServer(),
    refusal: (machine) => this.#refuse(machine),
    unauthenticated: (machine) => this.#unauthenticated.speak(machine),
  }

  constructor(world: SimWorld, work: Workload) {
    this.#world = world
    this.#work = work
    this.#random = world.random
    this.#statementRandom = new SeededRandom(Math.imul(world.plan.seed, 0x27d4eb2f) ^ 0x9e3779b1)
    this.#unauthenticated = new UnauthenticatedPeers(world)
  }

  schedule(): void {
    const { faults, relapses, durationUs } = this.#world.plan
    const { time } = this.#world
    for (let left = relapses; left > 0 && left > this.#random.next(); left--) {
      time.at(time.nowUs + this.#random.below(durationUs), () => this.relapse())
    }
    for (const kind of Object.keys(this.#kinds) as (keyof FaultPlan)[]) {
      for (let left = faults[kind]; left > this.#random.next(); left--) {
        time.at(time.nowUs + this.#random.below(durationUs), () => this.inject(kind))
      }
    }
    const random = this.#statementRandom
    for (let left = this.#world.plan.statementFaults.windows; left > random.next(); left--) {
      time.at(time.nowUs + random.below(durationUs), () => this.failStatements())
    }
  }

  inject(kind: keyof FaultPlan, machine = this.#random.one(this.#world.machines)): void {
    this.#world.trace.count(kind)
    machine.note('fault', kind)
    this.#kinds[kind](machine)
  }

  /**
   * One end of a busy lane is put back to how it was a while ago, or a copy of it from now begins,
   * and may go down soon after that: sessions open again with rows that wait.
   */
  relapse(sender = this.#random.one(this.#world.machines)): void {
    const { machines, trace, plan } = this.#world
    const host = this.#work.hostFor(sender)
    if (host === undefined) return
    const isReceiver = this.#random.chance(0.3)
    const machine = isReceiver ? this.#world.machine(this.#world.placeOf(host)) : sender
    if (!machine.hasPower) return
    trace.count('relapse')
    const backup = { path: machine.disk.backup(), inbox: machine.inbox.state }
    this.#work.burst(sender, host)
    this.#later(plan.durationUs / 4, () => {
      if (!machine.hasPower) return
      machine.note('relapse')
      const before = machines.length
      if (this.#random.chance(0.25)) this.#clone(machine)
      else this.#replace(machine, backup)
      for (const one of [sender, ...machines.slice(before)]) this.#work.burst(one, host)
      if (this.#random.chance(0.3)) this.#later(5 * second, () => machine.die('kill'))
    })
  }

  /** Statements of a machine's store fail for a while; rows to send and to store keep it busy. */
  failStatements(
    machine = this.#statementRandom.one(this.#world.machines),
    part = this.#world.plan.statementFaults.part,
  ): void {
    const { trace } = this.#world
    const random = this.#statementRandom
    trace.count('statements fail for a while')
    machine.note('fault', 'statements fail')
    const faultAt = turnFaults(random, part)
    const failing: FaultAt = (sql, index) => {
      const fault = faultAt(sql, index)
      if (fault === undefined) return undefined
      trace.count(`statement fails with ${fault.code}`)
      machine.note('fault', `${fault.code} at: ${sql.replaceAll(/\s+/g, ' ')}`)
      return fault
    }
    machine.disk.turnFaults = failing
    this.#keepBusy(machine)
    this.#last(
      20 * second,
      () => {
        // A later window goes on.
        if (machine.disk.turnFaults === failing) machine.disk.turnFaults = undefined
      },
      random,
    )
  }

  /** Rows from it, rows for it, and now and then an inbox that rejects some of these. */
  #keepBusy(machine: SimMachine): void {
    const random = this.#statementRandom
    if (random.chance(0.4)) this.#refuse(machine)
    const host = this.#work.hostFor(machine)
    if (host !== undefined) this.#work.burst(machine, host)
    const sender = random.one(this.#world.machines)
    const isKnown = !machine.isCopy && sender !== machine
    if (isKnown && this.#work.hostFor(sender) !== undefined) this.#work.burst(sender, machine.name)
  }

  /** Everything is fixed, everybody runs, and all clocks are right. */
  makePeace(): void {
    const { machines, networkConditions } = this.#world
    for (const undo of this.#lasting) undo()
    this.#lasting.clear()
    this.#world.isPeace = true
    this.#world.isNameServerUp = true
    networkConditions.makePeace()
    for (const machine of machines) {
      machine.clock.setWallOffset(0)
      machine.clock.setRate(1)
      machine.disk.user.exec('DROP TRIGGER IF EXISTS picky')
      machine.onClientWrote()
      machine.start()
    }
  }

  /** `undo` is called after a while that is drawn, or when there is peace. */
  #last(usMax: number, undo: () => void, random = this.#random): void {
    const { time } = this.#world
    const end = (): void => {
      if (this.#lasting.delete(end)) undo()
    }
    this.#lasting.add(end)
    time.at(time.nowUs + random.below(usMax), end)
  }

  /** Not any more when there is peace. */
  #later(usMax: number, act: () => void): void {
    const { time } = this.#world
    time.at(time.nowUs + this.#random.below(usMax), () => {
      if (!this.#world.isPeace) act()
    })
  }

  #powerCut(machine: SimMachine): void {
    const isHouse = this.#random.chance(0.2)
    for (const one of isHouse ? this.#world.machines : [machine]) one.die('power')
  }

  #freeze(machine: SimMachine): void {
    machine.host.freeze()
    this.#last(20 * second, () => machine.host.thaw())
  }

  #sleep(machine: SimMachine): void {
    machine.clock.sleep()
    machine.host.freeze(0)
    this.#last(30 * second, () => {
      machine.clock.wake()
      machine.host.thaw()
    })
  }

  #backup(machine: SimMachine): void {
    machine.backups.push({ path: machine.disk.backup(), inbox: machine.inbox.state })
  }

  #restore(machine: SimMachine): void {
    const { backups } = machine
    if (backups.length > 0) this.#replace(machine, this.#random.one(backups))
  }

  #replace(machine: SimMachine, backup: Backup): void {
    const { ledger } = this.#world
    ledger.hasReplaced = true
    ledger.hasCopies ||= machine.hasSent
    this.#world.trace.count('restored')
    machine.replace(backup)
  }

  #remove(machine: SimMachine): void {
    const { ledger } = this.#world
    ledger.hasReplaced = true
    ledger.removed.add(machine.name)
    machine.replace(undefined)
  }

  /** A copy of its database begins on another machine, under another name, with the same rows. */
  #clone(machine: SimMachine): void {
    const { machines, ledger } = this.#world
    const name = `copy-of-${machine.name}`
    if (machine.isCopy || machines.some((other) => other.name === name)) return
    ledger.hasCopies = true
    ledger.hasReplaced = true
    // Its operator leaves to the original what the original sends to itself.
    const path = machine.disk.backup(this.#world.namesOf(machine.name))
    const backup = { path, inbox: machine.inbox.state }
    const copy = this.#world.add(name, backup)
    copy.isCopy = true
    copy.hasSent = true
    copy.inbox.onReplaced(backup.inbox)
    copy.outbox.onReplaced()
    copy.start()
  }

  #diskFull(machine: SimMachine): void {
    machine.disk.setFull(true)
    this.#last(20 * second, () => machine.disk.setFull(false))
  }

  #slowDisk(machine: SimMachine): void {
    machine.isDiskSlow = true
    this.#last(20 * second, () => {
      machine.isDiskSlow = false
    })
  }

  /** Another program is in the middle of a transaction. */
  #holdLock(machine: SimMachine): void {
    if (!machine.hasPower) return
    const guest = machine.disk.openGuest()
    try {
      guest.exec('BEGIN IMMEDIATE')
    } catch {
      // Somebody else is.
      return machine.disk.closeGuest(guest)
    }
    this.#last(8 * second, () => {
      if (guest.open) guest.exec('COMMIT')
      machine.disk.closeGuest(guest)
    })
  }

  /** Another program reads for long: the log cannot begin again. */
  #readLong(machine: SimMachine): void {
    if (!machine.hasPower) return
    const guest = machine.disk.openGuest()
    guest.exec('BEGIN')
    guest.prepare('SELECT count(*) FROM mqin').get()
    this.#last(20 * second, () => machine.disk.closeGuest(guest))
  }

  #jumpMs(): number {
    const range = this.#random.one([1_000, hourMs, 30 * 24 * hourMs])
    return Math.floor((this.#random.next() - 0.5) * 2 * range)
  }

  #block(machine: SimMachine, bothWays: boolean): void {
    const { machines, networkConditions } = this.#world
    const others = machines.filter((other) => other !== machine)
    const isAlone = this.#random.chance(0.3)
    const cut = isAlone ? others : [this.#random.one(others)]
    const ways = cut.flatMap(({ name }) => [
      [machine.name, name] as const,
      ...(bothWays ? [[name, machine.name] as const] : []),
    ])
    for (const [from, to] of ways) networkConditions.block(from, to)
    this.#last(30 * second, () => {
      for (const [from, to] of ways) networkConditions.unblock(from, to)
    })
  }

  /** Datagrams longer than this begin to vanish. */
  #narrow(machine: SimMachine): void {
    const { machines, networkConditions } = this.#world
    const bytesMax = this.#random.one([508, 1_172, 1_200, 1_452, 9_000])
    for (const { name } of machines) {
      networkConditions.narrow(machine.name, name, bytesMax)
      networkConditions.narrow(name, machine.name, bytesMax)
    }
  }

  #stopNameServer(): void {
    this.#world.isNameServerUp = false
    this.#last(20 * second, () => {
      this.#world.isNameServerUp = true
    })
  }

  #refuse(machine: SimMachine): void {
    if (!machine.hasPower || machine.disk.isFull) return
    try {
      machine.disk.user.exec(refusal)
    } catch {
      // Somebody holds the lock: then the inbox stays as it is.
      return
    }
    machine.onClientWrote()
    this.#last(20 * second, () => {
      if (!machine.hasPower) return
      try {
        machine.disk.user.exec('DROP TRIGGER IF EXISTS picky')
        machine.onClientWrote()
      } catch {
        // Then it is dropped when there is peace.
      }
    })
  }
}
