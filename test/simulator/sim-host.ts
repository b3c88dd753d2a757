/**
 * One machine in virtual time: a process with the real store, and what can happen to it: it dies
 * between any two outputs, freezes, moves. Must never touch the disk but as a system does.
 */
import type { Environment } from '../../daemon/protocol/crypto/provider.ts'
import type { Address, Output } from '../../daemon/protocol/io.ts'
import type { Endpoint, EndpointOptions } from '../../daemon/protocol/endpoint.ts'
import type { StoreResult } from '../../daemon/protocol/store-messages.ts'
import type { StoreTask } from '../../daemon/store/store.ts'
import type { VirtualNetwork } from './core/virtual-network.ts'
import { VirtualProcess, type Named } from './core/virtual-process.ts'
import { VirtualThread } from './core/virtual-thread.ts'
import type { Disk } from './disk.ts'
import type { MachineClock } from './machine-clock.ts'
import { SimStore } from './sim-store.ts'
import type { Sync } from './sync-ledger.ts'

type HostEvents = {
  /** Before the core hears of it. */
  readonly onDurable: (results: readonly StoreResult[]) => void
  readonly onTurn: () => void
  /** May the machine die here? It has died when this returns true. */
  readonly onOutput: (type: Output['type']) => boolean
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
  readonly node: EndpointOptions
  readonly ip: string
  readonly resolve: (host: string) => Named
  readonly commitUs: () => number
  /** How late the loop gets to what is due. */
  readonly turnUs: () => number
  readonly events: HostEvents
}

/** What the buffer of a socket holds for a process that does not read. */
const socketBufferMax = 200

type Life = {
  readonly process: VirtualProcess
  readonly store: SimStore
  readonly threads: readonly VirtualThread[]
}

export class SimHost {
  readonly #options: HostOptions
  #life: Life | undefined
  #address: Address

  constructor(options: HostOptions) {
    this.#options = options
    this.#address = { ip: options.ip, port: options.node.port }
  }

  get address(): Address {
    return this.#address
  }

  get isRunning(): boolean {
    return this.#life !== undefined
  }

  /** Undefined while it does not run. */
  get node(): Endpoint | undefined {
    return this.#life?.process.node
  }

  start(): void {
    this.#options.disk.openStore()
    const life = this.#begin()
    this.#life = life
    life.process.start()
    life.process.onNetwork()
  }

  /** The process is gone; the disk is not touched but by the system. */
  kill(): void {
    const life = this.#life
    this.#life = undefined
    for (const thread of life?.threads ?? []) thread.end()
    life?.process.end()
    this.#options.disk.closeStore()
  }

  /** As SIGTERM does it. The process may die on the way. */
  stop(): void {
    const life = this.#life
    if (life === undefined) return
    this.thaw()
    life.process.stop()
    if (life === this.#life) this.kill()
  }

  /** It does not move. @param bufferedMax datagrams wait for it. */
  freeze(bufferedMax = socketBufferMax): void {
    this.#life?.process.setBuffered(bufferedMax)
    for (const thread of this.#life?.threads ?? []) thread.freeze()
  }

  thaw(): void {
    for (const thread of this.#life?.threads ?? []) thread.thaw()
  }

  /** The machine has another address now, and knows it. */
  moveTo(ip: string): void {
    const { network, node } = this.#options
    const before = this.#address
    this.#address = { ip, port: node.port }
    network.checker.onMoved(before, this.#address)
    this.#life?.process.moveTo(this.#address)
    this.#life?.process.onNetwork()
  }

  /** Another program has written to the database. */
  onClientWrote(): void {
    this.#life?.store.onFileEvent()
  }

  #begin(): Life {
    const { network, clock, turnUs, disk, environment, events, ...options } = this.#options
    const { time } = network
    const thread = new VirtualThread({ time, clock, turnUs })
    const storeThread = new VirtualThread({ time, clock, turnUs })
    const store = new SimStore({
      time,
      disk,
      thread: storeThread,
      network: thread,
      commitUs: options.commitUs,
      onTask: () => process.isGoneBefore('store'),
      onRan: events.onRan,
      onSynced: events.onSynced,
      onDurable: events.onDurable,
      onFailed: (error) => process.onThrown(error),
    })
    const process = new VirtualProcess({
      network,
      thread,
      store,
      environment,
      node: options.node,
      address: this.#address,
      resolve: options.resolve,
      datagramBytesMax: () => Infinity,
      dies: events.onOutput,
      onEvent: () => {},
      onTick: events.onTurn,
      onThrown: events.onThrown,
    })
    return { process, store, threads: [thread, storeThread] }
  }
}
