/**
 * What a daemon needs of the network of its machine: sockets, names, addresses. A test may give it
 * another one. Must never hold a state of its own.
 */
import { ownAddresses } from './ip.ts'
import type { Lookup } from './resolver.ts'
import { type DatagramSocket, openUdpSocket, type UdpOptions } from './udp-socket.ts'

export type HostNetwork = {
  /** @throws StartError when the port is taken or the address is not one of this machine. */
  readonly openSocket: (options: UdpOptions) => Promise<DatagramSocket>
  /** A process of its own asks the system, if left out. */
  readonly lookup?: Lookup
  /** Every address of this machine at this moment. */
  readonly ownAddresses: () => string[]
}

/** The one that the system has. */
export const systemNetwork: HostNetwork = {
  openSocket: openUdpSocket,
  ownAddresses,
}

// The addresses of this machine, now and whenever they change. Must never resolve a name.

/** A laptop that wakes or a container that is connected again is noticed within this time. */
const lookAgainMs = 5_000

/** Shows the addresses at once, and again after each change. */
export class NetworkWatch {
  readonly #onChange: (ips: readonly string[]) => void
  readonly #read: () => string[]
  #known = ''
  #timer: NodeJS.Timeout | undefined

  constructor(onChange: (ips: readonly string[]) => void, read = ownAddresses) {
    this.#onChange = onChange
    this.#read = read
  }

  start(): void {
    this.look()
    this.#timer = setInterval(() => this.look(), lookAgainMs)
  }

  look(): void {
    const ips = this.#read()
    const key = ips.join()
    if (key === this.#known) return
    this.#known = key
    this.#onChange(ips)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
