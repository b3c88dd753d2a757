/**
 * Feeds the core with what happens and performs what it decides: one socket, one store, one clock,
 * one timer. Must never decide anything itself; what the network, the names and the disk do to it
 * is counted or handed to the core as a fact.
 */
import { type Counters, countKind, countUsage, countWork } from './platform/counters.ts'
import { lookupsAtOnce } from './platform/net/name-process.ts'
import { type Lookup, type Resolved, Resolver } from './platform/net/resolver.ts'
import type { DatagramSocket } from './platform/net/udp-socket.ts'
import { unreachable } from './protocol/assert.ts'
import type { Address, Input, NodeEvent, Output } from './protocol/io.ts'
import type { StoreResult } from './protocol/store-messages.ts'
import type { Peer, StoreTask } from './store/store.ts'
import type { StorePort } from './store/thread/client.ts'
import type { StoreUsage } from './store/thread/runner.ts'
import { type Cancel, type Scheduler, systemScheduler } from '../sdk/schema/scheduler.ts'

/** What the driver knows of `Endpoint`. */
export type Core = {
  handle(input: Input, nowUs: number): Output[]
  deadlineUs(): number | undefined
}

export type EventLoopParts = {
  readonly core: Core
  readonly socket: DatagramSocket
  readonly store: StorePort
  readonly counters: Counters
  readonly onEvent: (event: NodeEvent) => void
  /** The core has thrown: a bug of ours, and the end. */
  readonly onBug: (error: unknown) => void
  /** The system's, if left out. */
  readonly scheduler?: Scheduler
  /** The system's, if left out. */
  readonly lookup?: Lookup
}

/** Peers to be contacted have waited for hours; rows wait now. */
const lookupsForWakeUps = lookupsAtOnce / 4
const lookupsForLanes = lookupsAtOnce - lookupsForWakeUps

/** Below this, timers are too coarse and the loop is turned instead. */
const timerUsMin = 1_000

export class EventLoop {
  readonly #parts: EventLoopParts
  readonly #resolver: Resolver
  /** Names of peers to be contacted; they must not stand in the way of the lanes' names. */
  readonly #wakeUps: Resolver
  readonly #portsToNotify = new Map<string, number[]>()
  readonly #inputs: Input[] = []
  /** Its monotonic clock is the only one of the protocol. */
  readonly #scheduler: Scheduler
  readonly #clock: ClockWatch
  #isFeeding = false
  #hasTurnEnd = false
  #isOver = false
  /** When the timer will look at the core's deadline. */
  #armedUs = Number.POSITIVE_INFINITY
  #cancelTimer: Cancel | undefined

  constructor(parts: EventLoopParts) {
    this.#parts = parts
    const { lookup, scheduler = systemScheduler } = parts
    this.#scheduler = scheduler
    this.#clock = new ClockWatch(scheduler.wallMs, () => scheduler.nowUs() / 1_000)
    const onResolved = (resolved: Resolved): void => this.#onResolved(resolved)
    const onHandshake = (resolved: Resolved): void => this.#onHandshake(resolved)
    this.#resolver = new Resolver(onResolved, lookupsForLanes, lookup, scheduler)
    this.#wakeUps = new Resolver(onHandshake, lookupsForWakeUps, lookup, scheduler)
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
      onPeers: (peers) => this.#wakePeers(peers),
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
        const outputs = this.#parts.core.handle(next, this.#scheduler.nowUs())
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
    this.#wakeUps.stop()
    this.#cancelTimer?.()
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

  /** PROTOCOL §3.7. Most peers are known by address, and contacted at once. */
  #wakePeers(peers: readonly Peer[]): void {
    for (const { host, port } of peers) {
      this.#portsToNotify.set(host, [...(this.#portsToNotify.get(host) ?? []), port])
    }
    for (const host of this.#portsToNotify.keys()) this.#wakeUps.resolve(host)
  }

  #onHandshake({ host, ips: [ip] }: Resolved): void {
    const ports = this.#portsToNotify.get(host) ?? []
    this.#portsToNotify.delete(host)
    if (ip === undefined || ports.length === 0) return
    this.feed({ type: 'wake-peers', addresses: ports.map((port) => ({ ip, port })) })
  }

  #onResults(results: readonly StoreResult[], effort: StoreUsage): void {
    countUsage(this.#parts.counters, effort)
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
    this.#scheduler.nextTurn(() => {
      this.#hasTurnEnd = false
      this.#look()
      this.#parts.store.flush()
    })
  }

  #look(): void {
    const deadlineUs = this.#parts.core.deadlineUs()
    if (this.#isOver || deadlineUs === undefined) return
    const delayUs = deadlineUs - this.#scheduler.nowUs()
    if (delayUs <= 0) this.feed({ type: 'tick' })
    else if (delayUs < timerUsMin) this.#endTurn()
    else this.#arm(deadlineUs, delayUs)
  }

  /** A timer that comes too early looks again: cheaper than to move it with every packet. */
  #arm(deadlineUs: number, delayUs: number): void {
    if (this.#armedUs <= deadlineUs) return
    this.#armedUs = deadlineUs
    this.#cancelTimer?.()
    this.#cancelTimer = this.#scheduler.after(Math.ceil(delayUs / 1_000), () => {
      this.#armedUs = Number.POSITIVE_INFINITY
      // The datagrams that have come meanwhile are handled before.
      this.#endTurn()
    })
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
  return `${unsentReasons[code] ?? 'the system rejects it'} (${code})`
}

// Notices when the wall clock and the monotonic one move apart: the clock was set, the machine
// slept, or it is a copy of a running machine that has been woken. Must never be asked after what
// depends on it.

/** A clock that is only slewed stays below this between two looks. */
const jumpMsMin = 2_000

export class ClockWatch {
  readonly #apartMs: () => number
  #knownMs: number

  constructor(wallMs: () => number, monotonicMs: () => number) {
    this.#apartMs = () => wallMs() - monotonicMs()
    this.#knownMs = this.#apartMs()
  }

  /** Since the last time. */
  hasJumped(): boolean {
    const apartMs = this.#apartMs()
    const isJump = Math.abs(apartMs - this.#knownMs) > jumpMsMin
    this.#knownMs = apartMs
    return isJump
  }
}
