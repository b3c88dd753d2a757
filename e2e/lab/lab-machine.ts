/**
 * One machine of a lab: its wire, its volume and its daemon, and what can be done to each. Must
 * never wait by looking again and again: it is notified, by Docker or by a program inside.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type Dockerode from 'dockerode'
import { TinymqError } from '../../sdk/schema/errors.ts'
import { open } from '../../sdk/open.ts'
import type { Tinymq } from '../../sdk/client.ts'
import { demultiplexed, runInContainer, type CommandResult } from './docker-command.ts'
import { dockerName } from './lab-names.ts'
import { createApp, createNode, machineUser, type NodeSpec, startNode } from './node-container.ts'
import { shellCommand, watchCommand, watchTimedOut } from '../../sdk/testing/watch-script.ts'
import { type LinkState, Wire } from './wire.ts'

/** A copy of a machine's database, on its volume. Made by `copyDatabase`. */
export type DatabaseCopy = { readonly machine: string; readonly path: string }

/** What `start` may change. */
export type StartOptions = {
  /** Another image for the daemon; its container is made again, on the same volume. */
  readonly image?: string
}

const waitMsDefault = 60_000
const stopSeconds = 10

/** A machine of a `Lab`. */
export class LabMachine {
  readonly name: string
  /** @internal */
  readonly wire: Wire
  readonly #docker: Dockerode
  readonly #network: string
  readonly #wireContainer: Dockerode.Container
  #spec: NodeSpec
  #copies = 0

  /** @internal Made by the lab. */
  constructor(docker: Dockerode, network: string, spec: NodeSpec) {
    this.name = spec.machine
    this.#docker = docker
    this.#network = network
    this.#spec = spec
    this.#wireContainer = docker.getContainer(dockerName(spec.lab, spec.machine, 'wire'))
    this.wire = new Wire(this.#wireContainer, spec.machine)
  }

  get #node(): Dockerode.Container {
    return this.#docker.getContainer(dockerName(this.#spec.lab, this.name))
  }

  /** The image of its daemon. */
  get image(): string {
    return this.#spec.image
  }

