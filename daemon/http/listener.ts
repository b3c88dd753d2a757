/**
 * Where HTTP is listened for: opens the port, and loads what answers when somebody knocks. Must
 * never open a port beyond this machine without a password.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { Log } from '../platform/log.ts'
import type { Config, HttpEndpoint } from '../platform/config/options.ts'
import { showAddress } from '../protocol/io.ts'
import type { Address } from '../protocol/io.ts'
import { StartError } from '../platform/start-error.ts'
import { pageTokenPath, providePageToken } from '../platform/files/page-token.ts'
import type { PageToken } from './routes.ts'
import { isLoopbackIp, readPassword } from './access-control.ts'
import type { HttpServing } from './server.ts'
import type { StatusService } from './status.ts'

type ListenerOptions = {
  readonly config: Config
  /** The number that HTTP has when nothing was chosen. */
  readonly udpPort: number
  /** The real path of the database. */
  readonly database: string
  readonly statusService: StatusService
  readonly log: Log
}

type Secrets = { readonly password: string | undefined; readonly token: PageToken | undefined }

/** That wait until what answers is loaded; it has limits of its own. */
const waitingMax = 64
const loopback = '127.0.0.1'

/**
 * Opens the port.
 * @returns undefined when it is off, or cannot be had and nobody has asked for it by name.
 * @throws StartError
 */
export async function openHttpListener(
  options: ListenerOptions,
): Promise<HttpListener | undefined> {
  const { config, udpPort, log } = options
  const password = checkHttp(config)
  if (config.http === 'off') return undefined
  const endpoint = config.http ?? { ip: loopback, port: udpPort }
  const listener = createServer({ pauseOnConnect: true })
  try {
    await listen(listener, endpoint)
  } catch (cause) {
    const problem = takenError(endpoint, cause)
    if (config.http !== undefined) throw problem
    log({ level: 'warn', event: 'http-off', sentence: `${problem.message} It goes on without.` })
    return undefined
  }
  try {
    return new HttpListener(listener, options, { password, token: tokenFor(options, password) })
  } catch (cause) {
    listener.close()
    const { message } = cause as Error
    const sentence = `The file of the page's token cannot be made: ${message}.`
    if (config.http !== undefined)
      throw new StartError('TINYMQ_HTTP_PASSWORD_REQUIRED', sentence, { cause })
    log({ level: 'warn', event: 'http-off', sentence: `${sentence} It goes on without a page.` })
    return undefined
  }
}

function tokenFor({ database }: ListenerOptions, password: string | undefined): Secrets['token'] {
  if (password !== undefined) return undefined
  return { text: providePageToken(database), path: pageTokenPath(database) }
}

/**
 * Whether what was chosen goes together, before anything is opened.
 * @returns the password.
 * @throws StartError
 */
export function checkHttp(config: Config): string | undefined {
  const password = readPassword(config)
  const { http } = config
  if (http === undefined || http === 'off') return password
  if (isLoopbackIp(http.ip) || password !== undefined) return password
  const sentence =
    `HTTP at ${showAddress(http)} would be open to everybody who reaches it: give it a password ` +
    'with --http-password-file FILE, or serve this machine alone with --http 127.0.0.1:' +
    `${http.port}.`
  throw new StartError('TINYMQ_HTTP_PASSWORD_REQUIRED', sentence)
}

async function listen(listener: Server, { ip: host, port }: Address): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>()
  listener.once('error', reject)
  listener.listen({ host, port, exclusive: true }, () => {
    listener.off('error', reject)
    resolve(undefined)
  })
  return promise
}

function takenError(endpoint: Exclude<HttpEndpoint, 'off'>, cause: unknown): StartError {
  const code = (cause as NodeJS.ErrnoException).code ?? String(cause)
  const why = code === 'EADDRINUSE' ? 'another program has it' : code
  const sentence =
    `TCP port ${endpoint.port} at ${endpoint.ip}, for the status page and /metrics, is not ` +
    `available (${why}): choose another with --http ${endpoint.port === 9_000 ? 9_001 : 9_000}, ` +
    'or --http off.'
  return new StartError('TINYMQ_HTTP_PORT_IN_USE', sentence, { cause })
}

export class HttpListener {
  readonly address: Address
  readonly #listener: Server
  readonly #options: ListenerOptions
  readonly #secrets: Secrets
  readonly #waiting = new Set<Socket>()
  #serving: Promise<HttpServing | undefined> | undefined

  /** `listener` listens. */
  constructor(listener: Server, options: ListenerOptions, secrets: Secrets) {
    this.#listener = listener
    this.#options = options
    this.#secrets = secrets
    const bound = listener.address()
    const isPlace = bound !== null && typeof bound === 'object'
    this.address = isPlace ? { ip: bound.address, port: bound.port } : { ip: loopback, port: 0 }
    listener.on('connection', (socket) => void this.#onKnock(socket))
    listener.unref()
  }

  async close(): Promise<void> {
    for (const socket of this.#waiting) socket.destroy()
    await (await this.#serving)?.close()
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.#listener.close(() => resolve(undefined))
    return promise
  }

  async #onKnock(socket: Socket): Promise<void> {
    if (this.#waiting.size >= waitingMax) {
      socket.destroy()
      return
    }
    this.#waiting.add(socket)
    // It may go before anybody has answered.
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#waiting.delete(socket))
    this.#serving ??= this.#load()
    const serving = await this.#serving
    this.#waiting.delete(socket)
    if (serving === undefined) socket.destroy()
    else if (!socket.destroyed) serving.take(socket)
  }

  /** Undefined: an upgrade in place has removed the file, and messages go on all the same. */
  async #load(): Promise<HttpServing | undefined> {
    const { config, statusService, log } = this.#options
    const loaded = await import('./server.ts').catch((error: unknown) => {
      const sentence = 'The status page cannot be loaded: restart the daemon after an upgrade.'
      log({ level: 'error', event: 'http-off', sentence, fields: { reason: String(error) } })
      return undefined
    })
    if (loaded === undefined) return undefined
    const { HttpServing: Serving } = loaded
    return Serving.begin(this.#listener, {
      statusService,
      names: config.httpNames,
      canAct: config.httpActions === 'on',
      ...this.#secrets,
      log,
    })
  }
}
