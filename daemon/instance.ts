/**
 * A daemon on one database file, from opening it to closing it. When the file is replaced, this
 * life ends and the next one begins (daemon.ts). Must never outlive its file.
 */
import { existsSync } from 'node:fs'
import { countUsage, type Counters } from './platform/counters.ts'
import { nodeEnvironment } from './node-crypto.ts'
import { checkDatabasePath, realPath } from './platform/files/database-path.ts'
import { keepYoung } from './platform/files/cleanup.ts'
import {
  checkMayCreate,
  createdLine,
  makeDefaultDirectory,
  removeGuard,
} from './platform/files/creation.ts'
import { EventLoop } from './event-loop.ts'
import { eventLine, faultLine, notedLine } from './log-messages.ts'
import { removeHealth, writeHealth } from './platform/files/health-file.ts'
import {
  type DatagramSocket,
  type HostNetwork,
  NetworkWatch,
  systemNetwork,
} from './platform/net/udp-socket.ts'
import { lockInstance, type InstanceLock } from './platform/files/instance-lock.ts'
import { proxyIpOf } from './platform/net/address-hiding.ts'
import { keyPolicyOf, keylessFromOf } from './platform/keys/policy.ts'
import type { Log } from './platform/log.ts'
import { NameProcess } from './platform/net/name-process.ts'
import type { Config } from './platform/config/options.ts'
import type { Environment } from './protocol/crypto/provider.ts'
import type { Key } from './protocol/crypto/handshake.ts'
import type { Address } from './protocol/io.ts'
import { Endpoint, type EndpointOptions } from './protocol/endpoint.ts'
import type { Loss } from './store/thread/salvage.ts'
import type { Backlog } from './store/thread/file-monitor.ts'
import { openStoreThread, type StorePort, type StorePortEvents } from './store/thread/client.ts'
import type { StoreFault } from './store/error-classification.ts'
import { systemScheduler } from '../sdk/schema/scheduler.ts'

type InstanceOptions = {
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

export class DaemonInstance {
  readonly address: Address
  readonly #config: Config
  readonly #lock: InstanceLock
  readonly #socket: DatagramSocket
  readonly #driver: EventLoop
  readonly #names = new NameProcess()
  readonly #network: NetworkWatch
  readonly #stopTouching: () => void
  readonly #path: string

  private constructor(
    options: InstanceOptions,
    { lock, socket, store }: { lock: InstanceLock; socket: DatagramSocket; store: StorePort },
  ) {
    const { log, counters, onFatal } = options
    this.address = socket.address
    this.#config = options.config
    this.#lock = lock
    this.#socket = socket
    const environment = options.environment ?? nodeEnvironment()
    const core = new Endpoint(nodeOptions(options, socket), environment, systemScheduler.nowUs())
    counters.core = core.counters
    const onEvent = (event: Parameters<typeof eventLine>[0]): void => log(eventLine(event))
    const { lookup = this.#names.lookup, ownAddresses } = options.network ?? systemNetwork
    this.#driver = new EventLoop({ core, socket, store, counters, onEvent, onBug: onFatal, lookup })
    this.#network = new NetworkWatch((ips) => this.#driver.onNetwork(ips), ownAddresses)
    this.#path = realPath(options.path)
    this.#stopTouching = keepYoung(this.#path)
    this.#driver.start()
    this.#network.start()
  }

  /** @throws StartError or TinymqError; nothing is left open then. */
  static async begin(options: InstanceOptions): Promise<DaemonInstance> {
    makeDefaultDirectory(options.path, options.config.create)
    checkDatabasePath(options.path)
    const isNew = !existsSync(options.path)
    if (isNew) checkMayCreate(realPath(options.path), options.config.create)
    const lock = lockInstance(realPath(options.path))
    let socket: DatagramSocket | undefined
    try {
      const { bind: ip, port } = options.config
      socket = await (options.network ?? systemNetwork).openSocket({ ip, port })
      lock.announce(socket.address)
      const keyPolicy = keyPolicyOf(options.config, options.ring !== undefined)
      removeGuard(options.path)
      removeHealth(realPath(options.path))
      writeHealth(realPath(options.path), undefined)
      const store = await openStoreThread(options.path, storeEvents(options), keyPolicy)
      if (isNew) options.log(createdLine(realPath(options.path)))
      return new DaemonInstance(options, { lock, socket, store })
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

function nodeOptions({ config, ring }: InstanceOptions, socket: DatagramSocket): EndpointOptions {
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

function storeEvents(options: InstanceOptions): StorePortEvents {
  const { log, onFatal, onLost, counters, onBacklog } = options
  const path = realPath(options.path)
  return {
    onFault: (fault) => {
      log(faultLine(fault))
      writeHealth(path, fault)
      options.onFault(fault)
    },
    onBacklog: (backlog, effort) => {
      countUsage(counters, effort)
      onBacklog(backlog)
    },
    onNoted: (events) => events.map(notedLine).forEach(log),
    onFailed: onFatal,
    onLost,
    onWatchUnavailable: (reason) => {
      const sentence = 'The directory of the database cannot be watched; it is polled instead.'
      log({ level: 'warn', event: 'watch-unavailable', sentence, fields: { reason } })
    },
  }
}
