/**
 * What one test puts up: a directory, machines, relays. All of it goes away with the test, the last
 * first, and a daemon that has ended without being asked to fails it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { LossyRelay, type Impairment, type RelayOptions } from './lossy-relay.ts'
import { Machine, type Destination, type MachineOptions } from './machine.ts'
import { SilentAddress } from './silent-address.ts'

/** A test, or whoever else shows when it is over. */
type SceneOwner = { after(end: () => Promise<void>): void }

const unimpaired: Impairment = {
  seed: 1,
  lossShare: 0,
  duplicateShare: 0,
  delayMs: 0,
  jitterMs: 0,
  datagramBytesMax: 65_535,
}

export class TestEnvironment {
  readonly directory: string
  readonly #stack = new AsyncDisposableStack()
  #keepsFiles = false

  constructor(owner: SceneOwner) {
    owner.after(async () => this.#stack.disposeAsync())
    this.directory = mkdtempSync(join(tmpdir(), 'tinymq-process-'))
    this.#stack.defer(() => {
      if (!this.#keepsFiles) rmSync(this.directory, { recursive: true, force: true })
    })
  }

  /** For somebody who wants to see what went wrong. */
  keepFiles(): void {
    this.#keepsFiles = true
  }

  /** Something else that ends with the test. */
  use<T extends AsyncDisposable>(resource: T): T {
    return this.#stack.use(resource)
  }

  /** A machine whose daemon is not running yet. */
  async machine(name: string, options: Partial<MachineOptions> = {}): Promise<Machine> {
    const database = join(this.directory, `${name}.db`)
    const port = options.port ?? (await freePort())
    return this.#stack.use(new Machine({ name, host: '127.0.0.1', database, ...options, port }))
  }

  /** A machine whose daemon runs. */
  async running(name: string, options: Partial<MachineOptions> = {}): Promise<Machine> {
    const machine = await this.machine(name, options)
    await machine.start()
    return machine
  }

  /** A way to `target` that treats datagrams badly, in both directions; `at` where it listens. */
  async relayTo(target: Machine, impairment: Impairment, at?: Destination): Promise<LossyRelay> {
    const { host, port } = at ?? { host: '127.0.0.1', port: await freePort() }
    const to = { host: target.host, port: target.port }
    return this.#relay({ host, port, target: to, impairment })
  }

  /** A way to `target` that changes nothing and keeps all that passes. */
  async tapOf({ host, port }: Machine): Promise<LossyRelay> {
    const place = { host: '127.0.0.1', port: await freePort() }
    return this.#relay({ ...place, target: { host, port }, impairment: unimpaired, keeps: true })
  }

  async #relay(options: RelayOptions): Promise<LossyRelay> {
    const relay = this.#stack.use(new LossyRelay(options))
    await relay.listening()
    return relay
  }

  /** `destination` swallows datagrams until it is closed. */
  async silence(destination: Destination): Promise<SilentAddress> {
    const silence = this.#stack.use(new SilentAddress())
    await silence.listen(destination)
    return silence
  }

  /** An address that swallows datagrams. */
  async nowhere(): Promise<Destination> {
    const destination = { host: '127.0.0.1', port: await freePort() }
    await this.silence(destination)
    return destination
  }
}
