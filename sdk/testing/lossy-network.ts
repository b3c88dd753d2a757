/**
 * A network inside the process: hosts by address, and for each direction between two of them what
 * it does to the datagrams there. What happens to a datagram is drawn from a seed, for each
 * direction on its own, so that the traffic of one does not change the luck of another; when it
 * arrives goes by the clock of the machine. Must never look inside a datagram, nor throw for one.
 */
import { assert } from '../../daemon/protocol/assert.ts'
import type {
  DatagramSocket,
  HostNetwork,
  UdpEvents,
} from '../../daemon/platform/net/udp-socket.ts'
import { type Address, showAddress } from '../../daemon/protocol/io.ts'
import {
  type InTransit,
  type WirePart,
  corruption,
  delay,
  detour,
  duplication,
  jitter,
  loss,
  rate,
} from './wire-parts.ts'
import type { Lookup } from '../../daemon/platform/net/resolver.ts'
import type { LinkConditions } from './link.ts'

/** The largest datagram over UDP and IPv4; a longer one is rejected, as the system would. */
const datagramBytesMax = 65_507
const bufferBytes = 4_194_304
/** A double comes this much later at most. */
const doubleUs = 10_000
/** What a slow link holds: a quarter of a second. */
const queueSeconds = 0.25

/** Datagrams so far: those that were sent, and those that arrived, doubles included. */
export type DatagramCounts = { readonly sent: number; readonly arrived: number }

type Direction = { readonly random: SeededRandom; parts: readonly WirePart[]; isCut: boolean }

export class LossyNetwork {
  readonly #seed: number
  readonly #ips = new Map<string, string>()
  readonly #sockets = new Map<string, LossySocket>()
  readonly #directions = new Map<string, Direction>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #sent = 0
  #arrived = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  get counts(): DatagramCounts {
    return { sent: this.#sent, arrived: this.#arrived }
  }

  /** The machine `name`, with an address of its own. */
  host(name: string): HostNetwork {
    const ip = `10.0.0.${this.#ips.size + 1}`
    this.#ips.set(name, ip)
    return {
      openSocket: async ({ port }) => this.#open({ ip, port }),
      lookup: this.#lookupAt(ip),
      ownAddresses: () => [ip],
    }
  }

  /** What `from` sends to `to` suffers this from now on, and nothing else. */
  setLink(from: string, to: string, conditions: LinkConditions): void {
    this.#direction(this.#ipOf(from), this.#ipOf(to)).parts = partsOf(conditions)
  }

  /** Nothing passes in this direction, or it does again. */
  setCut(from: string, to: string, isCut: boolean): void {
    this.#direction(this.#ipOf(from), this.#ipOf(to)).isCut = isCut
  }

  /** The machine is gone from the network at once, as when its power fails. */
  unplug(name: string): void {
    const ip = this.#ipOf(name)
    for (const socket of this.#sockets.values()) if (socket.address.ip === ip) socket.unplug()
  }

  /** What is on its way is lost. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }

  #open(address: Address): DatagramSocket {
    const key = showAddress(address)
    const socket: LossySocket = new LossySocket(address, {
      send: (to, bytes) => this.#carry(address, to, bytes),
      closed: () => {
        if (this.#sockets.get(key) === socket) this.#sockets.delete(key)
      },
    })
    this.#sockets.set(key, socket)
    return socket
  }

  #lookupAt(own: string): Lookup {
    return (host, callback) => {
      const ip = host === 'localhost' ? own : this.#ips.get(host)
      const error = Object.assign(new Error(`There is no machine ${host}.`), { code: 'ENOTFOUND' })
      queueMicrotask(() =>
        ip === undefined ? callback(error, []) : callback(null, [{ address: ip, family: 4 }]),
      )
    }
  }

  #carry(from: Address, to: Address, bytes: Uint8Array): void {
    this.#sent++
    const { random, parts, isCut } = this.#direction(from.ip, to.ip)
    if (isCut) return
    const nowUs = performance.now() * 1_000
    // A copy: the sender may use its memory again.
    let datagrams: readonly InTransit[] = [{ from, to, bytes: Uint8Array.from(bytes), delayUs: 0 }]
    for (const part of parts) datagrams = datagrams.flatMap((one) => part(one, { nowUs, random }))
    for (const datagram of datagrams) this.#later(datagram)
  }

  #later({ from, to, bytes, delayUs }: InTransit): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (this.#direction(from.ip, to.ip).isCut) return
      const socket = this.#sockets.get(showAddress(to))
      if (socket?.take(from, bytes) === true) this.#arrived++
    }, delayUs / 1_000)
    this.#timers.add(timer)
  }

  #direction(from: string, to: string): Direction {
    const key = `${from} ${to}`
    const known = this.#directions.get(key)
    if (known !== undefined) return known
    const made = { random: new SeededRandom(seedOf(this.#seed, key)), parts: [], isCut: false }
    this.#directions.set(key, made)
    return made
  }

  #ipOf(name: string): string {
    const ip = this.#ips.get(name)
    if (ip === undefined) throw new Error(`There is no machine ${name}.`)
    return ip
  }
}

/** FNV-1a over the characters: neighbours in, unauthenticated peers out. */
function seedOf(seed: number, key: string): number {
  let hash = (2_166_136_261 ^ seed) >>> 0
  for (const character of key) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619) >>> 0
  }
  return hash
}

