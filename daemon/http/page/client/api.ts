/**
 * The daemon's HTTP API as the page asks it. Addresses are relative, so that any path prefix works.
 * Must never throw for what the daemon or the network does: that is an answer too.
 */
import type {
  ActionResult,
  ApiFailure,
  Health,
  History,
  InboxMessage,
  InboxRow,
  OutboxMessage,
  OutboxRow,
  Overview,
  Peers,
  Rows,
} from '../../api-types.ts'
import type { Action } from '../model/action.ts'
import type { Failure } from '../model/connection.ts'
import { type Box, pageRows, type Query, queryParameters, suffixOf } from '../model/route.ts'
import { shownSentence } from '../model/text.ts'

export type Answer<T> =
  | { readonly type: 'answer'; readonly value: T }
  | { readonly type: 'failure'; readonly failure: Failure }
  /** Nobody waits for it any more. */
  | { readonly type: 'aborted' }

/** A request that hangs longer has failed, whatever the network says. */
const answerMs = 15_000

export const getOverview = async (signal: AbortSignal): Promise<Answer<Overview>> =>
  ask('api/overview', { signal })

export const getHealth = async (signal: AbortSignal): Promise<Answer<Health>> =>
  ask('api/health', { signal })

export const getPeers = async (signal: AbortSignal): Promise<Answer<Peers>> =>
  ask('api/peers', { signal })

export const getHistory = async (minutes: number, signal: AbortSignal): Promise<Answer<History>> =>
  ask(`api/history?minutes=${minutes}`, { signal })

export type Row = OutboxRow | InboxRow

/** The page of rows that comes before the id `before`; the newest when that is null. */
export async function getRows(
  box: Box,
  query: Query,
  before: number | null,
  signal: AbortSignal,
): Promise<Answer<Rows<Row>>> {
  const suffix = suffixOf({
    ...queryParameters(box, query),
    before: before === null ? '' : String(before),
    limit: String(pageRows),
  })
  return ask(`api/${box}${suffix}`, { signal })
}

export const getMessage = async (
  box: Box,
  id: number,
  signal: AbortSignal,
): Promise<Answer<OutboxMessage | InboxMessage>> => ask(`api/${box}/${id}`, { signal })

/** Does something to a row. Another site cannot set the header, so it cannot have it done. */
export const act = async (box: Box, id: number, action: Action): Promise<Answer<ActionResult>> =>
  ask(`api/${box}/${id}/${action.name}`, { method: 'POST', headers: { 'x-tinymq': '1' } })

async function ask<T>(path: string, options: RequestInit): Promise<Answer<T>> {
  const timeout = AbortSignal.timeout(answerMs)
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
  try {
    const token = readToken()
    const headers = new Headers(options.headers)
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
    const response = await fetch(path, { cache: 'no-store', ...options, headers, signal })
    const body: unknown = await response.json().catch(() => undefined)
    if (response.ok && body !== undefined) return { type: 'answer', value: body as T }
    return { type: 'failure', failure: failureOf(response, body) }
  } catch {
    if (options.signal?.aborted === true) return { type: 'aborted' }
    return { type: 'failure', failure: silence }
  }
}

const silence: Failure = {
  code: 'UNREACHABLE',
  message: 'The daemon does not answer.',
  hint: 'Is it running? tinymq check says so on its machine; tinymq doctor looks for the reason.',
}

function failureOf(response: Response, body: unknown): Failure {
  const { status } = response
  const kind = {
    ...(status === 404 && { isGone: true as const }),
    ...((status === 401 || status === 403) && { isRefused: true as const }),
  }
  const { error } = (typeof body === 'object' && body !== null ? body : {}) as Partial<ApiFailure>
  if (error !== undefined) {
    return { ...error, message: shownSentence(error.message), ...kind }
  }
  return {
    ...kind,
    code: `HTTP ${status}`,
    message: `Something before the daemon answered ${status} ${response.statusText}.`,
    hint: 'Look at the proxy: it must pass api/ on to the daemon, with event streams unbuffered.',
  }
}

// The token that `tinymq ui` puts into the address of the page: kept for this origin, its port
// included, and sent with each question. Must never stay in the address, which people send on.

const key = 'tinymq-token'

/** Undefined without one: then a password may be asked for, by the browser. */
export function readToken(): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined
  } catch {
    return undefined
  }
}

/** Keeps what the address has. @returns whether it had one. */
export function takeToken(): boolean {
  const token = /^#token=([\da-f]+)$/.exec(location.hash)?.[1]
  if (token === undefined) return false
  try {
    localStorage.setItem(key, token)
  } catch {
    // Storage is forbidden: the page says that it may read nothing.
  }
  history.replaceState(null, '', `${location.pathname}#/`)
  return true
}
