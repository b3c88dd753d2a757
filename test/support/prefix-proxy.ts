/**
 * A reverse proxy as operators put before a daemon: it serves it under a path of its own, and knows
 * nothing of what passes through. Must never wait for the end of an answer: streams have none.
 */
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export class PrefixProxy implements AsyncDisposable {
  readonly #server = createServer((asked, answer) => this.#pass(asked, answer))
  readonly #prefix: string
  readonly #target: URL

  /** `prefix` begins with a slash and ends without one. */
  constructor(prefix: string, target: string) {
    this.#prefix = prefix
    this.#target = new URL(target)
  }

  /** Where the target is to be found now. */
  async listen(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.listen(0, '127.0.0.1', resolve)
    await promise
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}${this.#prefix}/`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeAllConnections()
    await promise
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    const { url = '/', method, headers } = asked
    if (!url.startsWith(`${this.#prefix}/`)) {
      answer.writeHead(404).end('The proxy has nothing here.')
      return
    }
    const path = url.slice(this.#prefix.length)
    const { hostname, port } = this.#target
    const passed = request({ hostname, port, path, method, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(answer)
    })
    passed.on('error', () => answer.destroy())
    answer.on('close', () => passed.destroy())
    asked.pipe(passed)
  }
}
