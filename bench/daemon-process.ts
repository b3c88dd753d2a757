/**
 * A real daemon as a child process, for measuring.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const command = join(import.meta.dirname, '..', 'bin', 'tinymq.js')

export class DaemonProcess {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Resolves when it listens. */
  static async start(port: number, database: string): Promise<DaemonProcess> {
    const child = spawn(
      process.execPath,
      [command, String(port), database, '--log-format', 'json'],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    await new Promise<void>((resolve, reject) => {
      let text = ''
      child.stderr.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        if (text.includes('"started"')) resolve()
      })
      child.once('exit', () => reject(new Error(`The daemon has ended: ${text}`)))
    })
    return new DaemonProcess(child)
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
  }
}
