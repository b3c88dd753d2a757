/**
 * One machine of a simulation with its checkers: what happens to it happens to them in the same
 * step, so that no state goes by unseen. Must never skip a checker.
 */
import type { Environment } from '../../daemon/protocol/crypto/provider.ts'
import type { Output } from '../../daemon/protocol/io.ts'
import type { StoreTask } from '../../daemon/store/store.ts'
import { IdleChecker } from './idle-checker.ts'
import type { Disk } from './disk.ts'
import { InboxChecker, type InboxState } from './inbox-checker.ts'
import { MachineClock } from './machine-clock.ts'
import { OutboxChecker } from './outbox-checker.ts'
import type { SimWorld } from './sim-world.ts'
import { SimHost } from './sim-host.ts'
import { allKeys } from './tokens.ts'
import { expect } from './violation.ts'

type Death = 'kill' | 'power'

export type Backup = { readonly path: string; readonly inbox: InboxState }

/** Writes that only a poll finds: no event comes from a shared folder, say. */
const unseenPart = 0.1
/** The slowest restart of a machine, in microseconds. */
const downUsMax = 3_000_000
/** What a failing write waits for a machine whose disk is slow. */
const slowCommitUs = 1_500_000

/** What a machine shows others about itself: another port each, and none that anybody is at. */
function answeredAt(name: string): { readonly host: string; readonly port: number } {
  return { host: name, port: 10_000 + 8 * name.length + name.charCodeAt(name.length - 1) }
}

export class SimMachine {
  readonly name: string
  readonly clock: MachineClock
  readonly disk: Disk
  readonly host: SimHost
  readonly inbox: InboxChecker
  readonly outbox: OutboxChecker
  readonly backups: Backup[] = []
  /** Applications run: the machine has power. */
  hasPower = true
  isDiskSlow = false
  /** No event comes from what applications write. */
  isWatchDeaf = false
  /** It began with a copy of another machine's database. */
  isCopy = false
  /** It has rows of its own, or had. */
  hasSent = false
  readonly #world: SimWorld
  readonly #rest: IdleChecker
  #restarts = 0
  #checkedOperations = -1

  constructor(world: SimWorld, name: string, ip: string, disk: Disk, environment: Environment) {
    this.#world = world
    this.name = name
    this.disk = disk
    this.clock = new MachineClock(world.time)
    const { ledger } = world
    const machineAt = (host: string): string => world.placeOf(host)
    this.inbox = new InboxChecker({ name, disk, ledger, machineAt, answeredAt })
    this.outbox = new OutboxChecker({ name, disk, ledger })
    this.#rest = new IdleChecker(name, world.time)
    this.host = this.#hostAt(ip, environment)
  }

  start(): void {
    if (this.host.isRunning) return
    this.hasPower = true
    this.clock.wake()
    this.note('start')
    this.host.start()
  }

  /** The process, or all of the machine, is gone; unless it has otherwise, it comes back. */
  die(death: Death, comesBack = true): void {
    this.host.kill()
    if (death === 'power') this.#cutPower()
    else {
      this.note('kill')
      this.inbox.onKilled()
      this.outbox.onKilled()
    }
    if (comesBack) this.startLater()
  }

