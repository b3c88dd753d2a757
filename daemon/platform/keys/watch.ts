/**
 * Reads the key ring again when its file has changed, or on request. A ring that is not
 * right changes nothing: the old one stays in force until a right one is there. Must never be
 * silent about either.
 */
import { stat } from 'node:fs/promises'
import { DerivedKeyCache, readRing, type RingKey } from './key-file.ts'

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
