/**
 * The responder's door: decides which HELLO1 gets an answer, and keeps what is half open. Works
 * from the cheapest check to the dearest, holds a fixed number of strangers, and answers none of
 * them with more than they sent (P11).
 */
import { addressKey, isPrivate } from './address.ts'
import type { Environment } from './environment.ts'
import type { Key } from './handshake.ts'
import { respond } from './handshake.ts'
import { cookieSecretUs, halfOpenMax, halfOpenTimeoutUs, hellosPerSecondFree } from './limits.ts'
import type { Address } from './node-io.ts'
import type { ConnectionId, Hello1, KeyHint } from './packet.ts'
import { cookieBytes, encodePacket, idBytesOf, toConnectionId } from './packet.ts'
import type { SessionKeys } from './session-keys.ts'
import { RateLimit } from './rate-limit.ts'
import { equalBytes } from './wire.ts'

export type HalfOpen = {
  readonly localCid: ConnectionId
  readonly key: string
  readonly keys: SessionKeys
}

type Waiting = HalfOpen & {
  readonly noise: Uint8Array
  readonly hello2: Uint8Array
  readonly expiresUs: number
}

export type AcceptorOptions = {
  readonly environment: Environment
  readonly keyOf: (hint: KeyHint) => Key | undefined
  /** Where keyless sessions may come from. */
  readonly keylessFrom: 'private' | 'anywhere' | 'nowhere'
}

const encoder = new TextEncoder()

export class Acceptor {
  readonly #options: AcceptorOptions
  /** By the initiator's connection id; insertion order is age. */
  readonly #waiting = new Map<ConnectionId, Waiting>()
  readonly #byLocalCid = new Map<ConnectionId, ConnectionId>()
  readonly #hellos = new RateLimit(hellosPerSecondFree)
  #secret: Uint8Array
  #previousSecret: Uint8Array
  #secretSinceUs: number

  constructor(options: AcceptorOptions, nowUs: number) {
    this.#options = options
    this.#secret = options.environment.randomBytes(32)
    this.#previousSecret = this.#secret
    this.#secretSinceUs = nowUs
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
    const key = hello1.hint === undefined ? undefined : this.#options.keyOf(hello1.hint)
    if (hello1.hint === undefined ? !this.#takesKeyless(from) : key === undefined) return undefined
    if (!this.#hellos.take(nowUs) && !this.#hasCookie(hello1, from, nowUs)) {
      const cookie = this.#cookie(this.#secret, hello1.scid, from)
      return encodePacket({ type: 'retry', dcid: hello1.scid, cookie })
    }
    return this.#answer(hello1, key, nowUs)
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
    const { environment } = this.#options
    const localCid = toConnectionId(environment.randomBytes(8))
    const response = respond(environment, hello1, localCid, key)
    if (response === undefined) return undefined
    const [oldest] = this.#waiting
    if (oldest !== undefined && this.#waiting.size >= halfOpenMax) this.#drop(...oldest)
    this.#waiting.set(hello1.scid, {
      localCid,
      key: key?.name ?? '',
      keys: response.keys,
      // The datagram's buffer is the driver's: what is kept is a copy.
      noise: new Uint8Array(hello1.noise),
      hello2: response.hello2,
      expiresUs: nowUs + halfOpenTimeoutUs,
    })
    this.#byLocalCid.set(localCid, hello1.scid)
    return response.hello2
  }

  #takesKeyless(from: Address): boolean {
    const { keylessFrom } = this.#options
    return keylessFrom === 'anywhere' || (keylessFrom === 'private' && isPrivate(from.ip))
  }

  /** PROTOCOL §3.4. */
  #hasCookie(hello1: Hello1, from: Address, nowUs: number): boolean {
    this.#renewSecret(nowUs)
    const { cookie, scid } = hello1
    if (cookie === undefined) return false
    const { environment } = this.#options
    return [this.#secret, this.#previousSecret].some((secret) =>
      environment.timingSafeEqual(this.#cookie(secret, scid, from), cookie),
    )
  }

  #cookie(secret: Uint8Array, scid: ConnectionId, from: Address): Uint8Array {
    const source = encoder.encode(addressKey(from))
    const mac = this.#options.environment.hmacSha256(secret, source, idBytesOf(scid))
    return mac.subarray(0, cookieBytes)
  }

  #renewSecret(nowUs: number): void {
    const ageUs = nowUs - this.#secretSinceUs
    if (ageUs < cookieSecretUs) return
    const fresh = this.#options.environment.randomBytes(32)
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
