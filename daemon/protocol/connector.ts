/**
 * The initiator's way from a name to keys: look the name up, greet its addresses with HELLO1 until
 * one answers, for ever. Must never give up, and never speak more often than `hello-pause.ts`
 * allows but for one hint a second.
 */
import type { Trouble } from './after-close.ts'
import type { Environment } from './environment.ts'
import { InitiatorHandshake } from './handshake.ts'
import type { Key } from './handshake.ts'
import { helloPauseUs } from './hello-pause.ts'
import {
  addressesPerNameMax,
  ephemeralUs,
  helloGridUs,
  hintPauseUs,
  lookUpAheadUs,
  resolveAgainUs,
  resolveTimeoutUs,
} from './limits.ts'
import type { Address, Output } from './node-io.ts'
import { protocolVersion, type ConnectionId, type Hello2 } from './packet.ts'
import type { SessionKeys } from './session-keys.ts'

export type ConnectorOptions = {
  readonly port: number
  readonly key: Key | undefined
  readonly environment: Environment
  /** Whether a node at this address is known to be running. */
  readonly isHeard: (address: Address) => boolean
  /** A fresh connection id. */
  readonly scid: ConnectionId
  /** Since when the peer has been out of reach: monotonic microseconds. */
  readonly outageSinceUs: number
  /** Where the peer was when it was last heard: for when its name cannot be looked up. */
  readonly lastIp: string | undefined
}

/** What an answered HELLO1 gives. */
export type Greeted = {
  readonly keys: SessionKeys
  /** Where it was greeted: the answer may have come from elsewhere. */
  readonly peer: Address
  /** Microseconds to the answer; undefined when it is not known which HELLO1 it answers. */
  readonly handshakeUs: number | undefined
}

type LookUp =
  | { readonly type: 'due'; readonly atUs: number }
  | { readonly type: 'under-way'; readonly untilUs: number }

export class Connector {
  readonly scid: ConnectionId
  readonly #options: ConnectorOptions
  #handshake: InitiatorHandshake
  #handshakeSinceUs: number
  #lookUp: LookUp
  #ips: readonly string[] = []
  #unresolved = ''
  #foreignVersions = ''
  #attempt = 0
  /** The HELLO1s that an answer may belong to, and when the last one left. */
  #unanswered = 0
  #greetedAtUs = 0
  #helloAtUs: number
  #hintedAtUs = -Infinity

  constructor(options: ConnectorOptions, nowUs: number) {
    this.scid = options.scid
    this.#options = options
    this.#handshake = this.#newHandshake()
    this.#handshakeSinceUs = nowUs
    this.#lookUp = { type: 'due', atUs: nowUs }
    this.#helloAtUs = nowUs
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
    const { port, key, isHeard } = this.#options
    const to = `${this.#ips.join(' and ')} port ${port}`
    const isRunning = 'is tinymq running there, and may UDP pass?'
    if (key === undefined) {
      return { code: 'TINYMQ_NO_ANSWER', reason: `no answer from ${to}: ${isRunning}` }
    }
    const { name } = key
    // A stranger must not learn which keys there are, so the peer says nothing either way.
    if (!this.#ips.some((ip) => isHeard({ ip, port }))) {
      const reason = `no answer from ${to} under the key ${name}: ${isRunning} Has it this key?`
      return { code: 'TINYMQ_NO_ANSWER', reason }
    }
    const reason =
      `${to} is running, and does not answer under the key ${name}: it has no such key, or ` +
      'another one of that name. Compare what tinymq keys list says here and there'
    return { code: 'TINYMQ_WRONG_KEY', reason }
  }

  deadlineUs(): number {
    const lookUpUs = this.#lookUp.type === 'due' ? this.#lookUp.atUs : this.#lookUp.untilUs
    return this.#ips.length === 0 ? lookUpUs : Math.min(lookUpUs, this.#helloAtUs)
  }

  // ---- facts

