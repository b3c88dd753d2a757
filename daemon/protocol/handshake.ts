/**
 * The handshake of PROTOCOL §4 on both sides: from HELLO1 and HELLO2 to the keys of a session. Must
 * never keep a secret once the keys are made.
 */
import type { Environment } from './environment.ts'
import { protocolVersions } from './limits.ts'
import type { Agreement, HandshakeOptions } from './noise.ts'
import { Initiation, keyHint, prologue, respond as noiseRespond, transportKeys } from './noise.ts'
import type { ConnectionId, Hello1, Hello2, KeyHint } from './packet.ts'
import { encodePacket, protocolVersion } from './packet.ts'
import { PacketProtection } from './protection.ts'
import { SessionKeys } from './session-keys.ts'

/** A shared key: its name is what a row's token says, and never on the wire. */
export type Key = {
  readonly name: string
  /** 32 bytes. */
  readonly secret: Uint8Array
}

const versions = Uint8Array.from(protocolVersions)

/** What names the key in HELLO1. */
export function hintOf(environment: Environment, key: Key): KeyHint {
  return keyHint(environment, key.secret)
}

export class InitiatorHandshake {
  readonly #environment: Environment
  readonly #scid: ConnectionId
  readonly #hint: KeyHint | undefined
  readonly #initiation: Initiation
  #cookie: Uint8Array | undefined

  /** Without a key: Noise_NN. */
  constructor(environment: Environment, scid: ConnectionId, key: Key | undefined) {
    this.#environment = environment
    this.#scid = scid
    this.#hint = key === undefined ? undefined : hintOf(environment, key)
    this.#initiation = new Initiation(handshakeOptions(environment, scid, this.#hint, key))
  }

  /** The same bytes each time, but for the cookie. */
  hello1(): Uint8Array {
    return encodePacket({
      type: 'hello1',
      scid: this.#scid,
      hint: this.#hint,
      versions,
      cookie: this.#cookie,
      noise: this.#initiation.message,
    })
  }

  /** False: a cookie has been followed already. */
  onCookie(cookie: Uint8Array): boolean {
    if (this.#cookie !== undefined) return false
    this.#cookie = new Uint8Array(cookie)
    return true
  }

  /** `undefined`: not the answer to our HELLO1. It may still come. */
  finish(hello2: Hello2): SessionKeys | undefined {
    const agreement = this.#initiation.finish(hello2.noise)
    if (agreement === undefined) return undefined
    return sessionKeys(this.#environment, agreement, 'initiator', hello2.scid)
  }
}

/** `undefined`: the HELLO1 was not made with this key. */
export function respond(
  environment: Environment,
  hello1: Hello1,
  localCid: ConnectionId,
  key: Key | undefined,
): { readonly hello2: Uint8Array; readonly keys: SessionKeys } | undefined {
  const options = handshakeOptions(environment, hello1.scid, hello1.hint, key, hello1.versions)
  const response = noiseRespond(options, hello1.noise)
  if (response === undefined) return undefined
  const { message: noise } = response
  return {
    hello2: encodePacket({ type: 'hello2', dcid: hello1.scid, scid: localCid, noise }),
    keys: sessionKeys(environment, response, 'responder', hello1.scid),
  }
}

function handshakeOptions(
  environment: Environment,
  scid: ConnectionId,
  hint: KeyHint | undefined,
  key: Key | undefined,
  offered: Uint8Array = versions,
): HandshakeOptions {
  return {
    environment,
    prologue: prologue(offered, protocolVersion, scid, hint),
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
