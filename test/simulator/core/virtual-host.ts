/**
 * One machine of a scenario: a process over a little store in memory, and the power switch. Must
 * never hand the node anything that a real system could not.
 */
import { ok } from 'node:assert/strict'
import type { Environment } from '../../../daemon/protocol/crypto/provider.ts'
import type { Address, Input, NodeEvent } from '../../../daemon/protocol/io.ts'
import type { Endpoint, EndpointOptions } from '../../../daemon/protocol/endpoint.ts'
import type { StoreWork } from '../../../daemon/protocol/store-messages.ts'
import { emptyTotals } from '../../../daemon/store/metrics.ts'
import type { StoreTask } from '../../../daemon/store/store.ts'
import type { StoreListener } from '../../../daemon/store/thread/client.ts'
import { MachineClock } from '../machine-clock.ts'
import type { HostStore } from './row-store.ts'
import type { VirtualNetwork } from './virtual-network.ts'
import { type Named, VirtualProcess, type VirtualStore } from './virtual-process.ts'
import { VirtualThread } from './virtual-thread.ts'

export type HostOptions = {
  readonly network: VirtualNetwork
  readonly address: Address
  readonly store: HostStore
  readonly environment: Environment
  readonly node: EndpointOptions
  /** Addresses by name, now; undefined: the name server does not answer. */
  readonly resolve: (host: string) => readonly string[] | undefined
  readonly commitUs: number
}

/** One turn of the loop of a real process takes at least so long. */
const turnUs = 20
const resolveUs = 2_000
/** More turns in a simulated second are a loop that never rests. */
const turnsPerSecondMax = 30_000
const usage = { ...emptyTotals(), busyUs: 0 }

export class VirtualHost {
  readonly events: NodeEvent[] = []
  ticks = 0
  lookUps = 0
  /** Every send is rejected when it is longer: what a system says of its own interface. */
  interfaceBytesMax = Infinity
  readonly #options: HostOptions
  readonly #clock: MachineClock
  #process: VirtualProcess | undefined
  #store: MemoryStore | undefined
  #address: Address
  #isStoreHeld: () => boolean = () => false
  #turns = 0
  #turnsSinceUs = 0

  constructor(options: HostOptions) {
    this.#options = options
    this.#address = options.address
    this.#clock = new MachineClock(options.network.time)
    this.start()
  }

  /** As it is seen from outside. */
  get address(): Address {
    return this.#address
  }

  get node(): Endpoint {
    ok(this.#process !== undefined, 'The host is running.')
    return this.#process.node
  }

  start(): void {
    const { network, environment, node, store, commitUs } = this.#options
    ok(this.#process === undefined, 'The host was off.')
    const thread = new VirtualThread({
      time: network.time,
      clock: this.#clock,
      turnUs: () => turnUs,
    })
    const isHeld = (): boolean => this.#isStoreHeld()
    this.#store = new MemoryStore({ store, thread, commitUs, isHeld })
    this.#process = new VirtualProcess({
      network,
      thread,
      store: this.#store,
      environment,
      node,
      address: this.#address,
      resolve: (host) => this.#resolve(host),
      datagramBytesMax: () => this.interfaceBytesMax,
      dies: () => false,
      onEvent: (event) => this.events.push(event),
      onTick: () => this.#onTick(),
      onThrown: (error) => {
        throw error
      },
    })
    this.#process.start()
  }

  /** The process is gone, and with it what the store had not committed. */
  crash(): void {
    this.#process?.end()
    this.#process = undefined
    this.#options.store.onRestart()
  }

  /** As SIGTERM does it. What the store was asked to do is done. */
  stop(): void {
    this.#process?.stop()
    this.crash()
  }

  /** Another outside address of the same machine: a NAT has forgotten the old one. */
  moveTo(address: Address): void {
    this.#options.network.checker.onMoved(this.#address, address)
    this.#address = address
    this.#process?.moveTo(address)
  }

  /** While it is so, the store does nothing: its disk is full, or somebody holds the lock. */
  holdStore(isHeld: () => boolean): void {
    this.#isStoreHeld = isHeld
  }

  /** Rows may have come: the store looks. */
  look(): void {
    this.#store?.look()
  }

  feed(input: Input): void {
    this.#process?.feed(input)
  }

  #resolve(host: string): Named {
    this.lookUps++
    const ips = this.#options.resolve(host)
    return {
      ips: ips ?? [],
      code: ips === undefined ? 'EAI_AGAIN' : 'ENOTFOUND',
      afterUs: resolveUs,
    }
  }

  #onTick(): void {
    this.ticks++
    const { nowUs } = this.#options.network.time
    if (nowUs - this.#turnsSinceUs >= 1_000_000) {
      this.#turnsSinceUs = nowUs
      this.#turns = 0
    }
    ok(++this.#turns <= turnsPerSecondMax, 'A node rests between its turns.')
  }
}

type MemoryStoreParts = {
  readonly store: HostStore
  readonly thread: VirtualThread
  readonly commitUs: number
  readonly isHeld: () => boolean
}

/** What is asked while a commit runs goes into the next one. */
class MemoryStore implements VirtualStore {
  readonly #parts: MemoryStoreParts
  readonly #work: StoreWork[] = []
  #listener: StoreListener | undefined
  #isCommitting = false
  #mustLook = false

  constructor(parts: MemoryStoreParts) {
    this.#parts = parts
  }

  listen(listener: StoreListener): void {
    this.#listener = listener
    this.look()
  }

  submit(task: StoreTask): void {
    if (task.type !== 'scan' && task.type !== 'event') this.#work.push(task)
  }

  flush(): void {
    if (this.#work.length > 0) this.#begin()
  }

  look(): void {
    this.#mustLook = true
    this.#begin()
  }

  askPeers(): void {
    this.#listener?.onPeers([])
  }

  async close(): Promise<void> {
    const { store, thread } = this.#parts
    store.run(this.#work.splice(0), thread.wallMs())
    return Promise.resolve()
  }

  kill(): void {
    this.#listener = undefined
  }

  #begin(): void {
    const { store, thread, commitUs, isHeld } = this.#parts
    if (this.#isCommitting || isHeld()) return
    this.#isCommitting = true
    thread.post(commitUs, () => {
      this.#mustLook = false
      const results = store.run(this.#work.splice(0), thread.wallMs())
      thread.post(turnUs, () => {
        this.#isCommitting = false
        if (results.length > 0) this.#listener?.onResults(results, usage)
        if (this.#work.length > 0 || this.#mustLook || store.hasWork) this.#begin()
      })
    })
  }
}
