/**
 * The keys that a node has now: by name for its lanes, by hint for its door. Must never hand out a
 * key under another name than its own.
 */
import type { KeyId } from '../codec/packet.ts'
import { type Key, keyIdOf } from './handshake.ts'
import type { Environment } from './provider.ts'

export class KeyRing {
  readonly #byKeyId: ReadonlyMap<KeyId, Key>
  readonly #firstByName = new Map<string, KeyId>()

  /** Of several keys of one name the first is sent with, and all are taken (PROTOCOL §4.6). */
  constructor(environment: Environment, keys: readonly Key[]) {
    this.#byKeyId = new Map(keys.map((key) => [keyIdOf(environment, key), key]))
    for (const [keyId, { name }] of this.#byKeyId) {
      if (!this.#firstByName.has(name)) this.#firstByName.set(name, keyId)
    }
  }

  /** Which key the rows of this name go under; undefined: there is none. */
  keyIdFor(name: string): KeyId | undefined {
    return this.#firstByName.get(name)
  }

  byKeyId(keyId: KeyId | undefined): Key | undefined {
    return keyId === undefined ? undefined : this.#byKeyId.get(keyId)
  }

  /** Whether this is still one of the keys of that name. */
  has(keyId: KeyId, name: string): boolean {
    return this.#byKeyId.get(keyId)?.name === name
  }
}

// Which key of the ring the rows of one lane go under, and what a new ring means for it. Must never
// fall back to no key: the rows are meant for those who have it.

export class LaneKey {
  readonly #name: string
  readonly #ring: () => KeyRing
  #keyId: KeyId | undefined

  /** `name` '': keyless, whatever is in the ring. */
  constructor(name: string, ring: () => KeyRing) {
    this.#name = name
    this.#ring = ring
  }

  /** Of the key that was taken the last time. */
  get keyId(): KeyId | undefined {
    return this.#keyId
  }

  get isMissing(): boolean {
    return this.#name !== '' && this.#ring().keyIdFor(this.#name) === undefined
  }

  /** Another key is first now than the one that was taken. */
  get isChanged(): boolean {
    return this.#ring().keyIdFor(this.#name) !== this.#keyId
  }

  /** Whether a session under this key must end. */
  isRetired(keyId: KeyId | undefined): boolean {
    return keyId !== undefined && !this.#ring().has(keyId, this.#name)
  }

  /** The key for a new handshake; undefined: there is none now. */
  take(): Key | undefined {
    this.#keyId = this.#ring().keyIdFor(this.#name)
    return this.#ring().byKeyId(this.#keyId)
  }
}
