/**
 * One daemon: what main, tests, the demo and programs of others start and stop. Several may run in
 * one process. Must never end the process.
 */
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { addressHidingWarning } from './platform/net/address-hiding.ts'
import { cleanupWarning } from './platform/files/cleanup.ts'
import { createCounters, type Counters } from './platform/counters.ts'
import { realPath, settled, surroundings } from './platform/files/database-path.ts'
import type { HostNetwork } from './platform/net/udp-socket.ts'
import {
  KeysWatch,
  changeLine,
  keylessSentences,
  ringLine,
  ringPath,
} from './platform/keys/policy.ts'
import type { RingKey } from './platform/keys/key-file.ts'
import { DaemonInstance } from './instance.ts'
import type { Log } from './platform/log.ts'
import { TimeSeries } from './http/time-series.ts'
import { checkHttp, openHttpListener, type HttpListener } from './http/listener.ts'
import { StatusService, type NodeFacts, type Readiness } from './http/status.ts'
import { Reader } from './http/reader/client.ts'
import { lostError, replacedSentence } from './platform/files/loss-report.ts'
import { ephemeralStorageWarning } from './platform/files/mounts.ts'
import { defaultConfig, type Config } from './platform/config/options.ts'
import type { Loss } from './store/thread/salvage.ts'
import type { StoreFault } from './store/error-classification.ts'
import type { Environment } from './protocol/crypto/provider.ts'
import { type Address, showAddress } from './protocol/io.ts'
import { readVersion } from './platform/version.ts'
import { type Problem, problemText } from './platform/text.ts'

export type DaemonOptions = Partial<Config> & {
  /** Nobody, if left out. */
  readonly log?: Log
  /** The daemon has ended because it cannot go on. If left out, the error is thrown. */
  readonly onFatal?: (error: unknown) => void
  /** For benchmarks alone: what protection costs is seen where there is none. */
  readonly environment?: Environment
  /** For tests: what stands for the sockets, names and addresses of the machine. */
  readonly network?: HostNetwork
}

