/**
 * The initiator's way from a name to keys: look the name up, contact its addresses with HELLO1
 * until one answers, for ever. Must never give up, and never speak more often than
 * `HandshakeBackoff` allows but for one hint a second.
 */
import {
  type Answer,
  type ConnectionId,
  type Hello2,
  protocolVersion,
  toConnectionId,
} from '../codec/packet.ts'
import {
  ephemeralUs,
  handshakeBackoffFirstUs,
  handshakeBackoffGrowth,
  handshakeBackoffJitter,
  handshakeBackoffMaxUs,
  handshakeBackoffOutageShare,
  handshakeBackoffYoungUs,
  helloGridUs,
  helloQuietAfterUs,
  helloQuietEveryUs,
  helloQuietUs,
  hintPauseUs,
  lookUpAheadUs,
  pendingHellosMax,
  resolveAgainUs,
  resolveSoonUs,
  resolveTimeoutUs,
} from '../constants.ts'
import { InitiatorHandshake, type Key } from '../crypto/handshake.ts'
import type { SessionKeys } from '../crypto/packet-protection.ts'
import type { Environment } from '../crypto/provider.ts'
import type { Address, Output } from '../io.ts'
import type { Trouble } from './close-policy.ts'
import type { PeerAddresses } from './route.ts'

type HandshakeInitiatorOptions = {
  readonly port: number
  readonly key: Key | undefined
  readonly environment: Environment
  /** Whether a node at this address is known to be running. */
  readonly isHeard: (address: Address) => boolean
  readonly addresses: PeerAddresses
  /** Since when the peer has been out of reach: monotonic microseconds. */
  readonly outageSinceUs: number
  /** The first HELLO1 waits so long, unless something says that the peer is back. */
  readonly pauseUs: number
}

/** What an answered HELLO1 gives. */
export type HandshakeResult = {
  readonly keys: SessionKeys
  /** Our own connection id. */
  readonly localCid: ConnectionId
  /** Where it was contacted: the answer may have come from elsewhere. */
  readonly peer: Address
  /** Microseconds to the answer; undefined when it is not known which HELLO1 it answers. */
  readonly handshakeUs: number | undefined
  /** Whenever its HELLO1 was sent, the name could mean no other node than this one. */
  readonly ledHere: boolean
}

/** `atUs`: when it is due, or due again if it does not end. */
type LookUp = { readonly type: 'due' | 'under-way'; readonly atUs: number }

/** The handshake with one address: which of them was answered shows where the peer can be heard. */
type PendingHello = {
  readonly ip: string
  readonly scid: ConnectionId
  readonly handshake: InitiatorHandshake
  readonly sinceUs: number
  /** The HELLO1s that an answer may belong to, and when the last one left. */
  unanswered: number
  handshakeAtUs: number
  /** As in HandshakeResult. */
  ledHere: boolean
}

/** An answer so soon, or so late, after the last of several HELLO1s may be one to another. */
const [answerUsMin, answerUsMax] = [50_000, 1_000_000]

/** From the HELLO1 that was answered, likely the last one; undefined when nobody can tell. */
function tripUs({ unanswered, handshakeAtUs }: PendingHello, nowUs: number): number | undefined {
  const sinceUs = nowUs - handshakeAtUs
  const isLikely = sinceUs >= answerUsMin && sinceUs <= answerUsMax
  return unanswered === 1 || isLikely ? sinceUs : undefined
}

export class HandshakeInitiator {
  readonly #options: HandshakeInitiatorOptions
  /** In the order of their age. */
  #pendingHellos: PendingHello[] = []
  #lookUp: LookUp
  #hasLookedUp = false
  #unresolved = ''
  #foreignVersions = ''
  /** In which attempt the system last sent nothing to an address, and why. */
  readonly #unsent = new Map<string, number>()
  #unsentReason = ''
  #attempt = 0
  /** Rounds of HELLO1 in a row of which one came back to this node, and the last of them. */
  #echoes = 0
  #echoedAttempt = 0
  #notBeforeUs: number
  #helloAtUs: number
  #hintedAtUs = -Infinity

  constructor(options: HandshakeInitiatorOptions, nowUs: number) {
    this.#options = options
    this.#lookUp = { type: 'due', atUs: nowUs }
    this.#notBeforeUs = nowUs + options.pauseUs
    this.#helloAtUs = this.#notBeforeUs
  }