  startLater(): void {
    const { time, random } = this.#world
    const restart = ++this.#restarts
    time.at(time.nowUs + random.below(downUsMax), () => {
      if (restart === this.#restarts) this.start()
    })
  }

  stop(): void {
    if (!this.host.isRunning) return
    this.note('stop')
    const restart = this.#restarts
    this.host.stop()
    if (restart !== this.#restarts) return
    this.inbox.onKilled()
    this.outbox.onKilled()
    this.startLater()
  }

  /** Another file takes the place of the database, while nothing runs. */
  replace(backup: Backup | undefined): void {
    this.host.kill()
    if (backup === undefined) this.disk.remove()
    else this.disk.restore(backup.path)
    this.inbox.onReplaced(backup?.inbox)
    this.outbox.onReplaced()
    this.startLater()
  }

  /** An application has written: the daemon's watch sees it, sooner or later, or never. */
  onClientWrote(): void {
    this.disk.onClientWrote()
    const { time, random } = this.#world
    const restart = this.#restarts
    if (random.chance(unseenPart) || this.isWatchDeaf) return
    time.at(time.nowUs + random.one([100, 2_000, 20_000, 50_000]), () => {
      if (restart === this.#restarts) this.host.onClientWrote()
    })
  }

  /** Once more, when all is over. */
  checkAll(): void {
    this.inbox.look()
    this.outbox.look()
    this.disk.check()
  }

  note(kind: string, text = ''): void {
    this.#world.trace.note(this.#world.time.nowUs, kind, `${this.name} ${text}`)
  }

  #cutPower(): void {
    this.hasPower = false
    const { durableOperations, operations } = this.disk.syncs
    const tail = this.disk.cutPower()
    this.note('power-cut', `${operations - durableOperations} writes not synced, ${tail}`)
    this.#world.trace.count(`power-cut, unsynced part ${tail}`)
    this.outbox.onPowerCut(durableOperations)
    this.inbox.onPowerCut()
  }

  #hostAt(ip: string, environment: Environment): SimHost {
    const { network, random, plan } = this.#world
    const keys = plan.hasKeys
      ? ({ keylessFrom: 'nowhere', keys: allKeys } as const)
      : ({ keylessFrom: 'private', keys: [] } as const)
    const { port } = this.#world
    const { host: advertisedHost, port: advertisedPort } = answeredAt(this.name)
    const limits = { datagramBytesMax: 65_507, bytesPerSecondMax: 0 }
    return new SimHost({
      network,
      clock: this.clock,
      disk: this.disk,
      environment,
      ip,
      node: { port, advertisedHost, advertisedPort, ...keys, ...limits },
      resolve: (host) => this.#world.resolve(host),
      commitUs: () => {
        if (this.isDiskSlow) return random.below(slowCommitUs)
        return Math.floor(plan.commitUs * (0.5 + random.next()))
      },
      turnUs: () => 20 + random.below(60),
      events: {
        onRan: (tasks) => this.#onRan(tasks),
        onSynced: (sync, results) => {
          if (results.length > 0) {
            const { durableOperations } = this.disk.syncs
            const isDurable = durableOperations >= sync.operations || !sync.hasWritten
            expect(
              isDurable,
              'durable before reported',
              () => `${this.name} reports before the sync.`,
            )
          }
          this.#onSynced()
        },
        onDurable: (results) => {
          for (const result of results) {
            this.note('stored', result.type)
            this.inbox.onReported(result)
            this.outbox.onReported(result)
          }
        },
        onTurn: () => this.#rest.onTurn(),
        onOutput: (type) => this.#onOutput(type),
        onThrown: (error) => {
          throw error
        },
      },
    })
  }

  #onRan(tasks: readonly StoreTask[]): void {
    this.#rest.onStoreRun()
    const { operations } = this.disk.syncs
    this.inbox.onTasks(tasks)
    this.outbox.onTasks(tasks)
    if (operations === this.#checkedOperations) return
    this.#checkedOperations = operations
    this.inbox.look()
    this.outbox.look()
    if (this.#world.isFatal(this.#world.plan.deathPerCommit)) this.#dieOfChance('inside a commit')
  }

  /** A process that died in the middle of a sync may have left what is not durable even now. */
  #onSynced(): void {
    if (this.disk.syncs.durableOperations < this.#checkedOperations) return
    this.inbox.onSynced()
    this.outbox.onSynced()
  }

  #onOutput(type: Output['type']): boolean {
    if (!this.#world.isFatal(this.#world.plan.deathPerOutput)) return false
    this.#dieOfChance(`before ${type}`)
    return true
  }

  #dieOfChance(when: string): void {
    const { random, plan, trace } = this.#world
    const death = random.chance(plan.powerCutPart) ? 'power' : 'kill'
    trace.count(`${death} ${when}`)
    this.die(death)
  }
}
