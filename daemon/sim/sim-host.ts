/**
 * One machine in virtual time: the real core over the real store, driven as `Driver` drives them,
 * and what can happen to the process: it dies between any two outputs, freezes, moves. Must never
 * hand the core anything that a real driver could not.
 *
 * It differs from `Driver` in this: the turns of the event loop take virtual time that is drawn,
 * a deadline less than a millisecond away is slept to instead of turned to, and names are looked up
 * in a table of the simulation.
 */
import { unreachable } from '../protocol/assert.ts'
import type { Environment } from '../protocol/environment.ts'
import type { Address, Input, Output } from '../protocol/node-io.ts'
import { Node, type NodeOptions } from '../protocol/node.ts'
import type { StoreResult } from '../protocol/store-port.ts'
import type { VirtualNetwork } from '../protocol/testing/virtual-network.ts'
import type { StoreTask } from '../store/store.ts'
import type { Disk } from './disk.ts'
import type { MachineClock } from './machine-clock.ts'
import { SimStore } from './sim-store.ts'
import type { Sync } from './sync-ledger.ts'

export type HostEvents = {
  /** Before the core hears of it. `tasks` were in the same transaction. */
  readonly onDurable: (results: readonly StoreResult[], tasks: readonly StoreTask[]) => void
  readonly onTurn: () => void
  /** May the machine die here? It has died when this returns true. */
  readonly onOutput: (output: Output) => boolean
  /** A transaction is over, but not synced: the machine may die here. */
  readonly onRan: (tasks: readonly StoreTask[]) => void
  readonly onSynced: (sync: Sync, results: readonly StoreResult[]) => void
  /** The store or the core has thrown. */
  readonly onThrown: (error: unknown) => void
}

export type HostOptions = {
  readonly network: VirtualNetwork
  readonly clock: MachineClock
  readonly disk: Disk
  readonly environment: Environment
  readonly node: NodeOptions
  readonly ip: string
  /** Addresses by name, and how long it takes to find them. */
  readonly resolve: (host: string) => { readonly ips: readonly string[]; readonly afterUs: number }
  readonly commitUs: () => number
  /** How late the loop gets to what is due. */
  readonly turnUs: () => number
  readonly events: HostEvents
}

/** What the buffer of a socket holds for a process that does not read. */
const socketBufferMax = 200

export class SimHost {
  readonly #options: HostOptions
  readonly #store: SimStore
  #node: Node | undefined
  #address: Address
  #life = 0
  #isFrozen = false
  #waiting: Input[] = []
  #bufferedMax = 0
  #asked: StoreTask[] = []
  #hasTurnEnd = false
  #armedUs = Infinity
  ticks = 0

