/**
 * The responder's door: decides which HELLO1 gets an answer, and keeps what is half open. Works
 * from the cheapest check to the dearest, holds a fixed number of unauthenticated peers, and
 * answers none of them with more than they sent (P11).
 */
import { type Address, type KeylessFrom, type NodeEvent, addressKey, isPrivate } from '../io.ts'
import { equalBytes } from '../codec/buffer.ts'
import {
  type ConnectionId,
  cookieBytes,
  encodePacket,
  type Hello1,
  idBytesOf,
  type KeyId,
  toConnectionId,
} from '../codec/packet.ts'
import {
  cookieSecretUs,
  halfOpenMax,
  halfOpenTimeoutUs,
  hellosPerSecondFree,
  hellosPerSecondProved,
  sourcesCountedMax,
  unauthenticatedLogPauseUs,
} from '../constants.ts'
import { type Key, respond } from '../crypto/handshake.ts'
import type { KeyRing } from '../crypto/key-ring.ts'
import type { SessionKeys } from '../crypto/packet-protection.ts'
import type { Environment } from '../crypto/provider.ts'
import { Shares, sourceOf } from '../shares.ts'
import type { SessionId } from '../store-messages.ts'
import { RateLimit, RateLimits } from '../timer-queue.ts'

type HandshakeResponderOptions = {
  readonly environment: Environment
  readonly ring: KeyRing
  readonly keylessFrom: KeylessFrom
  readonly proxyIp?: string | undefined
  readonly takeSessionId: () => SessionId
}

const encoder = new TextEncoder()
/** No key has a name that begins so. */
const unprovedOwner = ' '

export class HandshakeResponder {
  readonly #environment: Environment
  readonly #takeSessionId: () => SessionId
  #ring: KeyRing
  #keylessFrom: KeylessFrom
  readonly #proxyIp: string | undefined
  readonly #waiting = new HalfOpenSessions()
  readonly #hellos = new RateLimit(hellosPerSecondFree)
  /** Of those with a valid cookie, by where they come from. */
  readonly #proved = new RateLimits(hellosPerSecondProved, sourcesCountedMax)
  #secret: Uint8Array
  #previousSecret: Uint8Array
  #secretSinceUs: number
  readonly #tokenMismatch: NodeEvent[] = []
  #unauthenticatedAtUs = -Infinity

  constructor(options: HandshakeResponderOptions, nowUs: number) {
    this.#environment = options.environment
    this.#takeSessionId = options.takeSessionId
    this.#ring = options.ring
    this.#keylessFrom = options.keylessFrom
    this.#proxyIp = options.proxyIp
    this.#secret = options.environment.randomBytes(32)
    this.#previousSecret = this.#secret
    this.#secretSinceUs = nowUs
  }

  /** How many are half open. */
  get size(): number {
    return this.#waiting.size
  }

