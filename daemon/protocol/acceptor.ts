/**
 * The responder's door: decides which HELLO1 gets an answer, and keeps what is half open. Works
 * from the cheapest check to the dearest, holds a fixed number of strangers, and answers none of
 * them with more than they sent (P11).
 */
import { addressKey, isPrivate } from './address.ts'
import type { Environment } from './environment.ts'
import { respond, type Key } from './handshake.ts'
import type { KeyRing } from './key-ring.ts'
import {
  cookieSecretUs,
  halfOpenMax,
  halfOpenTimeoutUs,
  hellosPerSecondFree,
  strangerPauseUs,
} from './limits.ts'
import type { Address, KeylessFrom, NodeEvent } from './node-io.ts'
import type { ConnectionId, Hello1, KeyHint } from './packet.ts'
import { cookieBytes, encodePacket, idBytesOf, toConnectionId } from './packet.ts'
import type { SessionKeys } from './session-keys.ts'
import { RateLimit } from './rate-limit.ts'
import type { SessionId } from './store-port.ts'
import { equalBytes } from './wire.ts'

export type HalfOpen = {
  /** Rises with each handshake: PROTOCOL §5.5 asks which of two sessions is the earlier. */
  readonly session: SessionId
  readonly localCid: ConnectionId
  readonly key: string
  readonly hint: KeyHint | undefined
  readonly keys: SessionKeys
}

type Waiting = HalfOpen & {
  readonly noise: Uint8Array
  readonly hello2: Uint8Array
  readonly expiresUs: number
}

export type AcceptorOptions = {
  readonly environment: Environment
  readonly ring: KeyRing
  readonly keylessFrom: KeylessFrom
  readonly takeSessionId: () => SessionId
}

const encoder = new TextEncoder()

export class Acceptor {
  readonly #environment: Environment
  readonly #takeSessionId: () => SessionId
  #ring: KeyRing
  #keylessFrom: KeylessFrom
  /** By the initiator's connection id; insertion order is age. */
  readonly #waiting = new Map<ConnectionId, Waiting>()
  readonly #byLocalCid = new Map<ConnectionId, ConnectionId>()
  readonly #hellos = new RateLimit(hellosPerSecondFree)
  #secret: Uint8Array
  #previousSecret: Uint8Array
  #secretSinceUs: number
  #stranger: NodeEvent | undefined
  #strangerAtUs = -Infinity

  constructor(options: AcceptorOptions, nowUs: number) {
    this.#environment = options.environment
    this.#takeSessionId = options.takeSessionId
    this.#ring = options.ring
    this.#keylessFrom = options.keylessFrom
    this.#secret = options.environment.randomBytes(32)
    this.#previousSecret = this.#secret
    this.#secretSinceUs = nowUs
  }

  /** How many are half open. */
  get size(): number {
    return this.#waiting.size
  }

