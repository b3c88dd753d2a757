/**
 * The HTTP application: who is let in, which address is which answer, what every answer carries.
 * Must never touch a socket, nor tell a stranger more than that it refuses.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Hono, type Context } from 'hono'
import { TinymqError, type TinymqErrorCode } from '../../sdk/errors.ts'
import type { Log } from '../log.ts'
import { EventStreams } from './event-stream.ts'
import { expositionType } from './exposition.ts'
import { refusalOf, type Caller, type GateRules } from './gate.ts'
import { metricsText, type ProcessFacts } from './metrics.ts'
import type { Observer } from './observer.ts'
import type { ApiFailure } from './page-api.ts'
import { isAuthorized, isSameSecret, WrongPasswords } from './password.ts'
import { PeerSeries } from './peer-series.ts'
import { BadQuery, idOf, inboxQueryOf, minutesOf, outboxQueryOf } from './queries.ts'
import type { StaticFile } from './static-files.ts'
import type { RowAction } from './tables/row-actions.ts'

export type AppParts = {
  readonly observer: Observer
  readonly rules: GateRules
  readonly password: string | undefined
  /** What api/ asks for where there is no password. */
  readonly token: PageToken | undefined
  readonly page: ReadonlyMap<string, StaticFile>
  readonly process: () => ProcessFacts
  readonly log: Log
}

/** `path`: the file that it is in. */
export type PageToken = { readonly text: string; readonly path: string }

export type App = {
  /** `address`: of the client, as its limits are kept. */
  readonly fetch: (request: Request, address: string) => Response | Promise<Response>
  /** Counts a request that was rejected before it came here. */
  readonly onRejected: (reason: string) => void
  /** Ends what would go on for ever. */
  readonly stop: () => void
}

type Bindings = { Bindings: { readonly address: string } }
type AppContext = Context<Bindings>
type Routes = Hono<Bindings>

const bodyBytesMax = 1_024

/** What keeps the daemon alive asks for these: whatever else is going on, they are answered. */
export const signsOfLife: ReadonlySet<string> = new Set(['/healthz', '/readyz'])

/** Nothing from elsewhere, no script or style within the page, no frame around it. */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const headers: { readonly [name: string]: string } = {
  'content-security-policy': pagePolicy,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
}

export function createApp(parts: AppParts): App {
  const { observer, log } = parts
  const app = new Hono<Bindings>()
  const streams = new EventStreams(async () => observer.overview())
  const door = new Door(parts)
  app.use(async (context, next) => {
    await next()
    for (const [name, value] of Object.entries(headers)) context.res.headers.set(name, value)
    if (!context.res.headers.has('cache-control')) {
      context.res.headers.set('cache-control', 'no-store')
    }
  })
  // Before all else: whoever asks for signs of life has no password, and learns one word.
  app.get('/healthz', (context) => context.text('ok\n'))
  app.get('/readyz', (context) => {
    const { isReady, sentence } = observer.readiness
    return context.text(`${isReady ? 'ok' : `not ready: ${sentence}`}\n`, isReady ? 200 : 503)
  })
  app.use(
    async (context, next) =>
      door.refuse(context) ?? door.askToken(context) ?? (await door.askPassword(context)) ?? next(),
  )
  app.get('/metrics', async (context) => {
    const text = await metricsOf(parts, door)
    return context.body(text, 200, { 'content-type': expositionType })
  })
  addReads(app, observer, streams)
  addActions(app, observer, log)
  app.get('*', (context) => fileAnswer(context, parts.page))
  app.notFound((context) => notFound(context))
  app.onError((error, context) => errorAnswer(error, context, log))
  return {
    fetch: (request, address) => app.fetch(request, { address }),
    onRejected: (reason) => door.count(reason),
    stop: () => streams.stop(),
  }
}

export const failure = (code: string, message: string, hint = ''): ApiFailure => ({
  error: { code, message, hint },
})

/** Who is let in. */
class Door {
  readonly refused: { [reason: string]: number } = {}
  readonly series = new PeerSeries()
  readonly #parts: AppParts
  readonly #wrong = new WrongPasswords()

  constructor(parts: AppParts) {
    this.#parts = parts
  }

