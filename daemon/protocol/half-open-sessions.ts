/**
 * Sessions whose initiator has not proved itself yet: a fixed number for a fixed time. Must never
 * let who fills it push out the others.
 */
import { halfOpenMax } from './limits.ts'
import type { ConnectionId, Hello1, KeyHint } from './packet.ts'
import type { SessionKeys } from './session-keys.ts'
import { Shares } from './shares.ts'
import type { SessionId } from './store-port.ts'

export type HalfOpen = {
  /** Rises with each handshake: PROTOCOL §5.5 asks which of two sessions is the earlier. */
  readonly session: SessionId
  readonly localCid: ConnectionId
  readonly key: string
  readonly hint: KeyHint | undefined
  readonly keys: SessionKeys
  /** It began where anybody may be behind the address, and has no key. */
  readonly mustBeKnown: boolean
}

export type Waiting = HalfOpen & {
  /** Which handshake it is. */
  readonly id: string
  /** Who is charged for it. */
  readonly owner: string
  /** Where its HELLO1 came from first. */
  readonly ip: string
  readonly noise: Uint8Array
  readonly hello2: Uint8Array
  readonly expiresUs: number
}

/** PROTOCOL §3.4: a HELLO1 with a cookie begins a handshake of its own, under the same `scid`. */
export function handshakeId({ scid, cookie }: Hello1): string {
  return cookie === undefined ? scid : scid + String.fromCharCode(...cookie)
}

export class HalfOpenSessions {
  /** Insertion order is age. */
  readonly #byId = new Map<string, Waiting>()
  readonly #byLocalCid = new Map<ConnectionId, Waiting>()
  readonly #shares = new Shares<Waiting>()

  get size(): number {
    return this.#byId.size
  }

  get all(): Iterable<Waiting> {
    return this.#byId.values()
  }

  get(id: string): Waiting | undefined {
    return this.#byId.get(id)
  }

  find(localCid: ConnectionId): Waiting | undefined {
    return this.#byLocalCid.get(localCid)
  }

  add(waiting: Waiting): void {
    const [oldest] = this.#byId.size >= halfOpenMax ? this.#shares.fullest() : []
    if (oldest !== undefined) this.drop(oldest)
    this.#byId.set(waiting.id, waiting)
    this.#byLocalCid.set(waiting.localCid, waiting)
    this.#shares.add(waiting.owner, waiting)
  }

  drop(waiting: Waiting): void {
    this.#byId.delete(waiting.id)
    this.#byLocalCid.delete(waiting.localCid)
    this.#shares.remove(waiting.owner, waiting)
  }

  clear(): void {
    this.#byId.clear()
    this.#byLocalCid.clear()
    this.#shares.clear()
  }
}