  deadlineUs(): number | undefined {
    for (const waiting of this.#waiting.all) return waiting.expiresUs
    return undefined
  }

  onDeadline(nowUs: number): void {
    for (const waiting of this.#waiting.all) {
      if (waiting.expiresUs > nowUs) return
      this.#waiting.drop(waiting)
    }
  }

  /** The datagram that answers, if any. */
  onHello1(hello1: Hello1, from: Address, nowUs: number): Uint8Array | undefined {
    const known = this.#waiting.get(handshakeId(hello1))
    if (known !== undefined) {
      // Without a key the address is all that was checked: the keys go nowhere else.
      const mayHear = hello1.keyId !== undefined || from.ip === known.ip
      return mayHear && equalBytes(known.noise, hello1.noise) ? known.hello2 : undefined
    }
    const key = this.#ring.byKeyId(hello1.keyId)
    if (key === undefined && (hello1.keyId !== undefined || !this.takesKeyless(from))) {
      this.#onUnauthenticated(hello1, from, nowUs)
      return undefined
    }
    const source = sourceOf(from.ip)
    if (this.#hasCookie(hello1, from, nowUs)) {
      if (!this.#proved.take(source, nowUs)) return undefined
      return this.#answer(hello1, from, key, `${key?.name ?? ''} ${source}`, nowUs)
    }
    // Anybody may have written this address: all of these have one share.
    if (this.#hellos.take(nowUs)) return this.#answer(hello1, from, key, unprovedOwner, nowUs)
    const cookie = this.#cookie(this.#secret, hello1.scid, from)
    return encodePacket({ type: 'retry', dcid: hello1.scid, cookie })
  }

  /** What the log may say of those who got no answer: one of them a minute. */
  takeUnauthenticated(): readonly NodeEvent[] {
    return this.#tokenMismatch.splice(0)
  }

  /** Whether a session of this peer may go on. */
  takes(keyId: KeyId | undefined, name: string, peer: Address): boolean {
    return keyId === undefined ? this.takesKeyless(peer) : this.#ring.has(keyId, name)
  }

  takesKeyless(from: Address): boolean {
    if (this.#keylessFrom === 'private') return isPrivate(from.ip)
    return this.#keylessFrom === 'anywhere'
  }

  /** What was begun under a key that is gone must not become a session. */
  onRing(ring: KeyRing, keylessFrom: KeylessFrom): void {
    this.#ring = ring
    this.#keylessFrom = keylessFrom
    for (const waiting of this.#waiting.all) {
      const { keyId, key } = waiting
      const isTaken = keyId === undefined ? keylessFrom !== 'nowhere' : ring.has(keyId, key)
      if (!isTaken) this.#waiting.drop(waiting)
    }
  }

  /** PROTOCOL §4.5: none of what is half open may become a session. */
  onClockJump(): void {
    this.#waiting.clear()
  }

  /** The half-open session that a DATA packet is for. */
  find(localCid: ConnectionId): HalfOpen | undefined {
    return this.#waiting.find(localCid)
  }

  /** Its first packet has opened: it is a session now. */
  onProved(localCid: ConnectionId): void {
    const waiting = this.#waiting.find(localCid)
    if (waiting !== undefined) this.#waiting.drop(waiting)
  }

  /** Whether a peer from a public address may be behind this one. */
  #mayHideOthers(keyId: KeyId | undefined, { ip }: Address): boolean {
    return keyId === undefined && this.#keylessFrom === 'private' && ip === this.#proxyIp
  }

  #answer(
    hello1: Hello1,
    from: Address,
    key: Key | undefined,
    owner: string,
    nowUs: number,
  ): Uint8Array | undefined {
    const environment = this.#environment
    const localCid = toConnectionId(environment.randomBytes(8))
    const response = respond(environment, hello1, localCid, key)
    if (response === undefined) return undefined
    this.#waiting.add({
      id: handshakeId(hello1),
      owner,
      session: this.#takeSessionId(),
      localCid,
      key: key?.name ?? '',
      keyId: hello1.keyId,
      keys: response.keys,
      ip: from.ip,
      mustBeKnown: this.#mayHideOthers(hello1.keyId, from),
      // The datagram's buffer is the driver's: what is kept is a copy.
      noise: new Uint8Array(hello1.noise),
      hello2: response.hello2,
      expiresUs: nowUs + halfOpenTimeoutUs,
    })
    return response.hello2
  }

  #onUnauthenticated({ keyId }: Hello1, from: Address, nowUs: number): void {
    if (nowUs - this.#unauthenticatedAtUs < unauthenticatedLogPauseUs) return
    this.#unauthenticatedAtUs = nowUs
    this.#tokenMismatch.push({ type: 'unauthenticated-peer', from, hasKey: keyId !== undefined })
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
}

// Sessions whose initiator has not proved itself yet: a fixed number for a fixed time. Must never
// let who fills it push out the others.

export type HalfOpen = {
  /** Rises with each handshake: PROTOCOL §5.5 asks which of two sessions is the earlier. */
  readonly session: SessionId
  readonly localCid: ConnectionId
  readonly key: string
  readonly keyId: KeyId | undefined
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
function handshakeId({ scid, cookie }: Hello1): string {
  return cookie === undefined ? scid : scid + String.fromCharCode(...cookie)
}

class HalfOpenSessions {
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
