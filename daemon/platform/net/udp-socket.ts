/**
 * The one UDP socket: datagrams in, datagrams out, addresses in one form. What the network does to
 * a datagram is counted, never thrown. Must never connect the socket, resolve a name or keep a
 * datagram.
 */
import { type RemoteInfo, type Socket, createSocket } from 'node:dgram'
import { isIP } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { fromSocket, ownAddresses, toDualStack } from './ip.ts'
import type { Lookup } from './resolver.ts'
import type { Address } from '../../protocol/io.ts'
import { StartError } from '../start-error.ts'

export type UdpOptions = {
  /** undefined: every address, IPv6 and IPv4. */
  readonly ip: string | undefined
  readonly port: number
}

export type UdpEvents = {
  readonly onDatagram: (from: Address, bytes: Uint8Array) => void
  /** The system would not send it; `code` is the system's. */
  readonly onSendFailed: (code: string, to: Address, bytes: number) => void
  readonly onReceiveFailed: (code: string) => void
}

/** Datagrams in, datagrams out: the system's socket, or what stands for it in a test. */
export interface DatagramSocket {
  readonly address: Address
  /** False where the socket speaks IPv4 only. */
  readonly hasIpv6: boolean
  /** What the system has given of the buffer that was asked for. */
  readonly receiveBufferBytes: number
  /** Whom to tell; what has come before is dropped, as the network might have. Called once. */
  listen(events: UdpEvents): void
  /** `bytes` is kept until the system has taken it. */
  send(to: Address, bytes: Uint8Array): void
  close(): Promise<void>
}

/** As much as the system gives of it: a burst at 1 Gbit/s while the loop is busy for 30 ms. */
const bufferBytes = 4_194_304
const bufferBytesMin = 262_144

export class UdpSocket implements DatagramSocket {
  readonly address: Address
  readonly hasIpv6: boolean
  readonly receiveBufferBytes: number
  readonly #socket: Socket
  /** For IPv4 where `#socket` speaks IPv6 only. */
  readonly #ipv4: Socket | undefined
  #events: UdpEvents | undefined

  /** `socket` is bound, and so is `ipv4`, to the same port. */
  constructor(socket: Socket, hasIpv6: boolean, ipv4?: Socket) {
    this.#socket = socket
    this.#ipv4 = ipv4
    this.hasIpv6 = hasIpv6
    const buffers = this.#sockets.map((one) => one.getRecvBufferSize())
    this.receiveBufferBytes = Math.min(...buffers)
    const { address, port } = socket.address()
    this.address = { ip: fromSocket(address), port }
    for (const one of this.#sockets) {
      one.on('error', (error) => this.#events?.onReceiveFailed(codeOf(error)))
    }
  }

  get #sockets(): readonly Socket[] {
    return this.#ipv4 === undefined ? [this.#socket] : [this.#socket, this.#ipv4]
  }

  listen(events: UdpEvents): void {
    this.#events = events
    for (const socket of this.#sockets) {
      socket.on('message', (bytes, { address, port }: RemoteInfo) => {
        events.onDatagram({ ip: fromSocket(address), port }, bytes)
      })
    }
  }

  send(to: Address, bytes: Uint8Array): void {
    const isSplit = this.#ipv4 !== undefined
    const ip = this.hasIpv6 && !isSplit ? toDualStack(to.ip) : to.ip
    const socket = isSplit && !ip.includes(':') ? this.#ipv4 : this.#socket
    try {
      socket.send(bytes, to.port, ip, (error) => {
        if (error !== null) this.#events?.onSendFailed(codeOf(error), to, bytes.length)
      })
    } catch (error) {
      // dgram throws for what it checks itself: port 0, a socket that has been closed.
      this.#events?.onSendFailed(codeOf(error), to, bytes.length)
    }
  }