  /** What its daemon is doing, as Docker says it: `running`, `paused`, `exited`. */
  async status(): Promise<string> {
    return (await this.#node.inspect()).State.Status
  }

  /** What Docker distinguishes images by. */
  async imageId(): Promise<string> {
    return (await this.#node.inspect()).Image
  }

  /** Whether its daemon runs. */
  async isRunning(): Promise<boolean> {
    return (await this.status()) === 'running'
  }

  /** Its IPv4 address in the lab's network. */
  async address(): Promise<string> {
    const { NetworkSettings: settings } = await this.#wireContainer.inspect()
    return settings.Networks[this.#network]?.IPAddress ?? ''
  }

  /**
   * Starts the daemon, and resolves when it runs.
   * @throws TinymqError TINYMQ_TEST_ENVIRONMENT with the end of its log when it ends at once.
   */
  async start({ image }: StartOptions = {}): Promise<void> {
    if (image !== undefined) {
      await this.#node.remove({ force: true })
      this.#spec = { ...this.#spec, image }
      await createNode(this.#docker, this.#spec)
    }
    await startNode(this.#node, this.name)
  }

  /** Asks the daemon to end (SIGTERM) if it runs, and kills it when it has not after 10 s. */
  async stop(): Promise<void> {
    if (await this.#holdsDatabase()) await this.#node.stop({ t: stopSeconds })
  }

  /** Ends the daemon at once, as kill -9 does. */
  async kill(): Promise<void> {
    await this.#node.kill({ signal: 'SIGKILL' })
    await this.#node.wait()
  }

  /** Stops and starts the daemon. */
  async restart(options: StartOptions = {}): Promise<void> {
    await this.stop()
    await this.start(options)
  }

  /** Freezes the daemon where it stands. */
  async pause(): Promise<void> {
    await this.#node.pause()
  }

  /** Lets a frozen daemon go on. */
  async unpause(): Promise<void> {
    await this.#node.unpause()
  }

  /**
   * Gives the machine another address, under the daemon; its name follows.
   * @internal Use `Lab.move`, which informs the others.
   */
  async move(address: string): Promise<void> {
    const { conditions } = await this.wire.state()
    const network = this.#docker.getNetwork(this.#network)
    await network.disconnect({ Container: this.#wireContainer.id, Force: true })
    await network.connect({
      Container: this.#wireContainer.id,
      EndpointConfig: { Aliases: [this.name], IPAMConfig: { IPv4Address: address } },
    })
    if (Object.keys(conditions).length > 0) await this.wire.setLink(conditions)
  }

  /** Runs statements in the `sqlite3` shell on its database. Returns what the shell prints. */
  async sql(statements: string): Promise<string> {
    return this.#shell(statements)
  }

  /** The rows that a SELECT gives, as objects. */
  async rows<Row>(select: string): Promise<Row[]> {
    const json = await this.#shell(select, '-json')
    return json === '' ? [] : (JSON.parse(json) as Row[])
  }

  /**
   * Resolves with the first row of `select` once its first column is neither NULL, 0 nor empty.
   * @throws TinymqError TINYMQ_TEST_ENVIRONMENT with the last row when that takes longer than
   * `withinMs`.
   */
  async waitFor(select: string, withinMs = waitMsDefault): Promise<Record<string, unknown>> {
    const command = watchCommand(this.#spec.database.path, select, withinMs)
    const result = await runInContainer(this.#wireContainer, command, machineUser)
    if (result.exitCode === 0) return JSON.parse(result.stdout) as Record<string, unknown>
    const sentence =
      result.exitCode === watchTimedOut
        ? `waited ${withinMs / 1_000} s for ${select} at ${this.name}; it gave ${result.stdout}`
        : `${select} at ${this.name}: ${result.stderr.trim()}`
    throw new TinymqError('TINYMQ_TEST_ENVIRONMENT', sentence)
  }

  /** Its database by the SDK, where this program can reach the volume: on Linux, as root. */
  async open(): Promise<Tinymq> {
    return open(await this.databasePath())
  }

  /**
   * The path of its database for this program.
   * @throws TinymqError TINYMQ_TEST_ENVIRONMENT where volumes cannot be reached.
   */
  async databasePath(): Promise<string> {
    const { Mountpoint: directory } = await this.#docker.getVolume(this.#spec.volume).inspect()
    const path = join(
      directory,
      this.#spec.database.path.slice(this.#spec.database.directory.length),
    )
    if (existsSync(path)) return path
    throw new TinymqError(
      'TINYMQ_TEST_ENVIRONMENT',
      `${path} cannot be reached from here: on Linux be root, elsewhere use sql() and rows()`,
    )
  }

  /**
   * Runs a program in a container of its own on the machine's volume, with the image of the daemon
   * and as hardened: an application next to it. Resolves when it has ended.
   */
  async run(command: readonly string[]): Promise<CommandResult> {
    const spec = { ...this.#spec, wire: undefined }
    const container = await createApp(this.#docker, spec, command)
    try {
      const stream = await container.attach({ stream: true, stdout: true, stderr: true })
      const [stdout, stderr] = demultiplexed(container, stream)
      const texts = Promise.all([text(stdout), text(stderr)])
      await container.start()
      const { StatusCode: exitCode } = (await container.wait()) as { StatusCode: number }
      const [out, err] = await texts
      return { exitCode, stdout: out, stderr: err }
    } finally {
      await container.remove({ force: true })
    }
  }

  /** Copies the database as it is now, whoever uses it meanwhile. */
  async copyDatabase(): Promise<DatabaseCopy> {
    this.#copies += 1
    const path = `${this.#spec.database.path}.copy-${this.#copies}`
    await this.sql(`VACUUM INTO '${path}'`)
    return { machine: this.name, path }
  }

  /**
   * Puts the copy in the place of the database. Stop or kill the daemon first.
   * @throws TinymqError TINYMQ_TEST_ENVIRONMENT when the daemon runs, or the copy is another
   * machine's.
   */
  async restoreDatabase(copy: DatabaseCopy): Promise<void> {
    if (copy.machine !== this.name || (await this.#holdsDatabase())) {
      const sentence = `stop ${this.name} first, and give it a copy of its own database`
      throw new TinymqError('TINYMQ_TEST_ENVIRONMENT', sentence)
    }
    const { path } = this.#spec.database
    const script = `rm -f ${path} ${path}-wal ${path}-shm && cp ${copy.path} ${path}`
    await this.#checked(['sh', '-c', script])
  }

  /** What its daemon has logged so far: one object in JSON a line. */
  async logs(): Promise<string> {
    const container = this.#node
    const bytes = await container.logs({ stdout: true, stderr: true, follow: false })
    const [stdout, stderr] = demultiplexed(container, Readable.from([bytes]))
    stdout.resume()
    return text(stderr)
  }

  /** What the kernel says of its link. */
  async linkState(): Promise<LinkState> {
    return this.wire.state()
  }

  async #holdsDatabase(): Promise<boolean> {
    return (await this.#node.inspect()).State.Running
  }

  async #shell(statements: string, ...options: string[]): Promise<string> {
    return this.#checked(shellCommand(this.#spec.database.path, statements, ...options))
  }

  async #checked(command: readonly string[]): Promise<string> {
    const result = await runInContainer(this.#wireContainer, command, machineUser)
    if (result.exitCode === 0) return result.stdout.trimEnd()
    const complaint = result.stderr.trim() || result.stdout.trim()
    throw new TinymqError('TINYMQ_TEST_ENVIRONMENT', `at ${this.name}, ${complaint}`)
  }
}
