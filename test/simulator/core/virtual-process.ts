/**
 * One process in virtual time, from its start to its end: the daemon's own event loop over the real
 * core. What stands for the system: a socket on the virtual network, a thread whose turns take
 * virtual time, and a table of names. Must never hand the event loop anything that a system could
 * not.
 */
import { EventLoop } from '../../../daemon/event-loop.ts'
import { createCounters } from '../../../daemon/platform/counters.ts'
import type { Lookup } from '../../../daemon/platform/net/resolver.ts'
import type { DatagramSocket, UdpEvents } from '../../../daemon/platform/net/udp-socket.ts'
import type { Environment } from '../../../daemon/protocol/crypto/provider.ts'
import { Endpoint, type EndpointOptions } from '../../../daemon/protocol/endpoint.ts'
import type { Address, Input, NodeEvent, Output } from '../../../daemon/protocol/io.ts'
import type { StorePort } from '../../../daemon/store/thread/client.ts'
import type { VirtualNetwork } from './virtual-network.ts'
import type { VirtualThread } from './virtual-thread.ts'

/** What a name service says, and how long it takes. */
export type Named = {
  readonly ips: readonly string[]
  /** Why there are none, as the system has it. */
  readonly code: string
  readonly afterUs: number
}

/** A store in the same process, which ends with it. */
export type VirtualStore = StorePort & { readonly kill: () => void }

export type ProcessParts = {
  readonly network: VirtualNetwork
  readonly thread: VirtualThread
  readonly store: VirtualStore
  readonly environment: Environment
  readonly node: EndpointOptions
  readonly address: Address
  readonly resolve: (host: string) => Named
  /** The system rejects what is longer. */
  readonly datagramBytesMax: () => number
  /** Before each output; the process is gone when this returns true. */
  readonly dies: (type: Output['type']) => boolean
  readonly onEvent: (event: NodeEvent) => void
  readonly onTick: () => void
  readonly onThrown: (error: unknown) => void
}

export class VirtualProcess implements DatagramSocket {
  readonly node: Endpoint
  readonly hasIpv6 = true
  readonly receiveBufferBytes = 4_194_304
  readonly #parts: ProcessParts
  readonly #loop: EventLoop
  #udp: UdpEvents | undefined
  #address: Address
  #isOver = false
  #thrown: unknown
  #buffered = 0
  #bufferedMax = 0

  constructor(parts: ProcessParts) {
    const { thread, store, environment, node, onTick, onEvent } = parts
    this.#parts = parts
    this.#address = parts.address
    this.node = new Endpoint(node, environment, thread.nowUs())
    this.#loop = new EventLoop({
      core: {
        handle: (input, nowUs) => {
          if (this.#isOver) return []
          if (input.type === 'tick') onTick()
          return this.node.handle(input, nowUs)
        },
        deadlineUs: () => (this.#isOver ? undefined : this.node.deadlineUs()),
      },
      socket: this,
      store,
      counters: createCounters(),
      onEvent: (event) => {
        if (!this.isGoneBefore('event')) onEvent(event)
      },
      onBug: (error) => this.onThrown(error),
      scheduler: thread,
      lookup: (...asked) => this.#lookup(...asked),
    })
  }

  get address(): Address {
    return this.#address
  }

  /** It listens to its socket and its store. */
  start(): void {
    this.#loop.start()
  }

  feed(input: Input): void {
    this.#loop.feed(input)
  }

  /** At the start and when the addresses of the machine have changed. */
  onNetwork(): void {
    this.#parts.thread.run(() => this.#loop.onNetwork([this.#address.ip]))
  }

  /** Whoever ends it ends its threads too. */
  end(): void {
    this.#isOver = true
    this.#parts.network.detach(this.#address)
    this.#parts.thread.end()
    this.#parts.store.kill()
  }

  /** As SIGTERM does it; the store is closed when this returns. */
  stop(): void {
    // What is thrown there comes by `onThrown` first.
    this.#loop.stop().catch(() => {})
    if (this.#thrown !== undefined) throw this.#thrown as Error
  }

  /** While its thread is frozen, so many datagrams wait for it. */
  setBuffered(most: number): void {
    this.#bufferedMax = most
  }

  moveTo(address: Address): void {
    this.#parts.network.detach(this.#address)
    this.#address = address
    this.#attach()
  }

  listen(events: UdpEvents): void {
    this.#udp = events
    this.#attach()
  }

  send(to: Address, bytes: Uint8Array): void {
    if (this.isGoneBefore('send')) return
    const { length } = bytes
    if (length <= this.#parts.datagramBytesMax()) {
      return this.#parts.network.send(this.#address, to, bytes)
    }
    this.#parts.thread.nextTurn(() => this.#udp?.onSendFailed('EMSGSIZE', to, length))
  }

  async close(): Promise<void> {
    return Promise.resolve()
  }

  /** Whether the process is gone, or goes now, before this output. */
  isGoneBefore(type: Output['type']): boolean {
    return this.#isOver || this.#parts.dies(type)
  }

  onThrown(error: unknown): void {
    this.#thrown ??= error
    this.#parts.onThrown(error)
  }

  #attach(): void {
    this.#parts.network.attach(this.#address, (from, bytes) => this.#receive(from, bytes))
  }

  #receive(from: Address, bytes: Uint8Array): void {
    const { thread } = this.#parts
    if (!thread.isFrozen) return this.#udp?.onDatagram(from, bytes)
    if (this.#buffered >= this.#bufferedMax) return
    this.#buffered++
    // The network takes its bytes back.
    const kept = bytes.slice()
    thread.run(() => {
      this.#buffered--
      this.#udp?.onDatagram(from, kept)
    })
  }

  readonly #lookup: Lookup = (host, callback) => {
    if (this.isGoneBefore('resolve')) return
    const { ips, code, afterUs } = this.#parts.resolve(host)
    const error = Object.assign(new Error(`nobody knows ${host}`), { code })
    const found = ips.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    this.#parts.thread.post(afterUs, () =>
      ips.length === 0 ? callback(error, []) : callback(null, found),
    )
  }
}
