/**
 * An address where datagrams vanish without an answer, as those to a machine that is switched off.
 * (A closed port of this machine would be reported to the sender at once.)
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Destination } from './machine.ts'

export class SilentAddress implements AsyncDisposable {
  readonly #socket: Socket = createSocket('udp4')
  readonly #closed: Promise<unknown> = once(this.#socket, 'close')
  #isOpen = true

  async listen({ host, port }: Destination): Promise<void> {
    this.#socket.bind(port, host)
    await once(this.#socket, 'listening')
  }

  /** The address is free. */
  async close(): Promise<void> {
    if (this.#isOpen) this.#socket.close()
    this.#isOpen = false
    await this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
