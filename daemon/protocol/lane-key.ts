/**
 * Which key of the ring the rows of one lane go under, and what a new ring means for it. Must never
 * fall back to no key: the rows are meant for those who have it.
 */
import type { Key } from './handshake.ts'
import type { KeyRing } from './key-ring.ts'
import type { KeyHint } from './packet.ts'

export class LaneKey {
  readonly #name: string
  readonly #ring: () => KeyRing
  #hint: KeyHint | undefined

  /** `name` '': keyless, whatever is in the ring. */
  constructor(name: string, ring: () => KeyRing) {
    this.#name = name
    this.#ring = ring
  }

  /** Of the key that was taken the last time. */
  get hint(): KeyHint | undefined {
    return this.#hint
  }

  get isMissing(): boolean {
    return this.#name !== '' && this.#ring().hintFor(this.#name) === undefined
  }

  /** Another key is first now than the one that was taken. */
  get isChanged(): boolean {
    return this.#ring().hintFor(this.#name) !== this.#hint
  }

  /** Whether a session under this key must end. */
  isRetired(hint: KeyHint | undefined): boolean {
    return hint !== undefined && !this.#ring().has(hint, this.#name)
  }

  /** The key for a new handshake; undefined: there is none now. */
  take(): Key | undefined {
    this.#hint = this.#ring().hintFor(this.#name)
    return this.#ring().byHint(this.#hint)
  }
}
