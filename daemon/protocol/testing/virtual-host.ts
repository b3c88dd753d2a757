/**
 * One machine of a scenario: a node, its store, a driver that performs what the node decides, and
 * the power switch. Must never hand the node anything that a real driver could not.
 */
import { ok } from 'node:assert/strict'
import type { Environment } from '../environment.ts'
import type { Address, Input, NodeEvent, Output } from '../node-io.ts'
import { Node, type NodeOptions } from '../node.ts'
import type { StoreWork } from '../store-port.ts'
import { unreachable } from '../assert.ts'
import type { HostStore } from './row-store.ts'
import type { VirtualNetwork } from './virtual-network.ts'

export type HostOptions = {
  readonly network: VirtualNetwork
  readonly address: Address
  readonly store: HostStore
  readonly environment: Environment
  readonly node: NodeOptions
  /** Addresses by name, now; undefined: the name server does not answer. */
  readonly resolve: (host: string) => readonly string[] | undefined
  readonly commitUs: number
}

/** One turn of the loop of a real driver takes at least so long. */
const turnUs = 20
const resolveUs = 2_000
/** More turns in a simulated second are a loop that never rests. */
const turnsPerSecondMax = 30_000

export class VirtualHost {
  readonly events: NodeEvent[] = []
  ticks = 0
  lookUps = 0
  /** Every send is refused when it is longer: what a system says of its own interface. */
  interfaceBytesMax = Infinity
  readonly #options: HostOptions
  #node: Node | undefined
  #address: Address
  #life = 0
  #work: StoreWork[] = []
  #isCommitting = false
  #mustLook = false
  #isStoreHeld: () => boolean = () => false
  #armedUs = Infinity
  #turns = 0
  #turnsSinceUs = 0

  constructor(options: HostOptions) {
    this.#options = options
    this.#address = options.address
    this.start()
  }

  /** As it is seen from outside. */
  get address(): Address {
    return this.#address
  }

  get node(): Node {
    ok(this.#node !== undefined, 'The host is running.')
    return this.#node
  }

  start(): void {
    const { network, environment, node } = this.#options
    ok(this.#node === undefined, 'The host was off.')
    this.#node = new Node(node, environment, network.time.nowUs)
    network.attach(this.#address, (from, bytes) => this.feed({ type: 'datagram', from, bytes }))
    this.look()
  }

  /** The process is gone, and with it what the store had not committed. */
  crash(): void {
    const { network, store } = this.#options
    network.detach(this.#address)
    this.#node = undefined
    this.#life++
    this.#work = []
    this.#isCommitting = false
    this.#armedUs = Infinity
    store.onRestart()
  }

  /** As SIGTERM does it. What the store was asked to do is done. */
  stop(): void {
    this.feed({ type: 'stop' })
    this.#options.store.run(this.#work, this.#nowMs())
    this.crash()
  }

  /** Another outside address of the same machine: a NAT has forgotten the old one. */
  moveTo(address: Address): void {
    const { network } = this.#options
    network.detach(this.#address)
    network.checker.onMoved(this.#address, address)
    this.#address = address
    network.attach(address, (from, bytes) => this.feed({ type: 'datagram', from, bytes }))
  }

  /** While it is so, the store does nothing: its disk is full, or somebody holds the lock. */
  holdStore(isHeld: () => boolean): void {
    this.#isStoreHeld = isHeld
  }

  /** Rows may have come: the store looks. */
  look(): void {
    this.#mustLook = true
    this.#submit()
  }

  feed(input: Input): void {
    if (this.#node === undefined) return
    for (const output of this.#node.handle(input, this.#nowUs())) this.#perform(output)
    this.#arm()
  }

  #nowUs(): number {
    return this.#options.network.time.nowUs
  }

  #nowMs(): number {
    return 1_800_000_000_000 + Math.floor(this.#nowUs() / 1000)
  }

  #perform(output: Output): void {
    const { network } = this.#options
    switch (output.type) {
      case 'send':
        if (output.bytes.length <= this.interfaceBytesMax) {
          return network.send(this.#address, output.to, output.bytes)
        }
        return this.#later(turnUs, () =>
          this.feed({ type: 'too-long', to: output.to, bytes: output.bytes.length }),
        )
      case 'store':
        this.#work.push(output.work)
        return this.#submit()
      case 'resolve':
        return this.#resolve(output.host)
      case 'event':
        this.events.push(output.event)
        return
      default:
        return unreachable(output)
    }
  }

  #resolve(host: string): void {
    this.lookUps++
    this.#later(resolveUs, () => {
      const ips = this.#options.resolve(host) ?? []
      const reason = ips.length > 0 ? '' : `nobody knows ${host}`
      this.feed({ type: 'resolved', host, ips, reason })
    })
  }

  /** What is asked while a commit runs goes into the next one. */
  #submit(): void {
    if (this.#isCommitting || this.#isStoreHeld()) return
    this.#isCommitting = true
    const { commitUs, store } = this.#options
    this.#later(commitUs, () => {
      this.#mustLook = false
      const results = store.run(this.#work.splice(0), this.#nowMs())
      this.#later(turnUs, () => {
        this.#isCommitting = false
        for (const result of results) this.feed({ type: 'stored', result })
        if (this.#work.length > 0 || this.#mustLook || store.hasWork) this.#submit()
      })
    })
  }

  #arm(): void {
    const deadlineUs = this.#node?.deadlineUs()
    if (deadlineUs === undefined || this.#armedUs <= deadlineUs) return
    const atUs = Math.max(Math.ceil(deadlineUs), this.#nowUs() + turnUs)
    if (this.#armedUs <= atUs) return
    this.#armedUs = atUs
    this.#options.network.time.at(atUs, () => {
      if (this.#armedUs !== atUs) return
      this.#armedUs = Infinity
      this.#turn()
    })
  }

  #turn(): void {
    if (this.#node === undefined) return
    if (this.#nowUs() - this.#turnsSinceUs >= 1_000_000) {
      this.#turnsSinceUs = this.#nowUs()
      this.#turns = 0
    }
    ok(++this.#turns <= turnsPerSecondMax, 'A node rests between its turns.')
    if ((this.#node.deadlineUs() ?? Infinity) > this.#nowUs()) return this.#arm()
    this.ticks++
    this.feed({ type: 'tick' })
  }

  /** Unless the power goes off before. */
  #later(us: number, run: () => void): void {
    const life = this.#life
    this.#options.network.time.at(this.#nowUs() + us, () => {
      if (life === this.#life) run()
    })
  }
}