  refuse(context: AppContext): Response | undefined {
    const refusal = refusalOf(callerOf(context), this.#parts.rules)
    if (refusal !== undefined) {
      this.count(refusal.code)
      const { status, code, message, hint } = refusal
      return context.json(failure(code, message, hint), status as 403)
    }
    if (Number(context.req.header('content-length') ?? 0) <= bodyBytesMax) return undefined
    this.count('HTTP_BODY')
    return context.json(failure('HTTP_BODY', 'The body is too large; none is needed.'), 413)
  }

  /** Without it every user of this machine could read messages, whoever may read the file. */
  askToken(context: AppContext): Response | undefined {
    const { token, password } = this.#parts
    const { path } = context.req
    if (token === undefined || password !== undefined || !path.startsWith('/api/')) return undefined
    const bearer = /^bearer +([\da-f]+) *$/i.exec(context.req.header('authorization') ?? '')?.[1]
    // A browser sends no header of the page's with an event stream.
    const given = bearer ?? (path === '/api/events' ? context.req.query('token') : undefined)
    if (given !== undefined && isSameSecret(given, token.text)) return undefined
    this.count('HTTP_TOKEN')
    context.header('www-authenticate', 'Bearer realm="tinymq"')
    const message = 'Only who may read the database may read this: tinymq ui opens the page.'
    const hint = `With curl: curl -H @${token.path} and the address.`
    return context.json(failure('HTTP_TOKEN', message, hint), 401)
  }

  /**
   * The delay comes before the comparison: whoever closes the connection meanwhile has learned
   * nothing. An address that has given no wrong password waits for nothing.
   */
  async askPassword(context: AppContext): Promise<Response | undefined> {
    const { password } = this.#parts
    const given = context.req.header('authorization')
    if (password === undefined) return undefined
    // A browser asks without one first: that is no try.
    if (given === undefined) return this.#passwordWanted(context)
    const { address } = context.env
    const delayMs = this.#wrong.begin(address, performance.now())
    if (delayMs === undefined) {
      this.count('HTTP_GUESSES')
      context.header('connection', 'close')
      const message = 'Wrong passwords came from this address: ask again in a few seconds.'
      return context.json(failure('HTTP_GUESSES', message), 429)
    }
    if (delayMs > 0) await pause(delayMs)
    const isRight = isAuthorized(given, password)
    const isFirst = this.#wrong.end(address, isRight, performance.now())
    if (isRight) return undefined
    this.count('HTTP_PASSWORD')
    if (isFirst) {
      const sentence =
        'Somebody gave a wrong password for HTTP. More of them are only counted, in ' +
        'tinymq_http_refused_total.'
      this.#parts.log({ level: 'warn', event: 'http-password', sentence })
    }
    return this.#passwordWanted(context)
  }

  #passwordWanted(context: AppContext): Response {
    context.header('connection', 'close')
    context.header('www-authenticate', 'Basic realm="tinymq", charset="UTF-8"')
    const hint = 'Any user name, with the password of --http-password-file.'
    return context.json(failure('HTTP_PASSWORD', 'A password is needed.', hint), 401)
  }

  count(reason: string): void {
    this.refused[reason] = (this.refused[reason] ?? 0) + 1
  }
}

function callerOf({ req }: AppContext): Caller {
  return {
    method: req.method,
    path: req.path,
    host: req.header('host'),
    origin: req.header('origin'),
    fetchSite: req.header('sec-fetch-site'),
    fetchMode: req.header('sec-fetch-mode'),
    fetchDest: req.header('sec-fetch-dest'),
    marker: req.header('x-tinymq'),
  }
}

/** A scrape gets its counters although the tables cannot be read. */
async function metricsOf({ observer, process }: AppParts, door: Door): Promise<string> {
  const look = await observer.look().catch((error: unknown) => {
    if (error instanceof TinymqError) return undefined
    throw error
  })
  const { counters, readiness } = observer
  const { isReady } = readiness
  const { fault } = observer
  const input = { counters, process: process(), look, isReady, fault, refused: door.refused }
  return metricsText(input, door.series)
}

