/**
 * A node of a Swarm of our own: a Docker engine in namespaces of its own, with its own network,
 * host name, processes and /var/lib/tinymq. An engine that somebody else started is only asked for
 * an image, and is never asked to join anything. Whatever happens to the test, the kernel ends
 * all that belongs to a node.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../test/support/until.ts'
import { output, run, type CommandOptions, type CommandResult } from './command.ts'

/** The uid and gid of the daemon, and of the apps next to it. */
const user = 1000

const programs = ['dockerd', 'docker', 'unshare', 'nsenter', 'setpriv', 'ip', 'iptables', 'sqlite3']

/** Why this machine cannot run a Swarm of our own, and what to do; undefined when it can. */
export async function swarmObstacle(image: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'engines of our own need Linux'
  if (process.getuid?.() !== 0) return 'engines of our own need root: run it with sudo'
  for (const program of programs) {
    const found = await run(['which', program])
    if (found.exitCode !== 0) return `there is no ${program} here: install it`
  }
  const spaces = await run(['unshare', '--net', '--mount', '--uts', '--pid', '--fork', 'true'])
  if (spaces.exitCode !== 0) return `no namespaces can be made here: ${spaces.stderr.trim()}`
  const known = await run(['docker', 'image', 'inspect', image])
  if (known.exitCode !== 0) return `there is no image ${image}: build it from docker/Dockerfile`
  return undefined
}

// $1 is the node's name, $2 its directory. What is mounted and named here nobody else sees.
const life = `
  set -e
  hostname "$1"
  mount --make-rprivate /
  mount -t tmpfs tmpfs /run
  mount -t tmpfs tmpfs /var/lib
  ip link set lo up
  exec dockerd --data-root "$2/engine" --exec-root /run/docker --pidfile /run/docker.pid \
    --host "unix://$2/docker.sock" > "$2/log" 2>&1
`
const startMs = 60_000
const stopMs = 30_000

export class SwarmNode {
  readonly name: string
  /** Where the other nodes reach it. */
  readonly address: string
  /** The file of the node's daemon, as the apps on this node find it. */
  readonly database: string
  readonly #directory: string
  #child: ChildProcess | undefined

  /** @param directory a path that is not there yet; the log and all data of the engine go there. */
  constructor(name: string, address: string, directory: string) {
    this.name = name
    this.address = address
    this.database = join(directory, 'data', 'tinymqdb')
    this.#directory = directory
  }

  /** Resolves when the engine answers. */
  async start(): Promise<void> {
    const data = join(this.#directory, 'data')
    mkdirSync(data, { recursive: true })
    chownSync(data, user, user)
    chmodSync(data, 0o2770)
    // The kernel ends unshare when this process ends, and with unshare all that lives in there.
    const leash = ['--pdeathsig', 'KILL', 'unshare', '--net', '--mount', '--uts', '--pid']
    const shell = ['--fork', '--kill-child', '--mount-proc', 'bash', '-c', life, 'node']
    const words = [...leash, ...shell, this.name, this.#directory]
    this.#child = spawn('setpriv', words, { stdio: 'ignore' })
    await until({ what: `the engine of ${this.name}`, withinMs: startMs }, async () => {
      if (this.#hasEnded()) throw new Error(`The engine of ${this.name} ended: ${this.#log()}`)
      return (await this.run(['version'])).exitCode === 0
    })
  }

  #log(): string {
    const path = join(this.#directory, 'log')
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  /** `docker …` on this node. */
  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run(this.#command(args), options)
  }

  /** `docker …` on this node. @throws Error when it fails. */
  docker(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    return output(this.#command(args), options)
  }

  #command(args: readonly string[]): string[] {
    return ['docker', '--host', `unix://${join(this.#directory, 'docker.sock')}`, ...args]
  }

  /** Makes /var/lib/tinymq on this node, owned by the daemon's user, as an operator does. */
  async prepareDirectory(): Promise<void> {
    const script = 'mkdir /var/lib/tinymq && mount --bind "$1" /var/lib/tinymq'
    const words = ['--mount', 'sh', '-c', script, 'sh', join(this.#directory, 'data')]
    await output(['nsenter', '--target', this.#pid(), ...words])
  }

  /** Lays a cable to another node. */
  async connect(other: SwarmNode): Promise<void> {
    const cable = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', other.#pid()]
    await this.#ip(['link', 'add', 'eth0', ...cable])
    for (const node of [this, other]) {
      await node.#ip(['address', 'add', `${node.address}/24`, 'dev', 'eth0'])
      await node.#ip(['link', 'set', 'eth0', 'up'])
    }
  }

  async #ip(args: readonly string[]): Promise<void> {
    await output(['nsenter', '--target', this.#pid(), '--net', 'ip', ...args])
  }

  /** The process id of the engine, which unshare is the parent of. */
  #pid(): string {
    const pid = String(this.#child?.pid)
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  }

  #hasEnded(): boolean {
    const child = this.#child
    return child === undefined || child.exitCode !== null || child.signalCode !== null
  }

  /** Ends the engine in good order, and by force when that takes too long. */
  async stop(): Promise<void> {
    if (this.#hasEnded()) return
    await this.run(['swarm', 'leave', '--force'])
    process.kill(Number(this.#pid()), 'SIGTERM')
    try {
      await until({ what: `${this.name} to end`, withinMs: stopMs }, () => this.#hasEnded())
    } finally {
      if (!this.#hasEnded()) this.#child?.kill('SIGKILL')
    }
  }
}

/** What is put before a program that runs as an app next to the daemon. */
export const asApp = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups']
