/**
 * Feeds the core with what happens and performs what it decides: one socket, one store, one clock,
 * one timer. Must never decide anything itself; what the network, the names and the disk do to it
 * is counted or handed to the core as a fact.
 */
import { ClockWatch } from './clock-watch.ts'
import { countEffort, countKind, countWork, type Counters } from './counters.ts'
import type { Address, Input, NodeEvent, Output } from './protocol/node-io.ts'
import type { StoreResult } from './protocol/store-port.ts'
import { unreachable } from './protocol/assert.ts'
import { lookupsAtOnce } from './name-process.ts'
import { Resolver, type Lookup, type Resolved } from './resolver.ts'
import type { Peer, StoreTask } from './store/store.ts'
import type { StoreEffort } from './store-host.ts'
import type { StorePort } from './store-thread.ts'
import type { DatagramSocket } from './udp-socket.ts'

/** What the driver knows of `Node`. */
export type Core = {
  handle(input: Input, nowUs: number): Output[]
  deadlineUs(): number | undefined
}

export type DriverParts = {
  readonly core: Core
  readonly socket: DatagramSocket
  readonly store: StorePort
  readonly counters: Counters
  readonly onEvent: (event: NodeEvent) => void
  /** The core has thrown: a bug of ours, and the end. */
  readonly onBug: (error: unknown) => void
  readonly clock?: ClockWatch
  /** The system's, if left out. */
  readonly lookup?: Lookup
}

/** Monotonic microseconds: the only clock of the protocol. */
export function monotonicUs(): number {
  return Math.floor(performance.now() * 1_000)
}

/** Peers to be greeted have waited for hours; rows wait now. */
const lookupsForGreetings = lookupsAtOnce / 4
const lookupsForLanes = lookupsAtOnce - lookupsForGreetings

/** Below this, timers are too coarse and the loop is turned instead. */
const timerUsMin = 1_000

