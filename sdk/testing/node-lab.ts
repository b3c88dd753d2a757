/**
 * `startNodes`: puts up nodes in this process, on files in a directory of their own and on one
 * network, and takes all of it down. Must never touch a file or a socket of the machine beyond
 * that.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDaemon } from '../../daemon/daemon.ts'
import type { Config } from '../../daemon/platform/config/options.ts'
import { TinymqError } from '../schema/errors.ts'
import { checkConditions, type LinkConditions } from './link.ts'
import { type DatagramCounts, LossyNetwork } from './lossy-network.ts'
import { TestNode } from './test-node.ts'

/** How the nodes are put up. */
export type StartNodesOptions = {
  /** Decides what is lost, duplicated and delayed: 1 when left out. */
  readonly seed?: number | undefined
  /** What the network does from the beginning on, in every direction. */
  readonly conditions?: LinkConditions | undefined
  /** Options of the daemons: a key ring, for instance. HTTP is off. */
  readonly config?: Partial<Omit<Config, 'port' | 'database' | 'bind'>> | undefined
}

const port = 9000

/**
 * Starts a node for each of the names, which is also its host name on their network.
 * @throws TinymqError TINYMQ_INVALID_ARGUMENT, and what a daemon throws that cannot start; nothing
 * is left behind then.
 */
export async function startNodes<const Name extends string>(
  names: readonly Name[],
  options: StartNodesOptions = {},
): Promise<NodeLab<Name>> {
  const lab = new NodeLab(checked(names), options)
  try {
    await Promise.all(Object.values<TestNode>(lab.nodes).map(async (node) => node.start()))
    return lab
  } catch (error) {
    await lab[Symbol.asyncDispose]()
    throw error
  }
}

function checked<Name extends string>(names: readonly Name[]): readonly Name[] {
  const isGood = (name: string): boolean => /^[a-z0-9][a-z0-9.-]*$/i.test(name)
  const bad = names.find((name, at) => !isGood(name) || names.indexOf(name) !== at)
  if (bad === undefined && names.length > 0 && names.length < 255) return names
  const sentence = 'give 1 to 254 different names of letters, digits, dots and hyphens'
  throw badArgument(bad === undefined ? sentence : `${sentence}, not "${bad}"`)
}

const badArgument = (sentence: string): TinymqError =>
  new TinymqError('TINYMQ_INVALID_ARGUMENT', sentence)

/** The nodes, and the network between them. */
export class NodeLab<Name extends string = string> implements AsyncDisposable {
  readonly nodes: { readonly [Each in Name]: TestNode }
  readonly #names: readonly Name[]
  readonly #network: LossyNetwork
  readonly #directory = mkdtempSync(join(tmpdir(), 'tinymq-nodes-'))

  /** @internal */
  constructor(names: readonly Name[], { seed = 1, conditions = {}, config }: StartNodesOptions) {
    this.#names = names
    this.#network = new LossyNetwork(seed)
    const made = names.map((name) => [name, this.#makeNode(name, config)] as const)
    this.nodes = Object.fromEntries(made) as { [Each in Name]: TestNode }
    this.linkAll(conditions)
  }

  /** Datagrams so far: those that were sent, and those that arrived, doubles included. */
  get datagrams(): DatagramCounts {
    return this.#network.counts
  }

  /**
   * What `from` sends suffers this from now on, to every node or to `to` alone, and nothing that
   * was set before.
   * @throws TinymqError TINYMQ_INVALID_ARGUMENT
   */
  link(from: Name, conditions: LinkConditions, to?: Name): void {
    checkConditions(conditions)
    this.#rejectUnknown(from, to ?? from)
    const targets = to === undefined ? this.#names.filter((name) => name !== from) : [to]
    for (const target of targets) this.#network.setLink(from, target, conditions)
  }

  /** The same in every direction. */
  linkAll(conditions: LinkConditions): void {
    for (const name of this.#names) this.link(name, conditions)
  }

  /** Nothing passes between the two, and neither is informed. */
  partition(a: Name, b: Name): void {
    this.#setCut(a, b, true)
  }

  /** Ends every partition and every condition. */
  heal(): void {
    this.linkAll({})
    for (const a of this.#names) for (const b of this.#names) this.#setCut(a, b, false)
  }

  /** Consumers finish what they have in hand; then the daemons stop, and the files go away. */
  async [Symbol.asyncDispose](): Promise<void> {
    const nodes = Object.values<TestNode>(this.nodes)
    // A handler at one node may wait for another node.
    await Promise.allSettled(nodes.map(async ({ mq }) => mq.drain()))
    const ends = await Promise.allSettled(nodes.map(async (node) => node.end()))
    const failed = ends.find(({ status }) => status === 'rejected')
    this.#network.close()
    rmSync(this.#directory, { recursive: true, force: true })
    if (failed?.status === 'rejected') throw failed.reason
  }

  #makeNode(name: Name, config: StartNodesOptions['config']): TestNode {
    const database = join(this.#directory, `${name}.db`)
    const network = this.#network.host(name)
    const options = { http: 'off', ...config, database, port, network } as const
    return new TestNode({
      name,
      database,
      startDaemon: async () => startDaemon(options),
      unplug: () => this.#network.unplug(name),
    })
  }

  #setCut(a: Name, b: Name, isCut: boolean): void {
    this.#rejectUnknown(a, b)
    this.#network.setCut(a, b, isCut)
    this.#network.setCut(b, a, isCut)
  }

  #rejectUnknown(...names: readonly Name[]): void {
    const unknown = names.find((name) => !this.#names.includes(name))
    if (unknown === undefined) return
    throw badArgument(`there is no node ${unknown}: these are ${this.#names.join(', ')}`)
  }
}
