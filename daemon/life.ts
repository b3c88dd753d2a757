/**
 * A daemon on one database file, from opening it to closing it. When the file is replaced, this
 * life ends and the next one begins (daemon.ts). Must never outlive its file.
 */
import type { Counters } from './counters.ts'
import { nodeEnvironment } from './crypto.ts'
import { checkPlace, realPath } from './database-file.ts'
import { Driver, monotonicUs } from './driver.ts'
import { eventLine, notedLine } from './event-lines.ts'
import { lockInstance, type InstanceLock } from './instance-lock.ts'
import type { Log } from './log.ts'
import { NetworkWatch } from './network.ts'
import type { Config } from './options.ts'
import type { Address } from './protocol/node-io.ts'
import { Node, type NodeOptions } from './protocol/node.ts'
import { openStoreThread, type StorePort, type StorePortEvents } from './store-thread.ts'
import { openUdpSocket, type UdpSocket } from './udp-socket.ts'

export type LifeOptions = {
  readonly config: Config
  /** With the path that `config` has as it is from the root. */
  readonly path: string
  readonly log: Log
  readonly counters: Counters
  /** The daemon cannot go on. */
  readonly onFatal: (error: unknown) => void
  /** The file is gone, or is another one: this life is over. */
  readonly onReplaced: (wal: string | undefined) => void
}

/** The largest datagram over UDP and IPv4; of smaller buffers a burst of this many must fit. */
const datagramBytesMax = 65_507
const datagramsPerBuffer = 8

export class Life {
  readonly address: Address
  readonly #lock: InstanceLock
  readonly #socket: UdpSocket
  readonly #driver: Driver
  readonly #network: NetworkWatch

  private constructor(
    options: LifeOptions,
    { lock, socket, store }: { lock: InstanceLock; socket: UdpSocket; store: StorePort },
  ) {
    const { config, log, counters, onFatal } = options
    this.address = socket.address
    this.#lock = lock
    this.#socket = socket
    const core = new Node(nodeOptions(config, socket), nodeEnvironment(), monotonicUs())
    counters.core = core.counters
    const onEvent = (event: Parameters<typeof eventLine>[0]): void => log(eventLine(event))
    this.#driver = new Driver({ core, socket, store, counters, onEvent, onBug: onFatal })
    this.#network = new NetworkWatch((ips) => this.#driver.onNetwork(ips))
    this.#driver.start()
    this.#network.start()
  }

  /** @throws StartError or TinymqError; nothing is left open then. */
  static async begin(options: LifeOptions): Promise<Life> {
    checkPlace(options.path)
    const lock = lockInstance(realPath(options.path))
    let socket: UdpSocket | undefined
    try {
      const { bind: ip, port } = options.config
      socket = await openUdpSocket({ ip, port })
      lock.announce(socket.address)
      const store = await openStoreThread(options.path, storeEvents(options))
      return new Life(options, { lock, socket, store })
    } catch (error) {
      await socket?.close()
      lock.release()
      throw error
    }
  }

  /** For `mqevent`, and so for the log. */
  note(code: string, detail: string): void {
    this.#driver.submit({ type: 'event', code, detail })
  }

  /** Closes every session, the store, the socket and the lock, in this order. */
  async end(): Promise<void> {
    this.#network.stop()
    await this.#driver.stop()
    await this.#socket.close()
    this.#lock.release()
  }
}

function nodeOptions({ advertise, keylessFrom, maxRate }: Config, socket: UdpSocket): NodeOptions {
  const { port } = socket.address
  return {
    port,
    advertisedHost: advertise?.host ?? '',
    advertisedPort: advertise === undefined ? 0 : (advertise.port ?? port),
    keylessFrom,
    keys: [],
    datagramBytesMax: Math.min(
      datagramBytesMax,
      Math.floor(socket.receiveBufferBytes / datagramsPerBuffer),
    ),
    bytesPerSecondMax: maxRate,
  }
}

function storeEvents({ log, onFatal, onReplaced }: LifeOptions): StorePortEvents {
  return {
    onNoted: (events) => events.map(notedLine).forEach(log),
    onFailed: onFatal,
    onReplaced,
    onDeaf: (reason) => {
      const sentence = 'The directory of the database cannot be watched; it is polled instead.'
      log({ level: 'warn', event: 'watch-deaf', sentence, fields: { reason } })
    },
  }
}