  onResolved(ips: readonly string[], reason: string, nowUs: number): void {
    this.#unresolved = ips.length === 0 ? reason : ''
    if (ips.length === 0) {
      // The last known addresses stay in use: a name server may be out of reach while the peer is
      // not.
      const { lastIp } = this.#options
      if (this.#ips.length === 0 && lastIp !== undefined) this.#ips = [lastIp]
      if (this.#ips.length === 0) this.#attempt++
      this.#lookUp = { type: 'due', atUs: nowUs + this.#pauseUs(nowUs) }
      return
    }
    this.#lookUp = { type: 'due', atUs: nowUs + resolveAgainUs }
    const usable = ips.slice(0, addressesPerNameMax)
    const isKnown = this.#ips.length > 0 && usable.every((ip) => this.#ips.includes(ip))
    this.#ips = usable
    if (!isKnown) this.#helloAtUs = nowUs
  }

  /** Keys, when this is the answer to our HELLO1. */
  onHello2(hello2: Hello2, from: Address, nowUs: number): Greeted | undefined {
    const keys = this.#handshake.finish(hello2)
    if (keys === undefined) return undefined
    const handshakeUs = this.#unanswered === 1 ? nowUs - this.#greetedAtUs : undefined
    // PROTOCOL §3.3: whoever is elsewhere may never have asked for what a session sends.
    const [ip = from.ip] = this.#ips
    const peer = this.greets(from) ? from : { ip, port: this.#options.port }
    return { keys, peer, handshakeUs }
  }

  /** PROTOCOL §3.4: one RETRY is followed per handshake. */
  onRetry(cookie: Uint8Array, nowUs: number): void {
    if (!this.#handshake.onCookie(cookie)) return
    this.#helloAtUs = nowUs
    // Without the cookie they are not answered.
    this.#unanswered = 0
  }

  /** The peer speaks other versions: only for people, for anyone may have said so. */
  onVersions(versions: Uint8Array): void {
    this.#foreignVersions = [...versions].join(', ')
  }

  /** Something says that the peer may be back: try at once, at most once in a while. */
  onHint(nowUs: number): void {
    if (nowUs - this.#hintedAtUs < hintPauseUs) return
    this.#hintedAtUs = nowUs
    this.#helloAtUs = nowUs
    if (this.#lookUp.type === 'due') this.#lookUp = { type: 'due', atUs: nowUs }
  }

  greets(address: Address): boolean {
    return address.port === this.#options.port && this.#ips.includes(address.ip)
  }

  // ---- decisions

  /** Whether the name must be looked up now; the answer comes as `onResolved`. */
  takeLookUp(nowUs: number): boolean {
    const { atUs } = this.#lookUp.type === 'due' ? this.#lookUp : { atUs: this.#lookUp.untilUs }
    if (atUs > nowUs) return false
    this.#lookUp = { type: 'under-way', untilUs: nowUs + resolveTimeoutUs }
    return true
  }

  /** One HELLO1 to each address, if it is time for it. */
  takeHellos(nowUs: number): Output[] {
    if (this.#ips.length === 0 || this.#helloAtUs > nowUs) return []
    if (nowUs - this.#handshakeSinceUs > ephemeralUs) {
      this.#handshake = this.#newHandshake()
      this.#handshakeSinceUs = nowUs
      this.#unanswered = 0
    }
    this.#unanswered++
    this.#greetedAtUs = nowUs
    const dueUs = nowUs + this.#pauseUs(nowUs)
    // Never later than the pause allows (P12).
    this.#helloAtUs = dueUs - (dueUs % helloGridUs)
    this.#attempt++
    if (this.#lookUp.type === 'due') {
      // A moment before the next HELLO1, so that it goes to where the name points then.
      const atUs = Math.max(this.#lookUp.atUs, this.#helloAtUs - lookUpAheadUs)
      this.#lookUp = { type: 'due', atUs }
    }
    const { port } = this.#options
    const bytes = this.#handshake.hello1()
    return this.#ips.map((ip) => ({ type: 'send', to: { ip, port }, bytes }))
  }

  #pauseUs(nowUs: number): number {
    const [random = 0] = this.#options.environment.randomBytes(1)
    return helloPauseUs(this.#attempt, nowUs - this.#options.outageSinceUs, random / 255)
  }

  #newHandshake(): InitiatorHandshake {
    return new InitiatorHandshake(this.#options.environment, this.scid, this.#options.key)
  }
}
