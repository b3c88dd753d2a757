/**
 * Whom the HTTP server answers. A foreign page must get nothing through the
 * browser of somebody who may: not by a name that was bound again (DNS rebinding), not from another
 * origin. Must never decide by the path alone where a header can tell.
 */
import { isIP } from 'node:net'

/** What counts of a request. Header values as they came, undefined without one. */
export type RequestInfo = {
  readonly method: string
  readonly path: string
  readonly host: string | undefined
  readonly origin: string | undefined
  readonly fetchSite: string | undefined
  readonly fetchMode: string | undefined
  readonly fetchDest: string | undefined
  readonly marker: string | undefined
}

export type Refusal = {
  readonly status: 403 | 405 | 414
  readonly code: 'HTTP_METHOD' | 'HTTP_HOST' | 'HTTP_ORIGIN' | 'HTTP_MARKER' | 'HTTP_ACTIONS_OFF'
  readonly message: string
  readonly hint: string
}

export type GateRules = {
  /** Names by which it may be asked, in lower case. */
  readonly names: readonly string[]
  readonly canAct: boolean
}

/** Why this request is not answered; undefined: it is. */
export function refusalOf(caller: RequestInfo, rules: GateRules): Refusal | undefined {
  return methodRefusal(caller) ?? hostRefusal(caller, rules) ?? originRefusal(caller, rules)
}

function methodRefusal({ method, path }: RequestInfo): Refusal | undefined {
  const isRead = method === 'GET' || method === 'HEAD'
  if (isRead || (method === 'POST' && path.startsWith('/api/'))) return undefined
  return {
    status: 405,
    code: 'HTTP_METHOD',
    message: `${method.slice(0, 20)} is not taken here.`,
    hint: 'GET and HEAD read; POST acts under api/.',
  }
}

/**
 * A name that a foreign DNS points here is not one of ours. An address cannot be
 * bound again.
 */
function hostRefusal({ host }: RequestInfo, { names }: GateRules): Refusal | undefined {
  const name = hostNameOf(host)
  if (name !== undefined && isOwnName(name, names)) return undefined
  return {
    status: 403,
    code: 'HTTP_HOST',
    message: 'This host name is not one of this daemon.',
    hint: 'Ask by localhost or by the address, or start the daemon with --http-names NAME.',
  }
}

function isOwnName(name: string, names: readonly string[]): boolean {
  return name === 'localhost' || isIP(name) !== 0 || names.includes(name)
}

/** Of `name`, `name:port` or `[address]:port`; in lower case. */
function hostNameOf(host: string | undefined): string | undefined {
  const match = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i.exec(host ?? '')
  const name = (match?.[1] ?? match?.[2])?.toLowerCase()
  // A dot at the end means the same name.
  return name?.replace(/\.$/, '')
}

function originRefusal(caller: RequestInfo, rules: GateRules): Refusal | undefined {
  const { method, marker } = caller
  const foreign: Refusal = {
    status: 403,
    code: 'HTTP_ORIGIN',
    message: 'Pages of other origins get nothing here.',
    hint: 'Open the page itself, or use a program that sends no Origin.',
  }
  if (!isOwnOrigin(caller, rules)) return foreign
  if (method !== 'POST') return isOwnFetch(caller) || isPlainVisit(caller) ? undefined : foreign
  if (!isOwnFetch(caller)) return foreign
  if (!rules.canAct) {
    return {
      status: 403,
      code: 'HTTP_ACTIONS_OFF',
      message: 'Actions are off.',
      hint: 'Start the daemon with --http-actions on, or use tinymq cancel, retry and redrive.',
    }
  }
  if (marker === '1') return undefined
  return {
    status: 403,
    code: 'HTTP_MARKER',
    message: 'The header x-tinymq: 1 is missing.',
    hint: 'Send it: a form of another page cannot.',
  }
}

/** A proxy may have another name than we are asked by: then it is one of the names. */
function isOwnOrigin({ origin, host }: RequestInfo, { names }: GateRules): boolean {
  if (origin === undefined) return true
  const match = /^https?:\/\/(.+)$/i.exec(origin)
  const [own, asked] = [hostNameOf(match?.[1]), host?.toLowerCase()]
  return own !== undefined && (match?.[1]?.toLowerCase() === asked || names.includes(own))
}

/** Browsers say where a request comes from; programs do not. */
function isOwnFetch({ fetchSite }: RequestInfo): boolean {
  return fetchSite === undefined || fetchSite === 'same-origin' || fetchSite === 'none'
}

/** A link on another site that a person has followed. What answers is the page, never its data. */
function isPlainVisit({ method, path, fetchMode, fetchDest }: RequestInfo): boolean {
  const isPage = path === '/' || path === '/index.html'
  return method === 'GET' && isPage && fetchMode === 'navigate' && fetchDest === 'document'
}

/** Whether everybody who reaches this address is on this machine. */
export function isLoopbackIp(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1' || /^::ffff:127\./i.test(ip)
}
