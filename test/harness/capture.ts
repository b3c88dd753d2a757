/**
 * Everything that leaves or reaches some UDP ports of this machine, as tcpdump writes it down. Must
 * never run on after its test.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export class Capture implements AsyncDisposable {
  readonly #path: string
  readonly #child: ChildProcess

  private constructor(path: string, child: ChildProcess) {
    this.#path = path
    this.#child = child
  }

  /** Resolves when nothing is missed any more. */
  static async of(path: string, ports: readonly number[]): Promise<Capture> {
    const filter = ports.map((port) => `udp port ${port}`).join(' or ')
    // Else what the kernel has held back for up to a second is lost when it is ended.
    const mode = ['-U', '--immediate-mode']
    const args = ['-i', 'lo', '-n', ...mode, '-s', '0', '-B', '65536', '-w', path, filter]
    const child = spawn('tcpdump', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const capture = new Capture(path, child)
    const said: string[] = []
    for await (const line of createInterface(child.stderr)) {
      if (line.includes('listening on')) return capture
      said.push(line)
    }
    throw new Error(`tcpdump does not run here (it needs to be root): ${said.join(' ')}`)
  }

  /** The whole file, once all that was sent is in it. */
  async end(): Promise<Buffer> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit')
      this.#child.kill('SIGINT')
      await ended
    }
    return readFileSync(this.#path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }
}
