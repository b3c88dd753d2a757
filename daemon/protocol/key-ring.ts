/**
 * The keys that a node has now: by name for its lanes, by hint for its door. Must never hand out a
 * key under another name than its own.
 */
import type { Environment } from './environment.ts'
import { hintOf, type Key } from './handshake.ts'
import type { KeyHint } from './packet.ts'

export class KeyRing {
  readonly #byHint: ReadonlyMap<KeyHint, Key>
  readonly #firstByName = new Map<string, KeyHint>()

  /** Of several keys of one name the first is sent with, and all are taken (PROTOCOL §4.6). */
  constructor(environment: Environment, keys: readonly Key[]) {
    this.#byHint = new Map(keys.map((key) => [hintOf(environment, key), key]))
    for (const [hint, { name }] of this.#byHint) {
      if (!this.#firstByName.has(name)) this.#firstByName.set(name, hint)
    }
  }

  /** Which key the rows of this name go under; undefined: there is none. */
  hintFor(name: string): KeyHint | undefined {
    return this.#firstByName.get(name)
  }

  byHint(hint: KeyHint | undefined): Key | undefined {
    return hint === undefined ? undefined : this.#byHint.get(hint)
  }

  /** Whether this is still one of the keys of that name. */
  has(hint: KeyHint, name: string): boolean {
    return this.#byHint.get(hint)?.name === name
  }
}
