/**
 * What all machines of one simulation share: time, network, names, chance and the books. Must never
 * decide what happens.
 */
import { rmSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Address } from '../../daemon/protocol/io.ts'
import { seededEnvironment } from '../support/seeded-environment.ts'
import { SeededRandom } from '../../sdk/testing/lossy-network.ts'
import { VirtualNetwork } from './core/virtual-network.ts'
import { VirtualTime } from './core/virtual-time.ts'
import { realEnvironment } from '../../daemon/store/connection.ts'
import { Disk } from './disk.ts'
import { Ledger } from './expected-state.ts'
import type { Plan } from './plan.ts'
import type { Named } from './core/virtual-process.ts'
import { SimMachine, type Backup } from './sim-machine.ts'
import type { Trace } from './trace.ts'
import { NetworkConditions } from './network-conditions.ts'

const lookUpUs = 2_000
const lookTakesUs = 300
/** Each machine is known under a second name: another lane to the same place. */
const aliasEnd = '-alias'
/** Nobody is there until there is peace. */
export const nobody = 'nobody'

export class SimWorld {
  readonly plan: Plan
  readonly trace: Trace
  readonly time: VirtualTime
  readonly random: SeededRandom
  readonly network: VirtualNetwork
  readonly networkConditions: NetworkConditions
  readonly ledger: Ledger
  readonly port = 9000
  readonly machines: SimMachine[] = []
  readonly #directory: string
  readonly #template: string
  /** Names of machines by each address that they have, or had. */
  readonly #reserved = new Map<string, string>()
  isNameServerUp = true
  isPeace = false
  #lastIp = 0
  #looks = 0

  /** @param directory is made for this run, and goes away with it. */
  constructor(plan: Plan, trace: Trace, directory: string, template: string) {
    this.plan = plan
    this.trace = trace
    this.#directory = directory
    this.#template = template
    mkdirSync(directory)
    this.time = new VirtualTime(plan.seed)
    this.random = new SeededRandom(plan.seed)
    this.ledger = new Ledger(plan.seed + 1)
    this.networkConditions = new NetworkConditions(plan.link, ({ ip }) => this.#nameAt(ip))
    this.network = new VirtualNetwork(this.time, plan.seed + 2, [this.networkConditions.part])
    // A session that moves and is superseded at once answers one OPEN with three datagrams.
    this.network.checker.answersPerByteMax = 3
    this.network.onSend = (bytes) => this.#traceDatagram(bytes)
    for (let index = 0; index < plan.machines; index++) this.add('abcdefgh'.charAt(index))
  }

  /** @param backup the database that it begins with, instead of an empty one. */
  add(name: string, backup?: Backup): SimMachine {
    const { plan, time, random } = this
    const environment = seededEnvironment(random.below(1e9))
    const disk = new Disk({
      directory: join(this.#directory, name),
      template: this.#template,
      random: new SeededRandom(random.below(1e9)),
      environment: {
        sha256: realEnvironment.sha256,
        randomBytes: (length) => environment.randomBytes(length),
        // Only differences count: each look finds that a transaction takes its time.
        nowUs: () => time.nowUs + lookTakesUs * ++this.#looks,
      },
      clientSync: plan.clientSync,
      checkpointPages: plan.checkpointPages,
      keyPolicy: plan.hasKeys ? { type: 'keys', keylessTokens: [] } : { type: 'keyless' },
    })
    if (backup !== undefined) disk.restore(backup.path)
    const ip = this.newIp(name)
    const machine = new SimMachine(this, name, ip, disk, environment)
    this.machines.push(machine)
    return machine
  }

  /** An address that nobody has had before, for the machine of this name. */
  newIp(name: string): string {
    const ip = `10.0.${Math.floor(++this.#lastIp / 250)}.${1 + (this.#lastIp % 250)}`
    this.#reserved.set(ip, name)
    return ip
  }

  /** The names under which applications may write to each other. */
  get hosts(): string[] {
    return this.machines
      .filter(({ isCopy }) => !isCopy)
      .flatMap(({ name }) => [name, name, `${name}${aliasEnd}`])
  }

  /** Which machine a name means, once there is peace. */
  placeOf(host: string): string {
    if (host === nobody) return this.machines[0]?.name ?? ''
    return host.endsWith(aliasEnd) ? host.slice(0, -aliasEnd.length) : host
  }

  /** All names of a machine, the one that it has only in peace too. */
  namesOf(name: string): string[] {
    return [name, `${name}${aliasEnd}`, nobody].filter((host) => this.placeOf(host) === name)
  }

  resolve(host: string): Named {
    const afterUs = lookUpUs + this.random.below(lookUpUs)
    const isKnown = this.isPeace || (this.isNameServerUp && host !== nobody)
    const machine = this.machines.find(({ name }) => name === this.placeOf(host))
    const isUp = this.isPeace || this.isNameServerUp
    if (!isKnown || machine === undefined)
      return { ips: [], code: isUp ? 'ENOTFOUND' : 'EAI_AGAIN', afterUs }
    return { ips: [machine.host.address.ip], code: '', afterUs }
  }

  /** Chance of a death; nobody dies in peace. */
  isFatal(chance: number): boolean {
    return chance > 0 && !this.isPeace && this.random.chance(chance)
  }

  machine(name: string): SimMachine {
    const machine = this.machines.find((candidate) => candidate.name === name)
    if (machine === undefined) throw new Error(`There is no machine ${name}.`)
    return machine
  }

  close(): void {
    for (const { host, disk } of this.machines) {
      // What the daemon has open besides the store would stay open: thousands of files in time.
      host.kill()
      disk.close()
    }
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #nameAt(ip: Address['ip']): string {
    return this.#reserved.get(ip) ?? ip
  }

  /** By length and the end of the tag: other bytes, another tag. */
  #traceDatagram(bytes: Uint8Array): void {
    const tag = Buffer.from(bytes.buffer, bytes.byteOffset + Math.max(0, bytes.length - 6))
    const end = tag.toString('hex', 0, Math.min(6, bytes.length))
    this.trace.note(this.time.nowUs, 'send', `${bytes.length} ${end}`)
  }
}
