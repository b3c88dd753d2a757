/**
 * What a daemon needs of the network of its machine: sockets, names, addresses. A test may give it
 * another one. Must never hold a state of its own.
 */
import { ownAddresses } from './network.ts'
import type { Lookup } from './resolver.ts'
import { openUdpSocket, type DatagramSocket, type UdpOptions } from './udp-socket.ts'

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