  deadlineUs(): number | undefined {
    for (const waiting of this.#waiting.values()) return waiting.expiresUs
    return undefined
  }

  onDeadline(nowUs: number): void {
    for (const [scid, waiting] of this.#waiting) {
      if (waiting.expiresUs > nowUs) return
      this.#drop(scid, waiting)
    }
  }

  /** The datagram that answers, if any. */
  onHello1(hello1: Hello1, from: Address, nowUs: number): Uint8Array | undefined {
    const known = this.#waiting.get(hello1.scid)
    if (known !== undefined) return equalBytes(known.noise, hello1.noise) ? known.hello2 : undefined
    const key = this.#ring.byHint(hello1.hint)
    if (key === undefined && (hello1.hint !== undefined || !this.takesKeyless(from))) {
      this.#onStranger(hello1, from, nowUs)
      return undefined
    }
    if (!this.#hellos.take(nowUs) && !this.#hasCookie(hello1, from, nowUs)) {
      const cookie = this.#cookie(this.#secret, hello1.scid, from)
      return encodePacket({ type: 'retry', dcid: hello1.scid, cookie })
    }
    return this.#answer(hello1, key, nowUs)
  }

  /** What the log may say of those who got no answer: one of them a minute. */
  takeStranger(): NodeEvent | undefined {
    const stranger = this.#stranger
    this.#stranger = undefined
    return stranger
  }

  /** Whether a session of this peer may go on. */
  takes(hint: KeyHint | undefined, name: string, peer: Address): boolean {
    return hint === undefined ? this.takesKeyless(peer) : this.#ring.has(hint, name)
  }

  takesKeyless(from: Address): boolean {
    if (this.#keylessFrom === 'private') return isPrivate(from.ip)
    return this.#keylessFrom === 'anywhere'
  }

  /** What was begun under a key that is gone must not become a session. */
  onRing(ring: KeyRing, keylessFrom: KeylessFrom): void {
    this.#ring = ring
    this.#keylessFrom = keylessFrom
    for (const [scid, waiting] of this.#waiting) {
      const { hint, key } = waiting
      const isTaken = hint === undefined ? keylessFrom !== 'nowhere' : ring.has(hint, key)
      if (!isTaken) this.#drop(scid, waiting)
    }
  }

  /** PROTOCOL §4.5: none of what is half open may become a session. */
  onClockJump(): void {
    this.#waiting.clear()
    this.#byLocalCid.clear()
  }

  /** The half-open session that a DATA packet is for. */
  find(localCid: ConnectionId): HalfOpen | undefined {
    const scid = this.#byLocalCid.get(localCid)
    return scid === undefined ? undefined : this.#waiting.get(scid)
  }

  /** Its first packet has opened: it is a session now. */
  onProved(localCid: ConnectionId): void {
    const scid = this.#byLocalCid.get(localCid)
    const waiting = scid === undefined ? undefined : this.#waiting.get(scid)
    if (scid !== undefined && waiting !== undefined) this.#drop(scid, waiting)
  }

  #answer(hello1: Hello1, key: Key | undefined, nowUs: number): Uint8Array | undefined {
    const environment = this.#environment
    const localCid = toConnectionId(environment.randomBytes(8))
    const response = respond(environment, hello1, localCid, key)
    if (response === undefined) return undefined
    const [oldest] = this.#waiting
    if (oldest !== undefined && this.#waiting.size >= halfOpenMax) this.#drop(...oldest)
    this.#waiting.set(hello1.scid, {
      session: this.#takeSessionId(),
      localCid,
      key: key?.name ?? '',
      hint: hello1.hint,
      keys: response.keys,
      // The datagram's buffer is the driver's: what is kept is a copy.
      noise: new Uint8Array(hello1.noise),
      hello2: response.hello2,
      expiresUs: nowUs + halfOpenTimeoutUs,
    })
    this.#byLocalCid.set(localCid, hello1.scid)
    return response.hello2
  }

  #onStranger({ hint }: Hello1, from: Address, nowUs: number): void {
    if (nowUs - this.#strangerAtUs < strangerPauseUs) return
    this.#strangerAtUs = nowUs
    this.#stranger = { type: 'stranger', from, hasKey: hint !== undefined }
  }

  /** PROTOCOL §3.4. */
  #hasCookie(hello1: Hello1, from: Address, nowUs: number): boolean {
    this.#renewSecret(nowUs)
    const { cookie, scid } = hello1
    if (cookie === undefined) return false
    const environment = this.#environment
    return [this.#secret, this.#previousSecret].some((secret) =>
      environment.timingSafeEqual(this.#cookie(secret, scid, from), cookie),
    )
  }

  #cookie(secret: Uint8Array, scid: ConnectionId, from: Address): Uint8Array {
    const source = encoder.encode(addressKey(from))
    const mac = this.#environment.hmacSha256(secret, source, idBytesOf(scid))
    return mac.subarray(0, cookieBytes)
  }

  #renewSecret(nowUs: number): void {
    const ageUs = nowUs - this.#secretSinceUs
    if (ageUs < cookieSecretUs) return
    const fresh = this.#environment.randomBytes(32)
    // Without load nothing renews it: then the last one is too old to be the previous one.
    this.#previousSecret = ageUs < 2 * cookieSecretUs ? this.#secret : fresh
    this.#secret = fresh
    this.#secretSinceUs = nowUs
  }

  #drop(scid: ConnectionId, waiting: Waiting): void {
    this.#waiting.delete(scid)
    this.#byLocalCid.delete(waiting.localCid)
  }
}
