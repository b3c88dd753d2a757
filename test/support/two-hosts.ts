/**
 * Two machines as the documentation has them: MachineA and MachineB, each with a network of its
 * own, a link between them, a /var/lib, a home and a name. They are namespaces, which takes root
 * and Linux, and go away with the process that holds them. Nothing outside of them is changed.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const names = ['MachineA', 'MachineB'] as const
export type HostName = (typeof names)[number]

const isolated = ['--net', '--mount', '--uts', '--propagation', 'private']

export class TwoHosts implements AsyncDisposable {
  readonly #directory: string
  readonly #holders = new Map<HostName, ChildProcess>()

  private constructor(directory: string) {
    this.#directory = directory
  }

  static async start(directory: string): Promise<TwoHosts> {
    const hosts = new TwoHosts(directory)
    for (const name of names) await hosts.#hold(name)
    hosts.#link()
    return hosts
  }

  homeOf(name: HostName): string {
    return join(this.#directory, name, 'home')
  }

  /** The words to run a program by on this machine. */
  prefixOf(name: HostName): string[] {
    const pid = this.#holders.get(name)?.pid ?? 0
    return [
      'nsenter',
      `--target=${pid}`,
      '--net',
      '--mount',
      '--uts',
      '--',
      'env',
      '--chdir',
      this.homeOf(name),
    ]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const holders = [...this.#holders.values()]
    for (const holder of holders) holder.kill('SIGKILL')
    await Promise.all(holders.map(async (holder) => once(holder, 'exit')))
  }

  async #hold(name: HostName): Promise<void> {
    const place = join(this.#directory, name)
    for (const part of ['home', 'lib']) mkdirSync(join(place, part), { recursive: true })
    const addresses = names.map((each, index) => `10.0.0.${index + 1} ${each}\n`)
    writeFileSync(join(place, 'hosts'), `127.0.0.1 localhost\n${addresses.join('')}`)
    const script = [
      'set -e',
      `hostname ${name}`,
      'ip link set lo up',
      'mount --bind "$0/lib" /var/lib',
      'mount --bind "$0/hosts" /etc/hosts',
      'echo ready',
      'exec cat',
    ]
    const words = [...isolated, 'sh', '-c', script.join('\n'), place]
    // It ends when its input does, so with this process at the latest.
    const holder = spawn('unshare', words, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#holders.set(name, holder)
    await Promise.race([
      once(holder.stdout, 'data'),
      once(holder, 'exit').then(() => {
        throw new Error(`${name} cannot be set up.`)
      }),
    ])
  }

  #link(): void {
    const [a, b] = names
    const run = (name: HostName, ...words: string[]): void => {
      const [command = '', ...rest] = [...this.prefixOf(name), 'ip', ...words]
      execFileSync(command, rest)
    }
    const other = String(this.#holders.get(b)?.pid)
    run(a, 'link', 'add', 'lan', 'type', 'veth', 'peer', 'name', 'lan', 'netns', other)
    for (const [index, name] of names.entries()) {
      run(name, 'address', 'add', `10.0.0.${index + 1}/24`, 'dev', 'lan')
      run(name, 'link', 'set', 'lan', 'up')
    }
  }
}