export class Driver {
  readonly #parts: DriverParts
  readonly #resolver: Resolver
  /** Names of peers to be greeted; they must not stand in the way of the lanes' names. */
  readonly #greetings: Resolver
  readonly #portsToGreet = new Map<string, number[]>()
  readonly #inputs: Input[] = []
  readonly #clock: ClockWatch
  #isFeeding = false
  #hasTurnEnd = false
  #isOver = false
  /** When the timer will look at the core's deadline. */
  #armedUs = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(parts: DriverParts) {
    this.#parts = parts
    this.#clock = parts.clock ?? new ClockWatch()
    const { lookup } = parts
    const onResolved = (resolved: Resolved): void => this.#onResolved(resolved)
    const onGreeted = (resolved: Resolved): void => this.#onGreeted(resolved)
    this.#resolver = new Resolver(onResolved, lookupsForLanes, lookup)
    this.#greetings = new Resolver(onGreeted, lookupsForGreetings, lookup)
  }

  /** Begins to listen to the socket and the store. */
  start(): void {
    const { socket, store, counters } = this.#parts
    socket.listen({
      onDatagram: (from, bytes) => this.feed({ type: 'datagram', from, bytes }),
      onSendFailed: (code, to, bytes) => this.#onSendFailed(code, to, bytes),
      onReceiveFailed: (code) => countKind(counters.receivesFailed, code),
    })
    store.listen({
      onResults: (results, effort) => this.#onResults(results, effort),
      onPeers: (peers) => this.#greet(peers),
    })
  }

  /** At the start and whenever the addresses of this machine have changed. */
  onNetwork(ips: readonly string[]): void {
    this.feed({ type: 'network', ips })
    this.#parts.store.askPeers()
  }

  /** An input that comes up while another is handled waits for its turn. */
  feed(input: Input): void {
    if (this.#isOver) return
    // Before anything is sealed: it could be what another copy of this machine seals too.
    if (this.#clock.hasJumped()) this.#inputs.push({ type: 'clock-jumped' })
    this.#inputs.push(input)
    if (this.#isFeeding) return
    this.#isFeeding = true
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        const outputs = this.#parts.core.handle(next, monotonicUs())
        for (const output of outputs) this.#perform(output)
      }
    } catch (error) {
      this.#end()
      this.#parts.onBug(error)
    } finally {
      this.#isFeeding = false
    }
    this.#endTurn()
  }

  /** Asks the store for something that is not the core's business. */
  submit(task: StoreTask): void {
    this.#parts.store.submit(task)
    this.#endTurn()
  }

  /** Closes every session; what the store was asked to do is done when it resolves. */
  async stop(): Promise<void> {
    this.feed({ type: 'stop' })
    await this.#parts.store.close()
    this.#end()
  }

  #end(): void {
    this.#isOver = true
    this.#inputs.length = 0
    this.#resolver.stop()
    this.#greetings.stop()
    clearTimeout(this.#timer)
  }

  #onSendFailed(code: string, to: Address, bytes: number): void {
    countKind(this.#parts.counters.sendsFailed, code)
    if (code === 'EMSGSIZE') this.feed({ type: 'too-long', to, bytes })
    else this.feed({ type: 'unsent', to, reason: unsentReason(code) })
  }

  #onResolved({ host, ips, reason }: Resolved): void {
    const usable = this.#parts.socket.hasIpv6 ? ips : ips.filter((ip) => !ip.includes(':'))
    const noIpv6 = 'only IPv6 addresses, and this machine has no IPv6'
    const why = ips.length > 0 && usable.length === 0 ? noIpv6 : reason
    this.feed({ type: 'resolved', host, ips: usable, reason: why })
  }

  /** PROTOCOL §3.7. Most peers are known by address, and greeted at once. */
  #greet(peers: readonly Peer[]): void {
    for (const { host, port } of peers) {
      this.#portsToGreet.set(host, [...(this.#portsToGreet.get(host) ?? []), port])
    }
    for (const host of this.#portsToGreet.keys()) this.#greetings.resolve(host)
  }

  #onGreeted({ host, ips: [ip] }: Resolved): void {
    const ports = this.#portsToGreet.get(host) ?? []
    this.#portsToGreet.delete(host)
    if (ip === undefined || ports.length === 0) return
    this.feed({ type: 'greet', addresses: ports.map((port) => ({ ip, port })) })
  }

  #onResults(results: readonly StoreResult[], effort: StoreEffort): void {
    countEffort(this.#parts.counters, effort)
    for (const result of results) this.feed({ type: 'stored', result })
    // They come all at once: a lone message need not wait for the end of the turn.
    this.#look()
  }

  #perform(output: Output): void {
    const { socket, store, counters } = this.#parts
    switch (output.type) {
      case 'send':
        return socket.send(output.to, output.bytes)
      case 'store':
        countWork(counters, output.work)
        return store.submit(output.work)
      case 'resolve':
        counters.namesAsked++
        return this.#resolver.resolve(output.host)
      case 'event':
        countKind(counters.events, output.event.type)
        return this.#parts.onEvent(output.event)
      default:
        return unreachable(output)
    }
  }

  /** What follows from all the datagrams and results of one turn of the loop is asked for once. */
  #endTurn(): void {
    if (this.#hasTurnEnd) return
    this.#hasTurnEnd = true
    setImmediate(() => {
      this.#hasTurnEnd = false
      this.#look()
      this.#parts.store.flush()
    })
  }

  #look(): void {
    const deadlineUs = this.#parts.core.deadlineUs()
    if (this.#isOver || deadlineUs === undefined) return
    const delayUs = deadlineUs - monotonicUs()
    if (delayUs <= 0) this.feed({ type: 'tick' })
    else if (delayUs < timerUsMin) this.#endTurn()
    else this.#arm(deadlineUs, delayUs)
  }

  /** A timer that comes too early looks again: cheaper than to move it with every packet. */
  #arm(deadlineUs: number, delayUs: number): void {
    if (this.#armedUs <= deadlineUs) return
    this.#armedUs = deadlineUs
    clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => {
        this.#armedUs = Number.POSITIVE_INFINITY
        // The datagrams that have come meanwhile are handled before.
        this.#endTurn()
      },
      Math.ceil(delayUs / 1_000),
    )
  }
}

const unsentReasons: { readonly [code: string]: string } = {
  ENETUNREACH: 'it has no route there',
  EHOSTUNREACH: 'its route there is closed, or no machine has this address',
  ENETDOWN: 'its network is down',
  EPERM: 'its own firewall blocks it',
  EACCES: 'its own firewall or a route forbids it',
  EINVAL: 'the address cannot be reached from the one that it is bound to',
  EAFNOSUPPORT: 'it is bound to an address of the other family',
  EADDRNOTAVAIL: 'it has no address of its own for that',
}

/** The end of a sentence about this machine. */
function unsentReason(code: string): string {
  return `${unsentReasons[code] ?? 'the system refuses it'} (${code})`
}
