/**
 * Serves the application to sockets: limits of time, size and number for each connection. Must
 * never be loaded before somebody connects: it takes memory that an idle daemon does without.
 */
import { once } from 'node:events'
import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { Server, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import type { Log } from '../platform/log.ts'
import {
  type App,
  createApp,
  failure,
  pageFolder,
  type PageToken,
  readPage,
  signsOfLife,
} from './routes.ts'
import { addressOf, HttpConnections, type Rejection, RequestFeed } from './connections.ts'
import type { StatusService } from './status.ts'

type HttpOptions = {
  readonly statusService: StatusService
  readonly names: readonly string[]
  readonly canAct: boolean
  readonly password: string | undefined
  readonly token: PageToken | undefined
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

const rejections: { readonly [Code in Exclude<Rejection, 'HTTP_PIPELINED'>]: [number, string] } = {
  HTTP_RATE: [429, 'Too many requests of this address: ask less often.'],
  HTTP_BUSY: [503, 'Too many requests are being answered: ask again in a moment.'],
}

export class HttpServing {
  readonly #server: HttpServer
  readonly #app: App
  readonly #answer: ReturnType<typeof getRequestListener>
  readonly #connections = new HttpConnections()
  readonly #feeds = new WeakMap<Socket, RequestFeed>()

  /** Takes over the socket that `listener` listens on; connections may be taken once it does. */
  static async begin(listener: Server, options: HttpOptions): Promise<HttpServing> {
    const serving = new HttpServing(listener, options)
    await once(serving.#server, 'listening')
    return serving
  }

  private constructor(listener: Server, given: HttpOptions) {
    const { statusService, names, canAct, password, token, log } = given
    this.#app = createApp({
      statusService,
      rules: { names, canAct },
      password,
      token,
      page: readPage(pageFolder()),
      process: () => ({
        version: statusService.facts.version,
        startedAtMs: statusService.facts.startedAt,
        residentBytes: process.memoryUsage.rss(),
        cpuUs: process.cpuUsage().user + process.cpuUsage().system,
      }),
      log,
    })
    const options = { ...timeouts, maxHeaderSize: headerBytesMax }
    this.#answer = getRequestListener(
      async (request, { incoming }) => this.#app.fetch(request, addressOf(incoming.socket)),
      { overrideGlobalObjects: false },
    )
    this.#server = createServer(options, (request, response) => this.#onRequest(request, response))
    this.#server.maxHeadersCount = headersMax
    this.#server.on('connection', (socket) => this.#onConnection(socket))
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
    this.#app.stop()
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.#server.close(() => resolve(undefined))
    this.#server.closeAllConnections()
    return promise
  }

  #onConnection(socket: Socket): void {
    if (this.#connections.add(socket, performance.now())) {
      this.#feeds.set(socket, new RequestFeed(socket))
    } else this.#app.onRejected('HTTP_RATE')
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    this.#feeds.get(request.socket)?.hold(response)
    const isSign = signsOfLife.has(request.url ?? '')
    const nowMs = performance.now()
    const rejection = this.#connections.begin(request.socket, response, isSign, nowMs)
    if (rejection === undefined) return void this.#answer(request, response)
    this.#app.onRejected(rejection)
    // That connection is closed.
    if (rejection === 'HTTP_PIPELINED') return
    const [status, message] = rejections[rejection]
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
    response.end(JSON.stringify(failure(rejection, message)))
  }
}
