/**
 * The handshake of PROTOCOL §4 on both sides: from HELLO1 and HELLO2 to the keys of a session. Must
 * never keep a secret once the keys are made.
 */
import type { Environment } from './provider.ts'
import { protocolVersions } from '../constants.ts'
import {
  type Agreement,
  deriveKeyId,
  type HandshakeOptions,
  Initiation,
  prologue,
  respond as noiseRespond,
  transportKeys,
} from './noise.ts'
import {
  type ConnectionId,
  encodePacket,
  type Hello1,
  type Hello2,
  type KeyId,
  protocolVersion,
} from '../codec/packet.ts'
import { PacketProtection, SessionKeys } from './packet-protection.ts'

/** A shared key: its name is what a row's token says, and never on the wire. */
export type Key = {
  readonly name: string
  /** 32 bytes. */
  readonly secret: Uint8Array
}

const versions = Uint8Array.from(protocolVersions)

/** What the prologue binds: all of HELLO1 but the message of the handshake. */
type Hello1Head = Omit<Hello1, 'type' | 'noise'>

type Offer = { readonly head: Hello1Head; readonly initiation: Initiation }

/** What names the key in HELLO1. */
export function keyIdOf(environment: Environment, key: Key): KeyId {
  return deriveKeyId(environment, key.secret)
}

export class InitiatorHandshake {
  readonly #environment: Environment
  readonly #key: Key | undefined
  readonly #begun: Offer
  /** Made for the cookie of a RETRY, with an ephemeral key of its own. */
  #retried: Offer | undefined
  #hasOldAnswer = false

  /** Without a key: Noise_NN. */
  constructor(environment: Environment, scid: ConnectionId, key: Key | undefined) {
    this.#environment = environment
    this.#key = key
    const keyId = key === undefined ? undefined : keyIdOf(environment, key)
    this.#begun = this.#offer({ scid, keyId, versions, cookie: undefined })
  }

  /** The same bytes each time, until a cookie comes, and from then on. */
  hello1(): Uint8Array {
    const { head, initiation } = this.#retried ?? this.#begun
    return encodePacket({ type: 'hello1', ...head, noise: initiation.message })
  }

  /** False: a cookie has been followed already. */
  onCookie(cookie: Uint8Array): boolean {
    if (this.#retried !== undefined) return false
    this.#retried = this.#offer({ ...this.#begun.head, cookie: new Uint8Array(cookie) })
    return true
  }

  /** The HELLO1 that was answered is not the one that `hello1` gives: a forger sent the RETRY. */
  get hasOldAnswer(): boolean {
    return this.#hasOldAnswer
  }

  /** `undefined`: not the answer to a HELLO1 of ours. It may still come. */
  finish(hello2: Hello2): SessionKeys | undefined {
    for (const offer of [this.#retried, this.#begun]) {
      const agreement = offer?.initiation.finish(hello2.noise)
      if (agreement === undefined) continue
      this.#hasOldAnswer = this.#retried !== undefined && offer === this.#begun
      return sessionKeys(this.#environment, agreement, 'initiator', hello2.scid)
    }
    return undefined
  }

  #offer(head: Hello1Head): Offer {
    return { head, initiation: new Initiation(optionsOf(this.#environment, head, this.#key)) }
  }
}

/** `undefined`: the HELLO1 was not made with this key. */
export function respond(
  environment: Environment,
  hello1: Hello1,
  localCid: ConnectionId,
  key: Key | undefined,
): { readonly hello2: Uint8Array; readonly keys: SessionKeys } | undefined {
  const response = noiseRespond(optionsOf(environment, hello1, key), hello1.noise)
  if (response === undefined) return undefined
  const { message: noise } = response
  return {
    hello2: encodePacket({ type: 'hello2', dcid: hello1.scid, scid: localCid, noise }),
    keys: sessionKeys(environment, response, 'responder', hello1.scid),
  }
}

function optionsOf(
  environment: Environment,
  { versions: offered, scid, keyId, cookie }: Hello1Head,
  key: Key | undefined,
): HandshakeOptions {
  return {
    environment,
    prologue: prologue(offered, protocolVersion, scid, keyId, cookie),
    key: key?.secret,
  }
}

function sessionKeys(
  environment: Environment,
  agreement: Agreement,
  role: 'initiator' | 'responder',
  peerCid: ConnectionId,
): SessionKeys {
  const keys = transportKeys(environment, agreement)
  return new SessionKeys(new PacketProtection(environment, keys, role, peerCid), peerCid)
}
