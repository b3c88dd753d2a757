/**
 * What a lane knows of the way to its peer, from one session to the next: the addresses of its
 * name, the path of the last session, and since when nothing has got done. A handshake that
 * succeeds is no progress: what follows it may fail each time, and must not be tried ever faster.
 */
import { equalBytes } from '../codec/buffer.ts'
import {
  addressesKnownMax,
  addressesPerNameMax,
  peerAbsentUs,
  streamRestartsMax,
  troubleSessions,
  unopenedUs,
} from '../constants.ts'
import type { KeyRing, LaneKey } from '../crypto/key-ring.ts'
import { datagramBytesMin, datagramBytesNarrow } from '../recovery/constants.ts'
import type { LaneAddress, OpenedFacts, SessionId } from '../store-messages.ts'
import {
  handshakeBackoffUs,
  HandshakeInitiator,
  type HandshakeResult,
} from './handshake-initiator.ts'
import type { InitiatorSession } from './initiator-session.ts'
import type { Address, Output } from '../io.ts'
import type { Environment } from '../crypto/provider.ts'
import { Rtt } from '../recovery/rtt.ts'

/** What a lane needs from its node. */
export type LaneOptions = {
  readonly environment: Environment
  readonly address: LaneAddress
  /** As it is now. */
  readonly ring: () => KeyRing
  /** Where peers can answer; '' and 0: where this comes from. */
  readonly advertisedHost: string
  readonly advertisedPort: number
  readonly bytesPerSecondMax: number
  readonly renewAfterPackets: number
  /** What one session may read ahead now. */
  readonly readShareBytes: () => number
  readonly takeSessionId: () => SessionId
  readonly isOwnIp: (ip: string) => boolean
  /** Somebody there has just proved to have a key, or to need none. */
  readonly isHeard: (address: Address) => boolean
  /** A session of this lane has got its first CONFIRM: other lanes to there need not wait. */
  readonly onReached: (peer: Address, nowUs: number, out: Output[]) => void
}

/** Where a session runs, and what has been learnt of the way. */
export type Path = { readonly ip: string; readonly rtt: Rtt; readonly firstBytes: number }

/**
 * The path of a new session. One that begins next to a silent session, or after it, keeps the round
 * trip that is known: from the handshake alone it would take three round trips for a loss.
 */
export function pathOf({ peer, handshakeUs }: HandshakeResult, last: Path | undefined): Path {
  const same = last?.ip === peer.ip ? last : undefined
  if (same?.rtt.hasSample === true) return same
  return { firstBytes: datagramBytesMin, ...same, ip: peer.ip, rtt: new Rtt(handshakeUs) }
}

export class Route {
  readonly addresses: PeerAddresses
  readonly #options: LaneOptions
  readonly #key: LaneKey
  /** Since when nothing has got done. */
  #outageSinceUs: number
  /** Sessions in a row that ended without progress. */
  #fruitless = 0
  /** Sessions in a row that ended for a new stream. */
  #restarts = 0
  #path: Path | undefined
  /** R, as the store has said it for this session (PROTOCOL §7.1). */
  #peer: Uint8Array | undefined

  constructor(options: LaneOptions, key: LaneKey, nowUs: number) {
    this.#options = options
    this.#key = key
    this.addresses = new PeerAddresses(options.isOwnIp)
    this.#outageSinceUs = nowUs
  }

  /** Sessions come and go, and nothing gets done: people should read of it. */
  get isInTrouble(): boolean {
    return this.#fruitless >= troubleSessions
  }

  /** The path of the session that these keys are for. */
  pathTo(handshakeResult: HandshakeResult): Path {
    this.#path = pathOf(handshakeResult, this.#path)
    return this.#path
  }

