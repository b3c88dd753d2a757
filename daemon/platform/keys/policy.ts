/**
 * What the key ring and the options about it mean for the parts of a daemon. Must never read a
 * file but to see whether it is there.
 */
import { stat } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { DerivedKeyCache, type RingKey, dockerSecret, readRing } from './key-file.ts'
import type { LogLine } from '../log.ts'
import type { Config } from '../config/options.ts'
import type { KeylessFrom } from '../../protocol/io.ts'
import { StartError } from '../start-error.ts'
import type { KeyPolicyChoice } from '../../store/key-policy.ts'

/**
 * The ring that is to be used, if there is one.
 * @throws StartError
 */
export function ringPath({ keys, keylessTokens }: Config): string | undefined {
  const path = keys ?? (existsSync(dockerSecret) ? dockerSecret : undefined)
  if (path !== undefined || keylessTokens.length === 0) return path
  const sentence =
    'Without a key ring no token needs a key, so --keyless-tokens means nothing: leave it out, ' +
    'or name the ring with --keys.'
  throw new StartError('TINYMQ_INVALID_OPTION', sentence)
}

export function keyPolicyOf({ keylessTokens }: Config, hasRing: boolean): KeyPolicyChoice {
  return hasRing ? { type: 'keys', keylessTokens } : { type: 'keyless' }
}

/** With a ring nobody comes in without a key, unless a token may. */
export function keylessFromOf(
  config: Pick<Config, 'keylessFrom' | 'keylessTokens'>,
  hasRing: boolean,
): KeylessFrom {
  return hasRing && config.keylessTokens.length === 0 ? 'nowhere' : config.keylessFrom
}

/** What the log says of it when the daemon starts. */
export function ringLine(config: Config, path: string, keys: readonly RingKey[]): LogLine {
  const { keylessTokens, keylessFrom } = config
  const from = keylessFrom === 'private' ? 'private addresses' : 'everybody'
  const without =
    keylessTokens.length === 0
      ? 'Messages without a key are neither taken nor sent.'
      : `Without a key only listed tokens are taken, from ${from}, and sent.`
  const fields = { path, keys: keys.length, names: namesOf(keys), keyless: keylessTokens.join() }
  return { level: 'info', event: 'keys', sentence: `There is a key ring. ${without}`, fields }
}

/**
 * What is new in a ring that was read again. Keys have no names of their own to be identified by.
 */
export function changeLine(before: readonly RingKey[], after: readonly RingKey[]): LogLine {
  const isIn = (ring: readonly RingKey[], key: RingKey): boolean =>
    ring.some(({ name, secret }) => name === key.name && Buffer.from(secret).equals(key.secret))
  const fields = {
    keys: after.length,
    added: namesOf(after.filter((key) => !isIn(before, key))),
    removed: namesOf(before.filter((key) => !isIn(after, key))),
  }
  const sentence = 'The key ring was read again.'
  return { level: 'info', event: 'keys-changed', sentence, fields }
}

function namesOf(keys: readonly RingKey[]): string {
  return Array.from(new Set(keys.map(({ name }) => name))).join(' ')
}

const hint =
  '--keys FILE gives this daemon a key ring: tinymq keys new NAME --keys FILE begins one.'

/** Said once at start where there is no ring. */
export const keylessSentences: { readonly [From in Config['keylessFrom']]: string } = {
  private:
    'No key ring: anybody at a loopback, private, link-local or carrier-grade address may send ' +
    `messages to this daemon, under any token. ${hint} --keyless-from anywhere takes them from ` +
    'everybody.',
  anywhere: `No key ring: everybody who reaches this port may send messages to it. ${hint}`,
}

// Reads the key ring again when its file has changed, or on request. A ring that is not right
// changes nothing: the old one stays in force until a right one is there. Must never be silent
// about either.

type KeysWatchOptions = {
  readonly path: string
  readonly keylessTokens: readonly string[]
  readonly onRing: (keys: readonly RingKey[]) => void
  /** The old ring stays in force. */
  readonly onRefused: (error: unknown) => void
}

/** A look costs some microseconds. A file must look the same twice: it may be written in pieces. */
const lookEveryMs = 1_000

export class KeysWatch {
  readonly #options: KeysWatchOptions
  readonly #memory = new DerivedKeyCache()
  /** Of what was read the last time, right or not. */
  #read = ''
  #seen = ''
  #timer: NodeJS.Timeout | undefined
  /** One at a time: the last to be asked for is the last to be reported. */
  #reading: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(options: KeysWatchOptions) {
    this.#options = options
  }

  /** @throws StartError when the ring is not right: there is no old one yet. */
  async start(): Promise<readonly RingKey[]> {
    const { path, keylessTokens } = this.#options
    this.#read = await signatureOf(path)
    this.#seen = this.#read
    const { keys } = await readRing(path, keylessTokens, this.#memory)
    this.#lookLater()
    return keys
  }

  /** Now, whether the file has changed or not. Resolves when all has been reported. */
  async reload(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#reload())
    return this.#reading
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #lookLater(): void {
    if (this.#isStopped) return
    this.#timer = setTimeout(() => {
      void this.#look().finally(() => this.#lookLater())
    }, lookEveryMs)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    const now = await signatureOf(this.#options.path)
    const isSettled = now === this.#seen
    this.#seen = now
    if (isSettled && now !== this.#read) await this.reload()
  }

  async #reload(): Promise<void> {
    const { path, keylessTokens, onRing, onRefused } = this.#options
    this.#read = await signatureOf(path)
    try {
      const { keys } = await readRing(path, keylessTokens, this.#memory)
      if (!this.#isStopped) onRing(keys)
    } catch (error) {
      if (!this.#isStopped) onRefused(error)
    }
  }
}

/** Follows links: secrets of orchestrators are links that are bent to a new file. */
async function signatureOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path)
    return [dev, ino, size, mtimeMs, ctimeMs].join(' ')
  } catch {
    return 'none'
  }
}