function addReads(app: Routes, observer: Observer, streams: EventStreams): void {
  const { reader } = observer
  app.get('/api/overview', async (context) => context.json(await observer.overview()))
  app.get('/api/peers', async (context) => context.json(await observer.peers()))
  app.get('/api/health', async (context) => context.json(await observer.health()))
  app.get('/api/history', (context) =>
    context.json(observer.history(minutesOf(context.req.query()))),
  )
  app.get('/api/outbox', async (context) => {
    const query = outboxQueryOf(context.req.query())
    return context.json(await reader.ask<'outbox'>({ type: 'outbox', query }))
  })
  app.get('/api/inbox', async (context) => {
    const query = inboxQueryOf(context.req.query())
    return context.json(await reader.ask<'inbox'>({ type: 'inbox', query }))
  })
  app.get('/api/outbox/:id', async (context) => {
    const id = idOf(context.req.param('id'))
    return context.json(await reader.ask<'outbox-message'>({ type: 'outbox-message', id }))
  })
  app.get('/api/inbox/:id', async (context) => {
    const id = idOf(context.req.param('id'))
    return context.json(await reader.ask<'inbox-message'>({ type: 'inbox-message', id }))
  })
  app.get('/api/events', (context) => {
    const stream = streams.open()
    if (stream === undefined) {
      return context.json(failure('HTTP_STREAMS', 'Too many are listening already.'), 503)
    }
    return context.body(stream, 200, { 'content-type': 'text/event-stream; charset=utf-8' })
  })
}

const actions: readonly { readonly path: string; readonly action: RowAction }[] = [
  { path: '/api/outbox/:id/cancel', action: 'cancel' },
  { path: '/api/outbox/:id/retry', action: 'retry' },
  { path: '/api/inbox/:id/redrive', action: 'redrive' },
]

function addActions(app: Routes, observer: Observer, log: Log): void {
  for (const { path, action } of actions) {
    app.post(path, async (context) => {
      const id = idOf(context.req.param('id'))
      const done = await observer.reader.ask<'act'>({ type: 'act', action, id })
      const fields = { action, id }
      log({ level: 'info', event: 'http-action', sentence: done.sentence, fields })
      return context.json(done)
    })
  }
}

const notBuilt = `The status page is not built here. In a clone of the project: npm run build.
Its data is there all the same: api/overview, api/peers, api/outbox, api/inbox, metrics.
`

function fileAnswer(context: AppContext, page: ReadonlyMap<string, StaticFile>): Response {
  const { path } = context.req
  if (path.startsWith('/api/')) return notFound(context)
  if (page.size === 0 && path === '/') return context.text(notBuilt, 503)
  const file = page.get(path === '/' ? 'index.html' : path.slice(1))
  if (file === undefined) return notFound(context)
  context.header('etag', file.etag)
  const lasting = file.isImmutable ? 'private, max-age=31536000, immutable' : 'private, no-cache'
  context.header('cache-control', lasting)
  if (context.req.header('if-none-match')?.includes(file.etag) === true) {
    return context.body(null, 304)
  }
  return context.body(file.bytes, 200, { 'content-type': file.type })
}

function notFound(context: AppContext): Response {
  const hint = 'docs/observability.md lists what there is.'
  return context.json(failure('HTTP_NOT_FOUND', 'There is nothing at this address.', hint), 404)
}

const statuses: { readonly [Code in TinymqErrorCode]?: 404 } = {
  TINYMQ_NO_SUCH_ROW: 404,
  TINYMQ_CANCELLED: 404,
  TINYMQ_FORGOTTEN: 404,
}

/** What is no fault of the caller or the world is ours: it is logged, and not shown. */
function errorAnswer(error: Error, context: AppContext, log: Log): Response {
  if (error instanceof BadQuery) {
    return context.json(failure('TINYMQ_BAD_ARGUMENT', `${error.message}.`), 400)
  }
  if (error instanceof TinymqError) {
    const { code, message, hint } = error
    return context.json(failure(code, message, hint), statuses[code] ?? 503)
  }
  const sentence = `A bug in answering HTTP: ${error.message}`
  log({ level: 'error', event: 'http-bug', sentence, fields: { stack: error.stack } })
  return context.json(failure('HTTP_BUG', 'The daemon could not answer; its log says why.'), 500)
}