  async close(): Promise<void> {
    // dgram hands a datagram to the system a moment after `send`: the last ones must still leave.
    await setImmediate()
    await Promise.all(this.#sockets.map(async (socket) => closed(socket)))
  }
}

/** @throws StartError when the port is taken or the address is not one of this machine. */
export async function openUdpSocket({ ip, port }: UdpOptions): Promise<UdpSocket> {
  if (ip !== undefined && ip !== '::') {
    const isIpv6 = ip.includes(':')
    return new UdpSocket(await bind(isIpv6 ? 'udp6' : 'udp4', ip, port), isIpv6)
  }
  let socket: Socket
  try {
    socket = await bind('udp6', '::', port)
  } catch (error) {
    const isWithout = hasCode(error, ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT'])
    if (!isWithout || ip !== undefined) throw error
    return new UdpSocket(await bind('udp4', '0.0.0.0', port), false)
  }
  try {
    return new UdpSocket(socket, true, await ipv4Beside(socket))
  } catch (error) {
    socket.close()
    throw error
  }
}

/**
 * A socket on `::` takes IPv4 too, unless the system says otherwise (`net.ipv6.bindv6only`), which
 * Node.js cannot undo. It shows when another such socket sends something to itself, where there is
 * IPv4 at all.
 */
async function ipv4Beside(socket: Socket): Promise<Socket | undefined> {
  if (!ownAddresses().includes('127.0.0.1')) return undefined
  const other = await bind('udp6', '::', 0)
  const { promise, resolve } = Promise.withResolvers<Error | null>()
  other.send(new Uint8Array(), other.address().port, toDualStack('127.0.0.1'), resolve)
  const error = await promise
  await closed(other)
  return error === null ? undefined : bind('udp4', '0.0.0.0', socket.address().port)
}

async function closed(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.close(() => resolve())
  return promise
}

function hasCode(error: unknown, codes: readonly string[]): boolean {
  const cause = error instanceof StartError ? error.cause : error
  return codes.includes((cause as NodeJS.ErrnoException).code ?? '')
}

async function bind(type: 'udp4' | 'udp6', ip: string, port: number): Promise<Socket> {
  const socket = createSocket({ type, lookup })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('error', reject)
  try {
    socket.bind({ address: ip, port, exclusive: true }, resolve)
    await promise
  } catch (error) {
    socket.close()
    throw bindError(error as NodeJS.ErrnoException, ip, port)
  }
  socket.off('error', reject)
  widen((bytes) => socket.setRecvBufferSize(bytes))
  widen((bytes) => socket.setSendBufferSize(bytes))
  return socket
}

/**
 * Nothing but addresses is sent to. The system's look-up would hand them back too, but one turn of
 * the queue later, for each datagram.
 */
function lookup(
  address: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, address, isIP(address))
}

function bindError(cause: NodeJS.ErrnoException, ip: string, port: number): Error {
  const { code } = cause
  if (code === 'EADDRINUSE') {
    const sentence = `UDP port ${port} is taken by another process`
    const advice = 'stop that one (ss -lunp names it) or choose another port.'
    return new StartError('TINYMQ_PORT_IN_USE', `${sentence}: ${advice}`, { cause })
  }
  const sentence = `Cannot listen on ${ip} port ${port}: the system says ${code}.`
  const advice = bindAdvice[code ?? ''] ?? ''
  return new StartError('TINYMQ_INVALID_ADDRESS', `${sentence}${advice}`, { cause })
}

const bindAdvice: { readonly [code: string]: string } = {
  EADDRNOTAVAIL: ' Name an address of this machine: ip addr lists them.',
  EACCES: ' Ports below 1024 are for the administrator: choose a higher one.',
}

/** Linux gives what it allows; other systems reject what is too much. */
function widen(ask: (bytes: number) => void): void {
  for (let bytes = bufferBytes; bytes >= bufferBytesMin; bytes /= 2) {
    try {
      ask(bytes)
      return
    } catch {
      // The next smaller one; the system's own default is fine too.
    }
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown'
}

// What a daemon needs of the network of its machine: sockets, names, addresses. A test may give
// it another one. Must never hold a state of its own.

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