function partsOf(conditions: LinkConditions): WirePart[] {
  const { lossPercent = 0, delayMs = 0, jitterMs = 0, reorderPercent = 0 } = conditions
  const { duplicatePercent = 0, corruptPercent = 0, rateKbit = 0 } = conditions
  const bytesPerSecond = rateKbit * 125
  const leastUs = Math.max(0, delayMs - jitterMs) * 1_000
  const queued = rateKbit > 0 ? [rate(bytesPerSecond, bytesPerSecond * queueSeconds)] : []
  const delayed = [delay(leastUs), ...(jitterMs > 0 ? [jitter(2_000 * jitterMs)] : [])]
  return [
    ...(lossPercent > 0 ? [loss(lossPercent / 100)] : []),
    ...(duplicatePercent > 0 ? [duplication(duplicatePercent / 100, doubleUs)] : []),
    ...(corruptPercent > 0 ? [corruption(corruptPercent / 100)] : []),
    ...queued,
    ...delayed,
    // Those that go at once: the others have waited for the delay already.
    ...(reorderPercent > 0 ? [detour(reorderPercent / 100, -leastUs)] : []),
  ]
}

type Wire = {
  readonly send: (to: Address, bytes: Uint8Array) => void
  readonly closed: () => void
}

class LossySocket implements DatagramSocket {
  readonly address: Address
  readonly hasIpv6 = false
  readonly receiveBufferBytes = bufferBytes
  readonly #wire: Wire
  #events: UdpEvents | undefined
  #isPlugged = true

  constructor(address: Address, wire: Wire) {
    this.address = address
    this.#wire = wire
  }

  listen(events: UdpEvents): void {
    this.#events = events
  }

  send(to: Address, bytes: Uint8Array): void {
    if (!this.#isPlugged) return
    if (bytes.length <= datagramBytesMax) return this.#wire.send(to, bytes)
    const { length } = bytes
    setImmediate(() => this.#events?.onSendFailed('EMSGSIZE', to, length))
  }

  /** @returns whether somebody got it. */
  take(from: Address, bytes: Uint8Array): boolean {
    if (!this.#isPlugged || this.#events === undefined) return false
    this.#events.onDatagram(from, bytes)
    return true
  }

  unplug(): void {
    this.#isPlugged = false
  }

  async close(): Promise<void> {
    this.#wire.closed()
    this.#isPlugged = false
    return Promise.resolve()
  }
}

// Chance that a seed decides (mulberry32), for models. Must never be used where an attacker may
// guess, nor outside tests.

export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to less than 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** A whole number from 0 to less than `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  one<T>(things: readonly T[]): T {
    const thing = things[this.below(things.length)]
    assert(thing !== undefined, 'There is one to draw.')
    return thing
  }

  /** One of `things`, each as likely as its weight says. */
  oneByWeight<T extends { readonly weight: number }>(things: readonly T[]): T {
    let left = this.next() * things.reduce((sum, { weight }) => sum + weight, 0)
    const thing = things.find(({ weight }) => (left -= weight) < 0)
    assert(thing !== undefined, 'Weights add up.')
    return thing
  }
}
