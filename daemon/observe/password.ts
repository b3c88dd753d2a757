/**
 * The password that HTTP asks for: read from its file, compared without telling by the time how
 * much of it was right, wrong ones answered ever more slowly. Must never log it or a part of it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { secretProblem } from '../keys-file.ts'
import type { Config } from '../options.ts'
import { StartError } from '../start-error.ts'

/** Where Docker and Swarm put a secret of this name: read if nothing else was chosen. */
const dockerSecret = '/run/secrets/tinymq-http-password'
/** What can be guessed in a day at the pace that the delays allow. */
const charactersMin = 12

/**
 * The password that was chosen; undefined: none.
 * @throws StartError TINYMQ_BAD_PASSWORD_FILE
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
  return new StartError('TINYMQ_BAD_PASSWORD_FILE', sentence, { cause })
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Whether the header `Authorization: Basic …` carries this password, under any user name. */
export function isAuthorized(header: string | undefined, password: string): boolean {
  const base64 = /^basic +([a-z\d+/=]+) *$/i.exec(header ?? '')?.[1]
  const text = Buffer.from(base64 ?? '', 'base64').toString('utf8')
  const given = text.slice(text.indexOf(':') + 1)
  // Digests have one length, whatever the password's is.
  return timingSafeEqual(digest(given), digest(password)) && text.includes(':')
}

const delayMsFirst = 250
const delayMsMax = 5_000
const forgetMs = 60_000

export class WrongPasswords {
  #count = 0
  #lastMs = Number.NEGATIVE_INFINITY

  /** Counts one. @returns how long its answer must wait, and whether it begins a burst. */
  onWrong(nowMs: number): { readonly delayMs: number; readonly isFirst: boolean } {
    if (nowMs - this.#lastMs > forgetMs) this.#count = 0
    this.#lastMs = nowMs
    const delayMs = Math.min(delayMsMax, delayMsFirst * 2 ** this.#count)
    const isFirst = this.#count === 0
    this.#count = Math.min(this.#count + 1, 16)
    return { delayMs, isFirst }
  }
}
