/**
 * The HTTP application: who is let in, which address is which answer, what every answer carries.
 * Must never touch a socket, nor tell an unauthenticated peer more than that it rejects.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, sep } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Context, Hono } from 'hono'
import { TinymqError, type TinymqErrorCode } from '../../sdk/schema/errors.ts'
import type { Log } from '../platform/log.ts'
import {
  type GateRules,
  type RequestInfo,
  WrongPasswords,
  isAuthorized,
  isSameSecret,
  refusalOf,
} from './access-control.ts'
import type { ApiFailure, OutboxState, SearchBy } from './api-types.ts'
import { EventStreams } from './event-stream.ts'
import { PeerMetrics, type ProcessFacts, expositionType, metricsText } from './metrics.ts'
import type { RowAction } from './reader/actions.ts'
import type { InboxQuery, OutboxQuery } from './reader/search.ts'
import type { StatusService } from './status.ts'
import { historyMinutesMax } from './time-series.ts'

type AppParts = {
  readonly statusService: StatusService
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
  const { statusService, log } = parts
  const app = new Hono<Bindings>()
  const streams = new EventStreams(async () => statusService.overview())
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
    const { isReady, sentence } = statusService.readiness
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
  addReads(app, statusService, streams)
  addActions(app, statusService, log)
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
  readonly series = new PeerMetrics()
  readonly #parts: AppParts
  readonly #wrong = new WrongPasswords()

  constructor(parts: AppParts) {
    this.#parts = parts
  }

  refuse(context: AppContext): Response | undefined {
    const refusal = refusalOf(requestInfoOf(context), this.#parts.rules)
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
        'tinymq_http_requests_rejected_total.'
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

function requestInfoOf({ req }: AppContext): RequestInfo {
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
async function metricsOf({ statusService, process }: AppParts, door: Door): Promise<string> {
  const look = await statusService.look().catch((error: unknown) => {
    if (error instanceof TinymqError) return undefined
    throw error
  })
  const { counters, readiness } = statusService
  const { isReady } = readiness
  const { fault } = statusService
  const input = { counters, process: process(), look, isReady, fault, refused: door.refused }
  return metricsText(input, door.series)
}

function addReads(app: Routes, statusService: StatusService, streams: EventStreams): void {
  const { reader } = statusService
  app.get('/api/overview', async (context) => context.json(await statusService.overview()))
  app.get('/api/peers', async (context) => context.json(await statusService.peers()))
  app.get('/api/health', async (context) => context.json(await statusService.health()))
  app.get('/api/history', (context) =>
    context.json(statusService.history(minutesOf(context.req.query()))),
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

function addActions(app: Routes, statusService: StatusService, log: Log): void {
  for (const { path, action } of actions) {
    app.post(path, async (context) => {
      const id = idOf(context.req.param('id'))
      const done = await statusService.reader.ask<'act'>({ type: 'act', action, id })
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
  TINYMQ_HISTORY_EXPIRED: 404,
}

/** What is no fault of the caller or the world is ours: it is logged, and not shown. */
function errorAnswer(error: Error, context: AppContext, log: Log): Response {
  if (error instanceof BadQuery) {
    return context.json(failure('TINYMQ_INVALID_ARGUMENT', `${error.message}.`), 400)
  }
  if (error instanceof TinymqError) {
    const { code, message, hint } = error
    return context.json(failure(code, message, hint), statuses[code] ?? 503)
  }
  const sentence = `A bug in answering HTTP: ${error.message}`
  log({ level: 'error', event: 'http-bug', sentence, fields: { stack: error.stack } })
  return context.json(failure('HTTP_BUG', 'The daemon could not answer; its log says why.'), 500)
}

// What the addresses of the API say, as values. Must never take a word that is not in the contract.

/** What is wrong with an address, as a sentence. */
class BadQuery extends Error {
  override readonly name = 'BadQuery'
}

