/**
 * A daemon on one database file, from opening it to closing it. When the file is replaced, this
 * life ends and the next one begins (daemon.ts). Must never outlive its file.
 */
import { existsSync } from 'node:fs'
import { countEffort, type Counters } from './counters.ts'
import { nodeEnvironment } from './crypto.ts'
import { checkPlace, realPath } from './database-file.ts'
import { keepYoung } from './cleanup.ts'
import { checkMayCreate, createdLine, makeDefaultDirectory, removeGuard } from './creation.ts'
import { Driver, monotonicUs } from './driver.ts'
import { eventLine, faultLine, notedLine } from './event-lines.ts'
import { removeHealth, writeHealth } from './health-file.ts'
import { systemNetwork, type HostNetwork } from './host-network.ts'
import { lockInstance, type InstanceLock } from './instance-lock.ts'
import { proxyIpOf } from './address-hiding.ts'
import { keyingOf, keylessFromOf } from './key-choice.ts'
import type { Log } from './log.ts'
import { NameProcess } from './name-process.ts'
import { NetworkWatch } from './network.ts'
import type { Config } from './options.ts'
import type { Environment } from './protocol/environment.ts'
import type { Key } from './protocol/handshake.ts'
import type { Address } from './protocol/node-io.ts'
import { Node, type NodeOptions } from './protocol/node.ts'
import type { Loss } from './salvage.ts'
import type { Backlog } from './side-connection.ts'
import { openStoreThread, type StorePort, type StorePortEvents } from './store-thread.ts'
import type { StoreFault } from './store/store-fault.ts'
import type { DatagramSocket } from './udp-socket.ts'

export type LifeOptions = {
  readonly config: Config
  /** With the path that `config` has as it is from the root. */
  readonly path: string
  /** The key ring; undefined: there is none. */
  readonly ring: readonly Key[] | undefined
  /** For benchmarks alone; the real thing if left out. */
  readonly environment?: Environment
  /** For tests; the system's if left out. */
  readonly network?: HostNetwork
  readonly log: Log
  readonly counters: Counters
  /** What waits, when that has changed: once a second at most. */
  readonly onBacklog: (backlog: Backlog) => void
  /** What keeps the store from writing; undefined when that is over. */
  readonly onFault: (fault: StoreFault | undefined) => void
  /** The daemon cannot go on. */
  readonly onFatal: (error: unknown) => void
  /** The files are gone, or are other ones: this life is over. */
  readonly onLost: (loss: Loss) => void
}

/** The largest datagram over UDP and IPv4; of smaller buffers a burst of this many must fit. */
const datagramBytesMax = 65_507
const datagramsPerBuffer = 8

export class Life {
  readonly address: Address
  readonly #config: Config
  readonly #lock: InstanceLock
  readonly #socket: DatagramSocket
  readonly #driver: Driver
  readonly #names = new NameProcess()
  readonly #network: NetworkWatch
  readonly #stopTouching: () => void
  readonly #path: string

  private constructor(
    options: LifeOptions,
    { lock, socket, store }: { lock: InstanceLock; socket: DatagramSocket; store: StorePort },
  ) {
    const { log, counters, onFatal } = options
    this.address = socket.address
    this.#config = options.config
    this.#lock = lock
    this.#socket = socket
    const environment = options.environment ?? nodeEnvironment()
    const core = new Node(nodeOptions(options, socket), environment, monotonicUs())
    counters.core = core.counters
    const onEvent = (event: Parameters<typeof eventLine>[0]): void => log(eventLine(event))
    const { lookup = this.#names.lookup, ownAddresses } = options.network ?? systemNetwork
    this.#driver = new Driver({ core, socket, store, counters, onEvent, onBug: onFatal, lookup })
    this.#network = new NetworkWatch((ips) => this.#driver.onNetwork(ips), ownAddresses)
    this.#path = realPath(options.path)
    this.#stopTouching = keepYoung(this.#path)
    this.#driver.start()
    this.#network.start()
  }

  /** @throws StartError or TinymqError; nothing is left open then. */
  static async begin(options: LifeOptions): Promise<Life> {
    makeDefaultDirectory(options.path, options.config.create)
    checkPlace(options.path)
    const isNew = !existsSync(options.path)
    if (isNew) checkMayCreate(realPath(options.path), options.config.create)
    const lock = lockInstance(realPath(options.path))
    let socket: DatagramSocket | undefined
    try {
      const { bind: ip, port } = options.config
      socket = await (options.network ?? systemNetwork).openSocket({ ip, port })
      lock.announce(socket.address)
      const keying = keyingOf(options.config, options.ring !== undefined)
      removeGuard(options.path)
      removeHealth(realPath(options.path))
      writeHealth(realPath(options.path), undefined)
      const store = await openStoreThread(options.path, storeEvents(options), keying)
      if (isNew) options.log(createdLine(realPath(options.path)))
      return new Life(options, { lock, socket, store })
    } catch (error) {
      await socket?.close()
      lock.release()
      throw error
    }
  }

  /** Another key ring counts from now on. */
  setRing(keys: readonly Key[]): void {
    const keylessFrom = keylessFromOf(this.#config, true)
    this.#driver.feed({ type: 'keys', keys, keylessFrom })
  }

  /** For `mqevent`, and so for the log. */
  note(code: string, detail: string): void {
    this.#driver.submit({ type: 'event', code, detail })
  }

  /** Where the status page is, for `tinymq ui`. */
  announcePage(page: Address): void {
    this.#lock.announce(this.address, page)
  }

  /** Closes every session, the store, the socket and the lock, in this order. */
  async end(): Promise<void> {
    this.#network.stop()
    this.#stopTouching()
    await this.#driver.stop()
    this.#names.stop()
    await this.#socket.close()
    removeHealth(this.#path)
    this.#lock.release()
  }
}

function nodeOptions({ config, ring }: LifeOptions, socket: DatagramSocket): NodeOptions {
  const { advertise, maxRate } = config
  const { port } = socket.address
  return {
    port,
    advertisedHost: advertise?.host ?? '',
    advertisedPort: advertise === undefined ? 0 : (advertise.port ?? port),
    keylessFrom: keylessFromOf(config, ring !== undefined),
    proxyIp: proxyIpOf(),
    keys: ring ?? [],
    datagramBytesMax: Math.min(
      datagramBytesMax,
      Math.floor(socket.receiveBufferBytes / datagramsPerBuffer),
    ),
    bytesPerSecondMax: maxRate,
  }
}

function storeEvents(options: LifeOptions): StorePortEvents {
  const { log, onFatal, onLost, counters, onBacklog } = options
  const path = realPath(options.path)
  return {
    onFault: (fault) => {
      log(faultLine(fault))
      writeHealth(path, fault)
      options.onFault(fault)
    },
    onBacklog: (backlog, effort) => {
      countEffort(counters, effort)
      onBacklog(backlog)
    },
    onNoted: (events) => events.map(notedLine).forEach(log),
    onFailed: onFatal,
    onLost,
    onDeaf: (reason) => {
      const sentence = 'The directory of the database cannot be watched; it is polled instead.'
      log({ level: 'warn', event: 'watch-deaf', sentence, fields: { reason } })
    },
  }
}
