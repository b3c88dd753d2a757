/**
 * The daemon's HTTP API as the page asks it. Addresses are relative, so that any path prefix works.
 * Must never throw for what the daemon or the network does: that is an answer too.
 */
import type {
  ApiFailure,
  Done,
  Health,
  History,
  InboxMessage,
  InboxRow,
  OutboxMessage,
  OutboxRow,
  Overview,
  Peers,
  Rows,
} from '../../observe/page-api.ts'
import type { Deed } from '../model/deed.ts'
import type { Failure } from '../model/link.ts'
import { shownSentence } from '../model/shown-text.ts'
import { queryParameters, suffixOf, type Box, type Query } from '../model/route.ts'
import { pageRows } from '../model/rows-search.ts'
import { readToken } from './token.ts'

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
export const act = async (box: Box, id: number, deed: Deed): Promise<Answer<Done>> =>
  ask(`api/${box}/${id}/${deed.name}`, { method: 'POST', headers: { 'x-tinymq': '1' } })

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