export type Words = { readonly [name: string]: string | undefined }

const limitMax = 200
const searchCharactersMax = 256
const bys: readonly SearchBy[] = ['any', 'id', 'host', 'token', 'text']
const states: readonly (OutboxState | 'any')[] = ['any', 'waiting', 'in-flight', 'parked']

/** @throws BadQuery */
function outboxQueryOf(words: Words): OutboxQuery {
  refuseOthers(words, ['search', 'by', 'state', 'before', 'limit'])
  return { ...pageOf(words), state: oneOf('state', words['state'], states) }
}

/** @throws BadQuery */
function inboxQueryOf(words: Words): InboxQuery {
  refuseOthers(words, ['search', 'by', 'dead', 'before', 'limit'])
  return { ...pageOf(words), isDead: oneOf('dead', words['dead'], ['0', '1']) === '1' }
}

/** @throws BadQuery */
function minutesOf(words: Words): number {
  refuseOthers(words, ['minutes'])
  return wholeNumber('minutes', words['minutes'], 10, 1, historyMinutesMax)
}

/** @throws BadQuery */
function idOf(text: string | undefined): number {
  return wholeNumber('the id', text, 0, 1, Number.MAX_SAFE_INTEGER)
}

function pageOf(words: Words): Omit<OutboxQuery, 'state'> {
  const text = words['search'] ?? ''
  if (text.length > searchCharactersMax) {
    throw new BadQuery(`search must have at most ${searchCharactersMax} characters`)
  }
  return {
    text,
    by: oneOf('by', words['by'], bys),
    before: wholeNumber(
      'before',
      words['before'],
      Number.MAX_SAFE_INTEGER,
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    limit: wholeNumber('limit', words['limit'], 50, 1, limitMax),
  }
}

function refuseOthers(words: Words, known: readonly string[]): void {
  const strange = Object.keys(words).find((name) => !known.includes(name))
  if (strange === undefined) return
  throw new BadQuery(`there is no parameter like this one; there are ${known.join(', ')}`)
}

/** The first of them where nothing is reported. */
function oneOf<Word extends string>(
  name: string,
  text: string | undefined,
  words: readonly Word[],
): Word {
  const word = text === undefined || text === '' ? words[0] : words.find((one) => one === text)
  if (word === undefined) throw new BadQuery(`${name} must be one of ${words.join(', ')}`)
  return word
}

function wholeNumber(
  name: string,
  text: string | undefined,
  otherwise: number,
  min: number,
  max: number,
): number {
  if (text === undefined || text === '') return otherwise
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new BadQuery(`${name} must be a whole number from ${min} to ${max}`)
}

// The files of the status page, as they were built, read once and kept. Must never read a path that
// a request names: it serves what it has found, by its name.

type StaticFile = {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly type: string
  readonly etag: string
  /** Its name changes with what is in it. */
  readonly isImmutable: boolean
}

const types: { readonly [extension: string]: string } = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
}

/** By path, without a slash before it. Empty where the page is not built. */
export function readPage(folder: string): ReadonlyMap<string, StaticFile> {
  const files = new Map<string, StaticFile>()
  if (!existsSync(join(folder, 'index.html'))) return files
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const type = types[extname(entry.name)]
    if (!entry.isFile() || type === undefined) continue
    const path = join(entry.parentPath, entry.name)
    const name = path.slice(folder.length + 1).replaceAll(sep, '/')
    const bytes = Uint8Array.from(readFileSync(path))
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`
    files.set(name, { bytes, type, etag, isImmutable: name.startsWith('assets/') })
  }
  return files
}

/** The folder of the built page, seen from the sources and from what is compiled. */
export function pageFolder(): string {
  const compiled = join(import.meta.dirname, '..', '..', 'page')
  if (existsSync(join(compiled, 'index.html'))) return compiled
  return join(import.meta.dirname, '..', '..', 'dist', 'page')
}