  /** The way to a new session; `beside`: to one that shall take the place of this session. */
  newInitiator(nowUs: number, beside?: InitiatorSession): HandshakeInitiator {
    const { environment, isHeard, address } = this.#options
    const silentSinceUs = beside && nowUs - beside.silentUs(nowUs)
    const outageSinceUs = silentSinceUs ?? this.#outageSinceUs
    const pauseUs = beside?.hasProgressed === true ? 0 : this.#pauseUs(nowUs)
    const [{ port }, key, { addresses }] = [address, this.#key.take(), this]
    const options = { environment, isHeard, port, key, addresses, outageSinceUs, pauseUs }
    return new HandshakeInitiator(options, nowUs)
  }

  // ---- facts

  onLaneOpened(peer: Uint8Array | undefined): void {
    this.#peer = peer
  }

  /**
   * PROTOCOL §7.3, rule 2: whether another database answered than before, and the lane's peer may
   * still be at another address of the name.
   */
  isElsewhere({ peer }: InitiatorSession, { database }: OpenedFacts, nowUs: number): boolean {
    if (this.#peer === undefined || equalBytes(database, this.#peer)) return false
    return this.addresses.onForeign(peer.ip, nowUs)
  }

  /** The rules have let rows go. */
  onAccepted(): void {
    this.#restarts = 0
    this.addresses.onFound()
  }

  /** The rules demand a new stream, and with it a session. @returns whether it is time for it. */
  onRestart(nowUs: number): boolean {
    this.onProgress(nowUs)
    return ++this.#restarts % streamRestartsMax > 0
  }

  /** The session has ended with a reason, which has a pause of its own. */
  onExplained(): void {
    this.#fruitless = 0
  }

  onProgress(nowUs: number): void {
    this.#outageSinceUs = nowUs
    this.#fruitless = 0
  }

  onSessionEnd(session: InitiatorSession, nowUs: number): void {
    const { hasProgressed, isUnopened, peer, datagramBytes } = session
    if (hasProgressed) this.onProgress(nowUs)
    else this.#fruitless++
    if (isUnopened) this.addresses.onUnopened(peer.ip, nowUs)
    // Small packets passed, and nothing else did: the path may carry no larger ones.
    const bytes = hasProgressed || isUnopened ? datagramBytes : datagramBytesNarrow
    if (this.#path?.ip !== peer.ip) return
    this.#path = { ...this.#path, firstBytes: Math.min(bytes, datagramBytesMin) }
  }

  /** After the first session without progress none, then a longer one each time. */
  #pauseUs(nowUs: number): number {
    if (this.#fruitless < 2) return 0
    const [random = 0] = this.#options.environment.randomBytes(1)
    return handshakeBackoffUs(this.#fruitless - 2, nowUs - this.#outageSinceUs, random / 255)
  }
}

// Which addresses of its name a lane contacts. An address is not an identity: what each of them has
// turned out to be is remembered here for as long as the lane lives. Must never decide when.

export class PeerAddresses {
  readonly #isOwn: (ip: string) => boolean
  /** Of the last look-up that found any, in the order in which they were first seen. */
  #ips: readonly string[] = []
  #handshakeResult = 0
  /** Addresses that go last, and until when. */
  readonly #avoided = new Map<string, number>()
  /** Where another database answered than the one that the lane has been with. */
  readonly #foreign = new Set<string>()
  #foreignSinceUs = 0

  /** `isOwn`: a datagram to this address, at the lane's port, comes to this node. */
  constructor(isOwn: (ip: string) => boolean) {
    this.#isOwn = isOwn
  }

  get isEmpty(): boolean {
    return this.#ips.length === 0
  }

  /** The name can mean no other node: each of its addresses is one of our own. */
  get leadHere(): boolean {
    return this.#ips.length > 0 && this.#ips.every(this.#isOwn)
  }

  /** For people: what is contacted, and why the rest is not. */
  get description(): string {
    const ips = this.#candidates().filter((ip) => !this.#foreign.has(ip))
    const [first, more] = [ips.slice(0, addressesPerNameMax), ips.length - addressesPerNameMax]
    return first.join(' and ') + (more > 0 ? ` and ${more} more` : '')
  }

  /** For people: addresses of the name that are not taken for the peer's; '' for none. */
  get exceptions(): string {
    const own = this.#candidates().length < this.#ips.length ? this.#ips.filter(this.#isOwn) : []
    const said = own.map((ip) => `${ip} is an address of this machine too, and is not asked`)
    for (const ip of this.#foreign) said.push(`at ${ip} another database answers than before`)
    return said.join('; ')
  }

  has(ip: string): boolean {
    return this.#ips.includes(ip)
  }

  some(isSo: (ip: string) => boolean): boolean {
    return this.#candidates().some(isSo)
  }

  // ---- facts

  /** @returns whether there are new ones. */
  onResolved(ips: readonly string[]): boolean {
    const usable = ips.slice(0, addressesKnownMax)
    const isKnown = !this.isEmpty && usable.every((ip) => this.has(ip))
    this.#ips = isKnown ? this.#ips.filter((ip) => usable.includes(ip)) : usable
    return !isKnown
  }

  /** A session there never got OPENED: the other addresses first. */
  onUnopened(ip: string, nowUs: number): void {
    this.#avoided.set(ip, nowUs + unopenedUs)
  }

  /**
   * PROTOCOL §7.3, rule 2: another database answered there than the lane has been with.
   *
   * @returns whether another address may still be that of the lane's peer.
   */
  onForeign(ip: string, nowUs: number): boolean {
    if (this.#foreign.size === 0) this.#foreignSinceUs = nowUs
    this.#foreign.add(ip)
    const untilUs = this.#foreignSinceUs + peerAbsentUs
    this.#avoided.set(ip, untilUs)
    return nowUs < untilUs && this.#candidates().some((other) => !this.#foreign.has(other))
  }

  /** The lane's peer is found. */
  onFound(): void {
    this.#foreign.clear()
    this.#avoided.clear()
  }

  // ---- decisions

  /** Where the next HELLO1s go: to a few addresses at once, to each of them in turn. */
  next(nowUs: number): readonly string[] {
    const candidates = this.#candidates()
    const preferred = candidates.filter((ip) => (this.#avoided.get(ip) ?? nowUs) <= nowUs)
    const ips = preferred.length > 0 ? preferred : candidates
    if (ips.length <= addressesPerNameMax) return ips
    const first = this.#handshakeResult % ips.length
    this.#handshakeResult += addressesPerNameMax
    return [...ips, ...ips].slice(first, first + addressesPerNameMax)
  }

  /** An own address among others is not the peer's: two machines may have the same. */
  #candidates(): readonly string[] {
    return this.leadHere ? this.#ips : this.#ips.filter((ip) => !this.#isOwn(ip))
  }
}
