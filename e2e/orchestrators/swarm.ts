/**
 * A Swarm of two nodes of our own, and the stack in it. Must never leave a node behind when it is
 * stopped, however far its start had come.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../test/support/until.ts'
import { output } from './command.ts'
import { SwarmNode } from './swarm-node.ts'

/** What the tests look at of `docker inspect`. */
export type Container = {
  readonly Id: string
  readonly Config: { readonly User: string; readonly Hostname: string }
  readonly HostConfig: {
    readonly ReadonlyRootfs: boolean
    readonly CapDrop: readonly string[]
    readonly Init: boolean
    /** Bytes. */
    readonly Memory: number
    readonly PidsLimit: number
    readonly LogConfig: { readonly Config: Readonly<Record<string, string>> }
  }
  /** ISO 8601, in UTC. */
  readonly State: { readonly StartedAt: string; readonly FinishedAt: string }
}

/** The name under which the stack is deployed. */
const stackName = 'tinymq'

export class Swarm {
  readonly nodes: SwarmNode[] = []
  /** A file of the nodes' names instead of a name server, as an operator without one writes it. */
  readonly names: string
  readonly #place: string
  readonly #stack: string
  readonly #image: string

  /** @param place a directory that is there, for all that the nodes write. */
  constructor(place: string, stack: string, image: string) {
    this.names = join(place, 'names.yaml')
    this.#place = place
    this.#stack = stack
    this.#image = image
  }

  get manager(): SwarmNode {
    return this.#node(0)
  }

  get worker(): SwarmNode {
    return this.#node(1)
  }

  #node(index: number): SwarmNode {
    const node = this.nodes[index]
    if (node === undefined) throw new Error('The nodes have not started.')
    return node
  }

  async start(): Promise<void> {
    for (const [index, name] of ['node-a', 'node-b'].entries()) {
      const address = `10.77.0.${index + 1}`
      const node = new SwarmNode(name, address, join(this.#place, name))
      this.nodes.push(node)
      await node.start()
    }
    await this.manager.connect(this.worker)
    await this.#loadImage()
    await this.#join()
    const hosts = this.nodes.map(({ name, address }) => `'${name}:${address}'`).join(', ')
    const services = `services: { daemon: { extra_hosts: [${hosts}] } }`
    writeFileSync(this.names, `version: '3.9'\n${services}\n`)
  }

  async #loadImage(): Promise<void> {
    const archive = join(this.#place, 'image.tar')
    await output(['docker', 'save', '--output', archive, this.#image])
    for (const node of this.nodes) await node.docker(['load', '--input', archive])
    rmSync(archive)
  }

  async #join(): Promise<void> {
    const { manager, worker } = this
    const own = ({ address }: SwarmNode): string[] => ['--advertise-addr', address]
    await manager.docker(['swarm', 'init', ...own(manager), '--listen-addr', manager.address])
    const token = await manager.docker(['swarm', 'join-token', '--quiet', 'worker'])
    await worker.docker(['swarm', 'join', '--token', token, ...own(worker), manager.address])
  }

  /** Takes the stack down, and stops as many nodes as have started. */
  async stop(): Promise<void> {
    const [manager] = this.nodes
    const removed = await manager?.run(['stack', 'rm', stackName])
    try {
      if (removed?.exitCode === 0) await this.#emptied()
    } finally {
      for (const node of this.nodes.toReversed()) await node.stop()
    }
  }

  /** Resolves when no node has a container any more; its engine can then end in good order. */
  async #emptied(): Promise<void> {
    await until({ what: 'the containers to end', withinMs: 60_000, everyMs: 500 }, async () => {
      const left = await Promise.all(this.nodes.map((node) => this.containers(node)))
      return left.flat().length === 0
    })
  }

  /** @returns what Docker reported on its standard error. @throws Error when it rejects. */
  async deploy(...files: readonly string[]): Promise<string> {
    const flags = files.flatMap((file) => ['--compose-file', file])
    const words = ['stack', 'deploy', '--resolve-image', 'never', ...flags, stackName]
    const environment = { TINYMQ_IMAGE: this.#image }
    const { exitCode, stderr } = await this.manager.run(words, { environment })
    if (exitCode !== 0) throw new Error(stderr)
    return stderr
  }

  /** The stack with the names of the nodes. */
  deployStack(): Promise<string> {
    return this.deploy(this.#stack, this.names)
  }

  /** Whether each node has a task that runs; one whose health is not known yet does not. */
  async areRunning(): Promise<boolean> {
    const words = ['stack', 'ps', '--filter', 'desired-state=running', '--format']
    // It fails while there is no task.
    const { stdout } = await this.manager.run([...words, '{{.CurrentState}}', stackName])
    const states = stdout.split('\n').filter((line) => line !== '')
    return states.length === this.nodes.length && states.every((line) => line.startsWith('Running'))
  }

  /** The ids of the daemon's containers on a node, those that have ended too. */
  async containers(on: SwarmNode): Promise<string[]> {
    const words = ['ps', '--all', '--quiet', '--no-trunc', '--filter']
    const text = await on.docker([...words, `name=${stackName}_daemon`])
    return text.split('\n').filter((id) => id !== '')
  }

  async inspect(on: SwarmNode): Promise<Container[]> {
    const ids = await this.containers(on)
    return JSON.parse(await on.docker(['inspect', ...ids])) as Container[]
  }
}
