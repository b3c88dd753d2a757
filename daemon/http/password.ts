/**
 * The password that HTTP asks for: read from its file, compared without telling by the time how
 * much of it was right, wrong ones answered ever more slowly. Must never log it or a part of it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { secretProblem } from '../platform/keys/key-file.ts'
import type { Config } from '../platform/config/options.ts'
import { StartError } from '../platform/start-error.ts'

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
