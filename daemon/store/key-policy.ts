/**
 * What a token means here. Without a key ring it is a label: one lane without a key takes all rows
 * for a host and port. With one it names the key of its lane, and only tokens that the operator has
 * listed go without. Must never send a row with any less than its token asks for, nor let one in
 * under a token that its key does not prove.
 */
import type { Message } from './record.ts'
import { tokenlessKey, type LaneAddress } from '../protocol/store-messages.ts'

/** `keylessTokens` need no key although there is a ring. */
export type KeyPolicyChoice =
  | { readonly type: 'keyless' }
  | { readonly type: 'keys'; readonly keylessTokens: readonly string[] }

/** The values that a lane's rows have in the columns host and port, and token if that counts. */
export type Place = readonly [string, number] | readonly [string, number, string]

/** The first message that must not be taken, and why. */
type TokenMismatch = { readonly index: number; readonly reason: string }

export class KeyPolicy {
  readonly choice: KeyPolicyChoice
  readonly #keyless: ReadonlySet<string>

  constructor(choice: KeyPolicyChoice) {
    this.choice = choice
    this.#keyless = new Set(choice.type === 'keys' ? choice.keylessTokens : [])
  }

  /** Lanes are distinguished by token too. */
  get isByToken(): boolean {
    return this.choice.type === 'keys'
  }

  /** The key of the lane that a row with this token goes by; '' for none. */
  keyOf(token: string): string {
    if (!this.isByToken || this.#keyless.has(token)) return ''
    return token === '' ? tokenlessKey : token
  }

  /** Where the rows of a lane are: one place for each token. */
  destinationsOf({ host, port, key }: Omit<LaneAddress, 'lane'>): Place[] {
    if (!this.isByToken) return key === '' ? [[host, port]] : []
    return this.#tokensOf(key).map((token) => [host, port, token])
  }

  /** Whether rows may still come into a lane of this key. */
  isUsed(key: string): boolean {
    return this.isByToken ? this.#tokensOf(key).length > 0 : key === ''
  }

  /** The first of these messages that a session under `key` may not bring (PROTOCOL §4.6). */
  tokenMismatch(key: string, messages: readonly Message[]): TokenMismatch | undefined {
    if (!this.isByToken) return undefined
    const index = messages.findIndex(({ token }) =>
      key === '' ? !this.#keyless.has(token) : token !== key,
    )
    const token = messages[index]?.token
    if (token === undefined) return undefined
    const reason =
      key === ''
        ? `the token "${token}" is taken here under its key only, and this came without one`
        : `the key is called ${key} here, and the token is "${token}": one name is needed`
    return { index, reason }
  }

  #tokensOf(key: string): readonly string[] {
    if (key === '') return Array.from(this.#keyless)
    const tokens = key === tokenlessKey ? ['', key] : [key]
    return tokens.filter((token) => !this.#keyless.has(token))
  }
}
