/**
 * Whom the HTTP server answers. A foreign page must get nothing through the
 * browser of somebody who may: not by a name that was bound again (DNS rebinding), not from another
 * origin. Must never decide by the path alone where a header can tell.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { secretProblem } from '../platform/keys/key-file.ts'
import type { Config } from '../platform/config/options.ts'
import { StartError } from '../platform/start-error.ts'

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

// The password that HTTP asks for: read from its file, compared without telling by the time how
// much of it was right, wrong ones answered ever more slowly. Must never log it or a part of
// it.

/** Where Docker and Swarm put a secret of this name: read if nothing else was chosen. */
const dockerSecret = '/run/secrets/tinymq-http-password'
/** What can be guessed in a day at the pace that the delays allow. */
const charactersMin = 12

/**
 * The password that was chosen; undefined: none.
 * @throws StartError TINYMQ_INVALID_PASSWORD_FILE
 */
export function readPassword({ httpPasswordFile }: Config): string | undefined {
  const path = httpPasswordFile ?? (existsSync(dockerSecret) ? dockerSecret : undefined)
  if (path === undefined) return undefined
  const password = readSecret(path).replace(/\r?\n$/, '')
  if (password.length >= charactersMin && !/[\r\n]/.test(password)) return password
  throw badFile(
    path,
    `it must hold one line of at least ${charactersMin} characters: ` +
      `openssl rand -base64 24 > ${path}`,
  )
}

function readSecret(path: string): string {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const problem = secretProblem(path, fstatSync(file))
    if (problem !== undefined) throw badFile(path, problem)
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if (cause instanceof StartError) throw cause
    throw badFile(path, `it cannot be read: ${(cause as Error).message}`, cause)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function badFile(path: string, problem: string, cause?: unknown): StartError {
  const sentence = `The password file ${path} is not right: ${problem}`
  return new StartError('TINYMQ_INVALID_PASSWORD_FILE', sentence, { cause })
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Whether the header `Authorization: Basic …` carries this password, under any user name. */
export function isAuthorized(header: string | undefined, password: string): boolean {
  const base64 = /^basic +([a-z\d+/=]+) *$/i.exec(header ?? '')?.[1]
  const text = Buffer.from(base64 ?? '', 'base64').toString('utf8')
  const given = text.slice(text.indexOf(':') + 1)
  return isSameSecret(given, password) && text.includes(':')
}

/** Digests have one length, whatever the secret's is: the time says nothing of it. */
export function isSameSecret(given: string, secret: string): boolean {
  return timingSafeEqual(digest(given), digest(secret))
}

const delayMsFirst = 250
const delayMsMax = 5_000
const forgetMs = 60_000
/** Passwords that wait to be compared: of one address, and in all. */
const waitingOfAddressMax = 4
const waitingMax = 16
/** Addresses that are remembered. One that is forgotten begins at no delay. */
const addressesMax = 1_024

/** More wrong ones make the delay no longer. */
const wrongMax = 16

type Guesses = { readonly wrong: number; readonly waiting: number; readonly lastMs: number }

/**
 * How long a password must wait before it is compared, by how many wrong ones its address has
 * given. So few wait at a time that the pace is that of the delays, however many are sent.
 */
export class WrongPasswords {
  readonly #guesses = new Map<string, Guesses>()
  #waiting = 0

  /** @returns how long to wait before `end`; undefined: too many wait, it must not be compared. */
  begin(address: string, nowMs: number): number | undefined {
    const { wrong, waiting } = this.#recall(address, nowMs)
    const isFull = waiting >= waitingOfAddressMax || this.#waiting >= waitingMax
    if (wrong > 0 && isFull) return undefined
    this.#change(address, { wrong, waiting: waiting + 1, lastMs: nowMs })
    this.#waiting++
    return wrong === 0 ? 0 : Math.min(delayMsMax, delayMsFirst * 2 ** (wrong - 1))
  }

  /** The comparison is done. @returns whether a burst of wrong ones begins with it. */
  end(address: string, isRight: boolean, nowMs: number): boolean {
    const before = this.#recall(address, nowMs)
    const wrong = isRight ? 0 : Math.min(before.wrong + 1, wrongMax)
    this.#change(address, { wrong, waiting: before.waiting - 1, lastMs: nowMs })
    this.#waiting--
    return wrong === 1
  }

  #recall(address: string, nowMs: number): Guesses {
    const guesses = this.#guesses.get(address) ?? { wrong: 0, waiting: 0, lastMs: nowMs }
    const isOld = guesses.waiting === 0 && nowMs - guesses.lastMs > forgetMs
    return isOld ? { ...guesses, wrong: 0 } : guesses
  }

  #change(address: string, guesses: Guesses): void {
    this.#guesses.delete(address)
    if (guesses.wrong === 0 && guesses.waiting === 0) return
    this.#guesses.set(address, guesses)
    if (this.#guesses.size <= addressesMax) return
    const oldest = [...this.#guesses].find(([, { waiting }]) => waiting === 0)
    if (oldest !== undefined) this.#guesses.delete(oldest[0])
  }
}