/**
 * Starts a daemon. @throws StartError or TinymqError when it cannot run; nothing is left behind.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const daemon = new Daemon(options)
  await daemon.start()
  return daemon
}

export class Daemon {
  readonly counters: Counters = createCounters()
  readonly #config: Config
  readonly #path: string
  readonly #log: Log
  readonly #onFatal: (error: unknown) => void
  readonly #environment: Environment | undefined
  readonly #network: HostNetwork | undefined
  #ring: readonly RingKey[] | undefined
  #watch: KeysWatch | undefined
  #life: DaemonInstance | undefined
  #address: Address | undefined
  /** A life that is ending or beginning: one change at a time. */
  #change: Promise<void> = Promise.resolve()
  #isStopping = false
  readonly #startedAt = Date.now()
  readonly #history = new TimeSeries(this.#startedAt)
  readonly #reader: Reader
  #door: HttpListener | undefined
  /** What keeps the store from writing. */
  #fault: StoreFault | undefined

  /** `start` must follow. */
  constructor({ log, onFatal, environment, network, ...chosen }: DaemonOptions) {
    this.#environment = environment
    this.#network = network
    this.#config = { ...defaultConfig(), ...chosen }
    this.#path = resolve(this.#config.database)
    this.#reader = new Reader(this.#path)
    this.#log = log ?? (() => {})
    this.#onFatal = onFatal ?? rethrow
  }

  /** Where it listens, once it is started. */
  get address(): Address {
    if (this.#address === undefined) throw new Error('The daemon was never started.')
    return this.#address
  }

  /** Where the status page is; undefined when it is off. */
  get httpAddress(): Address | undefined {
    return this.#door?.address
  }

  async start(): Promise<void> {
    checkHttp(this.#config)
    const ring = ringPath(this.#config)
    if (ring !== undefined) this.#ring = await this.#watchRing(resolve(ring))
    try {
      await this.#begin(this.#config.port, 'started', 'The daemon is running.')
    } catch (error) {
      this.#isStopping = true
      this.#watch?.stop()
      await this.#end()
      throw error
    }
    this.#sayWhoMaySend(ring)
    this.#warnIfVolatile()
  }

  /** Undefined when there is none: it is off, or its port is taken. */
  async #openDoor(): Promise<HttpListener | undefined> {
    const config = this.#config
    const statusService = new StatusService({
      counters: this.counters,
      history: this.#history,
      reader: this.#reader,
      facts: () => this.#facts(),
      readiness: () => this.#readiness(),
      fault: () => this.#fault,
    })
    const udpPort = this.address.port
    const database = realPath(this.#path)
    const door = await openHttpListener({
      config,
      udpPort,
      database,
      statusService,
      log: this.#log,
    })
    if (door === undefined) return undefined
    const url = `http://${showAddress(door.address)}/`
    const sentence = `The status page is at ${url}; tinymq ui opens it.`
    this.#log({ level: 'info', event: 'http', sentence })
    return door
  }

  #facts(): NodeFacts {
    return {
      name: this.#config.advertise?.host ?? hostname(),
      version: readVersion(),
      database: this.#path,
      address: showAddress(this.address),
      startedAt: this.#startedAt,
      pid: process.pid,
      canAct: this.#config.httpActions === 'on',
      hasKeys: this.#ring !== undefined,
    }
  }

  #readiness(): Readiness {
    if (this.#isStopping) return { isReady: false, sentence: 'it is stopping' }
    const fault = this.#fault
    if (fault?.level === 'error') {
      const sentence = `${fault.sentence}: ${fault.hint} (${fault.code})`
      return { isReady: false, sentence }
    }
    if (this.#life !== undefined) return { isReady: true, sentence: '' }
    return { isReady: false, sentence: 'the database file was replaced, it begins again' }
  }

  /** Reads the key ring again, whether its file has changed or not. */
  async reloadKeys(): Promise<void> {
    if (this.#watch !== undefined) return this.#watch.reload()
    const sentence = 'There is no key ring to be read again; --keys names one.'
    this.#log({ level: 'info', event: 'keys-none', sentence })
  }

  async #watchRing(path: string): Promise<readonly RingKey[]> {
    this.#watch = new KeysWatch({
      path,
      keylessTokens: this.#config.keylessTokens,
      onRing: (keys) => {
        this.#log(changeLine(this.#ring ?? [], keys))
        this.#ring = keys
        this.#life?.setRing(keys)
      },
      onRefused: (error) => {
        const said = error instanceof Error ? error.message : String(error)
        const sentence = `${said.trim()} The ring that was read before stays in force.`
        this.#life?.note('KEYS_REFUSED', sentence)
        this.#log({ level: 'error', event: 'keys-refused', sentence })
      },
    })
    return this.#watch.start()
  }

  #sayWhoMaySend(path: string | undefined): void {
    const sentence = keylessSentences[this.#config.keylessFrom]
    this.#log(
      path === undefined
        ? { level: 'info', event: 'keyless', sentence }
        : ringLine(this.#config, path, this.#ring ?? []),
    )
    const hiding = addressHidingWarning(this.#config, path !== undefined)
    if (hiding === undefined) return
    this.#log({ level: 'warn', event: 'addresses-hidden', sentence: hiding })
  }

  #warnIfVolatile(): void {
    const { mounts, isContainer } = surroundings()
    const warn = (event: string, problem: Problem | undefined): void => {
      if (problem === undefined) return
      this.#log({ level: 'warn', event, sentence: problemText(problem) })
    }
    const path = realPath(this.#path)
    warn('ephemeral-storage', ephemeralStorageWarning(path, mounts, isContainer))
    warn('cleanup', cleanupWarning(path))
  }

  /** Closes every session and hands over to the disk what has come; resolves when all is closed. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#watch?.stop()
    await this.#change
    await this.#door?.close()
    await this.#end()
  }

  async #begin(port: number, event: string, sentence: string): Promise<void> {
    const ring = this.#ring
    this.#fault = undefined
    this.#life = await DaemonInstance.begin({
      config: { ...this.#config, port },
      path: this.#path,
      ring,
      ...(this.#environment && { environment: this.#environment }),
      ...(this.#network && { network: this.#network }),
      log: this.#log,
      counters: this.counters,
      onBacklog: (backlog) => {
        const { delivered: sent, received } = this.counters.done
        this.#history.add({ at: Date.now(), sent, received, ...backlog })
      },
      onFault: (fault) => {
        this.#fault = fault
      },
      onFatal: (error) => this.#fail(error),
      onLost: (loss) => {
        this.#change = this.#onLost(loss)
      },
    })
    // It may have been read again meanwhile.
    if (this.#ring !== undefined && this.#ring !== ring) this.#life.setRing(this.#ring)
    this.#address = this.#life.address
    // Who reads that it runs may ask at once.
    this.#door ??= await this.#openDoor()
    if (this.#door !== undefined) this.#life.announcePage(this.#door.address)
    const [address, version] = [showAddress(this.#address), readVersion()]
    const fields = { address, database: this.#path, version, pid: process.pid }
    this.#log({ level: 'info', event, sentence, fields })
  }

  async #end(): Promise<void> {
    const life = this.#life
    this.#life = undefined
    // It has a connection too, and must not be the last that has one.
    await this.#reader.stop()
    await life?.end()
  }

  /**
   * A file that is there now may be of another day or another machine: nothing of the old life
   * holds for it. Where none is, the daemon makes none: it may be on a volume that comes back.
   */
  async #onLost(loss: Loss): Promise<void> {
    if (this.#isStopping) return
    try {
      if (loss.what === 'log') {
        await this.#end()
        throw lostError(this.#path, loss)
      }
      await this.#beginAnew(loss)
    } catch (error) {
      this.#fail(error)
    }
  }

  async #beginAnew(loss: Loss): Promise<void> {
    const sentence = replacedSentence(loss)
    const fields = { database: this.#path, wal: loss.wal }
    this.#log({ level: 'error', event: 'database-replaced', sentence, fields })
    await this.#end()
    await settled(this.#path)
    if (this.#isStopping) return
    if (!existsSync(this.#path)) throw lostError(this.#path, loss)
    await this.#begin(this.address.port, 'restarted', 'The daemon is running again.')
    if (this.#door !== undefined) this.#life?.announcePage(this.#door.address)
    this.#life?.note('DATABASE_REPLACED', sentence)
  }

  #fail(error: unknown): void {
    if (this.#isStopping) return
    this.#isStopping = true
    this.#onFatal(error)
  }
}

function rethrow(error: unknown): never {
  throw error
}