  /** Undefined while it is too early to speak of trouble. */
  trouble(): Trouble | undefined {
    if (this.#unresolved !== '') return { code: 'TINYMQ_UNRESOLVED', reason: this.#unresolved }
    if (this.#foreignVersions !== '') {
      const versions = `${this.#foreignVersions} of the protocol, this node ${protocolVersion}`
      const reason = `the peer speaks version ${versions}: upgrade the older one`
      return { code: 'TINYMQ_VERSION', reason }
    }
    if (this.#attempt < 3) return undefined
    const { port, key, isHeard, addresses } = this.#options
    const to = `${addresses.description} port ${port}`
    const also = addresses.exceptions === '' ? '' : ` (${addresses.exceptions})`
    if (this.#echoes >= 3) {
      const reason = `what is sent to ${to} comes back to this node${also}: correct the host`
      return { code: 'TINYMQ_SELF_LOOP', reason }
    }
    // What became of the last HELLO1s is not known yet.
    if (this.#pendingHellos.every(({ ip }) => this.#attempt - (this.#unsent.get(ip) ?? 0) <= 2)) {
      const reason = `this machine sends nothing to ${to}${also}: ${this.#unsentReason}`
      return { code: 'TINYMQ_NOT_SENT', reason }
    }
    const isRunning = 'is tinymq running there, and may UDP pass?'
    if (key === undefined) {
      return { code: 'TINYMQ_NO_ANSWER', reason: `no answer from ${to}${also}: ${isRunning}` }
    }
    const { name } = key
    // An unauthenticated peer must not learn which keys there are, so the peer says nothing either
    // way.
    if (!addresses.some((ip) => isHeard({ ip, port }))) {
      const has = 'Has it this key?'
      const reason = `no answer from ${to} under the key ${name}${also}: ${isRunning} ${has}`
      return { code: 'TINYMQ_NO_ANSWER', reason }
    }
    const reason =
      `${to} is running, and does not answer under the key ${name}: it has no such key, or ` +
      'another one of that name. Compare what tinymq keys list says here and there'
    return { code: 'TINYMQ_WRONG_KEY', reason }
  }

  /** The ids that answers come under. */
  get scids(): readonly ConnectionId[] {
    return this.#pendingHellos.map(({ scid }) => scid)
  }

  deadlineUs(): number {
    const { atUs } = this.#lookUp
    return this.#maySendHello ? Math.min(atUs, this.#helloAtUs) : atUs
  }

  // ---- facts

  onResolved(ips: readonly string[], reason: string, nowUs: number): void {
    const { addresses } = this.#options
    this.#unresolved = ips.length === 0 ? reason : ''
    const isFirst = !this.#hasLookedUp
    this.#hasLookedUp = true
    if (ips.length === 0) {
      // The last known addresses stay in use: a name server may be out of reach while the peer is
      // not.
      if (addresses.isEmpty) this.#attempt++
      this.#lookUp = { type: 'due', atUs: nowUs + this.#pauseUs(nowUs) }
      return
    }
    const pauseUs = isFirst ? resolveSoonUs : resolveAgainUs
    this.#lookUp = { type: 'due', atUs: nowUs + pauseUs }
    const isNew = addresses.onResolved(ips)
    if (isNew) this.#helloAtUs = Math.max(nowUs, this.#notBeforeUs)
  }

  /** @returns what a HELLO2 gives that answers a HELLO1 of ours. */
  onAnswer(answer: Answer, nowUs: number, out: Output[]): HandshakeResult | undefined {
    if (answer.type === 'hello2') return this.onHello2(answer, nowUs)
    if (answer.type === 'versions') this.onVersions(answer.versions)
    else out.push(...this.onRetry(answer.dcid, answer.cookie, nowUs))
    return undefined
  }

  /** Keys, when this is the answer to a HELLO1 of ours. */
  onHello2(hello2: Hello2, nowUs: number): HandshakeResult | undefined {
    const hello = this.#pendingHelloOf(hello2.dcid)
    const keys = hello?.handshake.finish(hello2)
    if (hello === undefined || keys === undefined) return undefined
    const { ip, scid, ledHere } = hello
    const handshakeUs = hello.handshake.hasOldAnswer ? undefined : tripUs(hello, nowUs)
    // PROTOCOL §3.3: whoever is elsewhere may never have asked for what a session sends.
    const peer = { ip, port: this.#options.port }
    return { keys, localCid: scid, peer, handshakeUs, ledHere }
  }

  /** PROTOCOL §3.4: one RETRY is followed per handshake, with the HELLO1 that this returns. */
  onRetry(dcid: ConnectionId, cookie: Uint8Array, nowUs: number): Output[] {
    const hello = this.#pendingHelloOf(dcid)
    if (hello?.handshake.onCookie(cookie) !== true) return []
    // Without the cookie they are not answered.
    hello.unanswered = 0
    return [this.#hello1(hello, nowUs)]
  }

  /** A HELLO1 has come back to the node that sent it: no answer to it can be the peer's. */
  onEcho(): void {
    if (this.#echoedAttempt < this.#attempt) this.#echoes++
    this.#echoedAttempt = this.#attempt
  }

  /**
   * The peer speaks other versions: only for people, for anyone may have said so. PROTOCOL §3.5: a
   * list with the version of our HELLO1 is no answer to it.
   */
  onVersions(versions: Uint8Array): void {
    if (versions.includes(protocolVersion)) return
    this.#foreignVersions = [...versions].join(', ')
  }

  /** Something says that the peer may be back: try at once, at most once in a while. */
  onHint(nowUs: number): void {
    if (nowUs - this.#hintedAtUs < hintPauseUs) return
    this.#hintedAtUs = nowUs
    this.#notBeforeUs = nowUs
    this.#helloAtUs = nowUs
    if (this.#lookUp.type === 'due') this.#lookUp = { type: 'due', atUs: nowUs }
  }

  /** New rows are no reason to send a HELLO1 now. */
  isQuiet(atUs: number): boolean {
    return isHelloQuiet(atUs, atUs - this.#options.outageSinceUs)
  }

  onUnsent({ ip, port }: Address, reason: string): void {
    if (!this.sendsHello({ ip, port })) return
    this.#unsent.set(ip, this.#attempt)
    this.#unsentReason = reason
  }

  sendsHello(address: Address): boolean {
    return address.port === this.#options.port && this.#options.addresses.has(address.ip)
  }

  // ---- decisions

  /** Whether the name must be looked up now; the answer comes as `onResolved`. */
  takeLookUp(nowUs: number): boolean {
    if (this.#lookUp.atUs > nowUs) return false
    this.#lookUp = { type: 'under-way', atUs: nowUs + resolveTimeoutUs }
    return true
  }

  /** HELLO1s, one to an address, if it is time for them. */
  takeHellos(nowUs: number): Output[] {
    if (!this.#maySendHello || this.#helloAtUs > nowUs) return []
    if (this.#echoedAttempt < this.#attempt) this.#echoes = 0
    const atUs = nowUs + this.#pauseUs(nowUs)
    const dueUs = this.isQuiet(atUs) ? besideQuietUs(atUs, nowUs) : atUs
    // Never later than the pause allows (P12).
    this.#helloAtUs = dueUs - (dueUs % helloGridUs)
    this.#attempt++
    if (this.#lookUp.type === 'due') {
      // A moment before the next HELLO1, so that it goes to where the name points then.
      const atUs = Math.max(this.#lookUp.atUs, this.#helloAtUs - lookUpAheadUs)
      this.#lookUp = { type: 'due', atUs }
    }
    const ips = this.#options.addresses.next(nowUs)
    return ips.map((ip) => this.#hello1(this.#pendingHelloTo(ip, nowUs), nowUs))
  }

  get #maySendHello(): boolean {
    return this.#hasLookedUp && !this.#options.addresses.isEmpty
  }

  #pauseUs(nowUs: number): number {
    const [random = 0] = this.#options.environment.randomBytes(1)
    return handshakeBackoffUs(this.#attempt, nowUs - this.#options.outageSinceUs, random / 255)
  }

  #hello1(hello: PendingHello, nowUs: number): Output {
    hello.unanswered++
    hello.handshakeAtUs = nowUs
    hello.ledHere &&= this.#options.addresses.leadHere
    const to = { ip: hello.ip, port: this.#options.port }
    return { type: 'send', to, bytes: hello.handshake.hello1() }
  }

  #pendingHelloOf(scid: ConnectionId): PendingHello | undefined {
    return this.#pendingHellos.find((hello) => hello.scid === scid)
  }

  /** The handshake with this address: the one that goes on, or a new one. */
  #pendingHelloTo(ip: string, nowUs: number): PendingHello {
    const { environment, key } = this.#options
    const known = this.#pendingHellos.find((hello) => hello.ip === ip)
    if (known !== undefined && nowUs - known.sinceUs <= ephemeralUs) return known
    const scid = toConnectionId(environment.randomBytes(8))
    const handshake = new InitiatorHandshake(environment, scid, key)
    const times = { sinceUs: nowUs, handshakeAtUs: nowUs }
    const hello = { ip, scid, handshake, unanswered: 0, ledHere: true, ...times }
    const others = this.#pendingHellos.filter((other) => other !== known)
    this.#pendingHellos = [...others, hello].slice(-pendingHellosMax)
    return hello
  }
}

// How long to wait before the next HELLO1 to a peer that does not answer: short while the outage is
// young, then a fixed share of it, so that nobody who returns waits long in proportion (P12), and
// the dead cost little.

/** `random` is uniform in 0 … 1. */
export function handshakeBackoffUs(attempt: number, outageUs: number, random: number): number {
  const young = Math.min(
    handshakeBackoffFirstUs * handshakeBackoffGrowth ** attempt,
    handshakeBackoffYoungUs,
  )
  const pause = Math.min(
    Math.max(young, outageUs / handshakeBackoffOutageShare),
    handshakeBackoffMaxUs,
  )
  return Math.round(pause * (1 - handshakeBackoffJitter * random))
}

/** All lanes are quiet at the same time: one datagram would keep a stale flow alive. */
function isHelloQuiet(atUs: number, outageUs: number): boolean {
  return outageUs >= helloQuietAfterUs && atUs % helloQuietEveryUs < helloQuietUs
}

/** A moment before the quiet time or after it, each within a second, for a HELLO1 due in it. */
function besideQuietUs(dueUs: number, nowUs: number): number {
  const intoUs = dueUs % helloQuietEveryUs
  const startUs = dueUs - intoUs
  const spreadUs = Math.floor((intoUs * 1_000_000) / helloQuietUs)
  return startUs - spreadUs > nowUs ? startUs - spreadUs : startUs + helloQuietUs + spreadUs
}