  constructor(options: HostOptions) {
    const { network, clock, disk, commitUs, events } = options
    this.#options = options
    this.#address = { ip: options.ip, port: options.node.port }
    this.#store = new SimStore({
      time: network.time,
      clock,
      disk,
      commitUs,
      onRan: events.onRan,
      onSynced: events.onSynced,
      onResults: (results, tasks) => this.#onResults(results, tasks),
      onFailed: events.onThrown,
    })
  }

  get address(): Address {
    return this.#address
  }

  get isRunning(): boolean {
    return this.#node !== undefined
  }

  /** Undefined while it does not run. */
  get node(): Node | undefined {
    return this.#node
  }

  get storeRuns(): number {
    return this.#store.runs
  }

  start(): void {
    const { environment, node, clock, disk } = this.#options
    disk.openStore()
    this.#node = new Node(node, environment, clock.nowUs())
    this.#attach()
    this.#store.start()
    this.feed({ type: 'network', ips: [this.#address.ip] })
    this.#greet()
  }

  /** The process is gone; the disk is not touched but by the system. */
  kill(): void {
    const { network, disk } = this.#options
    network.detach(this.#address)
    this.#node = undefined
    this.#life++
    this.#isFrozen = false
    this.#waiting = []
    this.#asked = []
    this.#hasTurnEnd = false
    this.#armedUs = Infinity
    this.#store.kill()
    disk.closeStore()
  }

  /** As SIGTERM does it. The process may die on the way. */
  stop(): void {
    if (this.#isFrozen) this.thaw()
    this.feed({ type: 'stop' })
    if (this.#node === undefined) return
    this.#flush()
    this.#store.close()
    if (this.#node !== undefined) this.kill()
  }

  /** It stands still. @param bufferedMax datagrams wait for it. */
  freeze(bufferedMax = socketBufferMax): void {
    this.#isFrozen = true
    this.#bufferedMax = bufferedMax
    this.#store.setFrozen(true)
  }

  thaw(): void {
    if (!this.#isFrozen) return
    this.#isFrozen = false
    this.#store.setFrozen(false)
    const life = this.#life
    for (const input of this.#waiting.splice(0)) if (life === this.#life) this.feed(input)
    this.#endTurn()
  }

  /** The machine has another address now, and knows it. */
  moveTo(ip: string): void {
    const { network, node } = this.#options
    const before = this.#address
    this.#address = { ip, port: node.port }
    network.checker.onMoved(before, this.#address)
    if (this.#node === undefined) return
    network.detach(before)
    this.#attach()
    this.feed({ type: 'network', ips: [ip] })
  }

  /** Another program has written: `Wake` looks. */
  look(): void {
    this.#store.submit([{ type: 'scan' }])
  }

  feed(input: Input): void {
    if (this.#node === undefined) return
    if (this.#isFrozen) {
      const isDropped = input.type === 'datagram' && this.#waiting.length >= this.#bufferedMax
      if (!isDropped) this.#waiting.push(input)
      return
    }
    const life = this.#life
    try {
      for (const output of this.#node.handle(input, this.#options.clock.nowUs())) {
        if (this.#options.events.onOutput(output)) return
        this.#perform(output)
        if (life !== this.#life) return
      }
    } catch (error) {
      return this.#options.events.onThrown(error)
    }
    this.#endTurn()
  }

  #attach(): void {
    this.#options.network.attach(this.#address, (from, bytes) =>
      // The network takes its bytes back.
      this.feed({ type: 'datagram', from, bytes: this.#isFrozen ? bytes.slice() : bytes }),
    )
  }

  #perform(output: Output): void {
    switch (output.type) {
      case 'send':
        return this.#options.network.send(this.#address, output.to, output.bytes)
      case 'store':
        this.#asked.push(output.work)
        return
      case 'resolve':
        return this.#resolve(output.host)
      case 'event':
        return
      default:
        return unreachable(output)
    }
  }

  #resolve(host: string): void {
    const { ips, afterUs } = this.#options.resolve(host)
    const reason = ips.length > 0 ? '' : `nobody knows ${host}`
    this.#later(afterUs, () => this.feed({ type: 'resolved', host, ips, reason }))
  }

  /** PROTOCOL §3.7, as `Driver` does it. */
  #greet(): void {
    for (const { host, port } of this.#options.disk.store.peers()) {
      const { ips, afterUs } = this.#options.resolve(host)
      const [ip] = ips
      if (ip === undefined) continue
      this.#later(afterUs, () => this.feed({ type: 'greet', addresses: [{ ip, port }] }))
    }
  }

  #onResults(results: readonly StoreResult[], tasks: readonly StoreTask[]): void {
    const life = this.#life
    this.#options.events.onDurable(results, tasks)
    for (const result of results) if (life === this.#life) this.feed({ type: 'stored', result })
  }

  #endTurn(): void {
    if (this.#hasTurnEnd) return
    this.#hasTurnEnd = true
    this.#later(this.#options.turnUs(), () => {
      this.#hasTurnEnd = false
      if (this.#isFrozen) return
      this.#look()
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#asked.length > 0) this.#store.submit(this.#asked.splice(0))
  }

  #look(): void {
    const deadlineUs = this.#node?.deadlineUs()
    if (this.#node === undefined || deadlineUs === undefined) return
    const delayUs = deadlineUs - this.#options.clock.nowUs()
    if (delayUs > 0) return this.#arm(deadlineUs, delayUs)
    this.ticks++
    this.feed({ type: 'tick' })
    this.#options.events.onTurn()
  }

  /** A timer that comes too early looks again. */
  #arm(deadlineUs: number, delayUs: number): void {
    if (this.#armedUs <= deadlineUs) return
    this.#armedUs = deadlineUs
    const roundedUs = delayUs < 1_000 ? delayUs : Math.ceil(delayUs / 1_000) * 1_000
    const { clock, network } = this.#options
    this.#later(clock.worldUsIn(roundedUs) - network.time.nowUs, () => {
      if (this.#armedUs === deadlineUs) this.#armedUs = Infinity
      this.#endTurn()
    })
  }

  /** Unless the process is gone before. */
  #later(us: number, run: () => void): void {
    const { time } = this.#options.network
    const life = this.#life
    time.at(time.nowUs + us, () => {
      if (life === this.#life) run()
    })
  }
}
