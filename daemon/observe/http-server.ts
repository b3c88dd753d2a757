/**
 * Serves the application to sockets: limits of time and size for each connection. Must never be
 * loaded before somebody connects: it takes memory that an idle daemon does without.
 */
import { once } from 'node:events'
import { createServer, type Server as HttpServer } from 'node:http'
import type { Server, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Log } from '../log.ts'
import { createApp } from './app.ts'
import type { Observer } from './observer.ts'
import { pageFolder, readPage } from './static-files.ts'

export type HttpOptions = {
  readonly observer: Observer
  readonly names: readonly string[]
  readonly canAct: boolean
  readonly password: string | undefined
  readonly log: Log
}

/** Whoever sends a request slowly does not hold a connection for longer than this. */
const timeouts = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 15_000,
  connectionsCheckingInterval: 1_000,
}
const headerBytesMax = 8_192
const headersMax = 64

export class HttpServing {
  readonly #server: HttpServer
  readonly #stopApp: () => void

  /** Takes over the socket that `listener` listens on; connections may be taken once it does. */
  static async begin(listener: Server, options: HttpOptions): Promise<HttpServing> {
    const serving = new HttpServing(listener, options)
    await once(serving.#server, 'listening')
    return serving
  }

  private constructor(listener: Server, { observer, names, canAct, password, log }: HttpOptions) {
    const app = createApp({
      observer,
      rules: { names, canAct },
      password,
      page: readPage(pageFolder()),
      process: () => ({
        version: observer.facts.version,
        startedAtMs: observer.facts.startedAt,
        residentBytes: process.memoryUsage.rss(),
        cpuUs: process.cpuUsage().user + process.cpuUsage().system,
      }),
      log,
    })
    this.#stopApp = app.stop
    const options = { ...timeouts, maxHeaderSize: headerBytesMax }
    const answer = getRequestListener(app.fetch, { overrideGlobalObjects: false })
    this.#server = createServer(options, (request, response) => void answer(request, response))
    this.#server.maxHeadersCount = headersMax
    this.#server.maxConnections = listener.maxConnections
    this.#server.listen(listener)
    this.#server.unref()
  }

  /**
   * A connection that was there before the server was. Its limits of time come from the list that
   * node:http makes when it begins to listen: before that it would have none.
   */
  take(socket: Socket): void {
    this.#server.emit('connection', socket)
    socket.resume()
  }

  async close(): Promise<void> {
    this.#stopApp()
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.#server.close(() => resolve(undefined))
    this.#server.closeAllConnections()
    return promise
  }
}
