/**
 * Noise_NN and Noise_NNpsk0 with 25519, AESGCM and SHA256, exactly as published (noiseprotocol.org,
 * revision 34), and what PROTOCOL §4 makes of them. Nothing that a peer sends can throw: what does
 * not fit is `undefined`. Must never know about packets or sessions.
 *
 *   -> (psk) e
 *   <- e, ee
 */
import { assert } from '../assert.ts'
import type { Aead, Environment, KeyPair } from './provider.ts'
import { type ConnectionId, idBytesOf, type KeyId, tagBytes, toKeyId } from '../codec/packet.ts'
import { concat, writeUint48 } from '../codec/buffer.ts'

export type HandshakeOptions = {
  readonly environment: Environment
  readonly prologue: Uint8Array
  /** 32 bytes; `undefined`: Noise_NN. */
  readonly key: Uint8Array | undefined
}

/** What both sides have after the second message. */
export type Agreement = {
  /** What the other side's message held: nothing, in this protocol. */
  readonly payload: Uint8Array
  readonly chainingKey: Uint8Array
  readonly hash: Uint8Array
}

/** One direction's key (16 bytes) and IV (12 bytes). */
export type DirectionKeys = { readonly key: Uint8Array; readonly iv: Uint8Array }

export type TransportKeys = {
  readonly fromInitiator: DirectionKeys
  readonly fromResponder: DirectionKeys
}

const keyBytes = 32
const nothing = new Uint8Array(0)
const encoder = new TextEncoder()

/** The initiator's side, from the first message to the second. */
export class Initiation {
  /** e, and under a key the sealed payload with its tag. */
  readonly message: Uint8Array
  readonly #options: HandshakeOptions
  readonly #ephemeral: KeyPair
  readonly #afterMessage: SymmetricState

  constructor(options: HandshakeOptions, payload: Uint8Array = nothing) {
    this.#options = options
    this.#ephemeral = options.environment.generateKeyPair()
    const state = begin(options)
    mixEphemeral(state, this.#ephemeral.publicKey, options.key)
    this.message = concat(this.#ephemeral.publicKey, state.encryptAndHash(payload))
    this.#afterMessage = state
  }

  /** `undefined`: forged, or not for this. It spoils nothing: the next answer may be genuine. */
  finish(answer: Uint8Array): Agreement | undefined {
    if (answer.length < keyBytes + tagBytes) return undefined
    const peer = answer.subarray(0, keyBytes)
    const shared = this.#ephemeral.agree(peer)
    if (shared === undefined) return undefined
    const { chainingKey, hash } = this.#afterMessage
    // A copy, but for the cipher: the second message begins with a new one.
    const state = new SymmetricState(this.#options.environment, chainingKey, hash)
    mixEphemeral(state, peer, this.#options.key)
    state.mixKey(shared)
    const payload = state.decryptAndHash(answer.subarray(keyBytes))
    return payload === undefined ? undefined : agreement(state, payload)
  }
}

export type Response = Agreement & {
  /** The second message: e, the sealed payload and its tag. */
  readonly message: Uint8Array
}

/** The responder's side: reads the first message and writes the second. */
export function respond(
  options: HandshakeOptions,
  message: Uint8Array,
  payload: Uint8Array = nothing,
): Response | undefined {
  if (message.length < keyBytes) return undefined
  const peer = message.subarray(0, keyBytes)
  const state = begin(options)
  mixEphemeral(state, peer, options.key)
  // Under a key a forgery ends here, before anything costly.
  const peerPayload = state.decryptAndHash(message.subarray(keyBytes))
  if (peerPayload === undefined) return undefined
  const ephemeral = options.environment.generateKeyPair()
  const shared = ephemeral.agree(peer)
  if (shared === undefined) return undefined
  mixEphemeral(state, ephemeral.publicKey, options.key)
  state.mixKey(shared)
  const answer = concat(ephemeral.publicKey, state.encryptAndHash(payload))
  return { ...agreement(state, peerPayload), message: answer }
}

/** The published end of a handshake: two keys of 32 bytes, the initiator's first. */
export function split(environment: Environment, chainingKey: Uint8Array): [Uint8Array, Uint8Array] {
  const keys = noiseHkdf(environment, chainingKey, nothing, 2)
  return [keys.subarray(0, keyBytes), keys.subarray(keyBytes)]
}

/** PROTOCOL §4.2. */
export function prologue(
  versions: Uint8Array,
  version: number,
  scid: ConnectionId,
  keyId: KeyId | undefined,
  cookie: Uint8Array | undefined,
): Uint8Array {
  const head = concat(encoder.encode('tinymq\0'), Uint8Array.of(version, versions.length))
  const ids = concat(versions, idBytesOf(scid), idBytesOf(keyId))
  return concat(head, ids, Uint8Array.of(cookie?.length ?? 0), cookie ?? nothing)
}

/** PROTOCOL §4.3, in place of `split`. */
export function transportKeys(environment: Environment, agreement: Agreement): TransportKeys {
  const info = concat(encoder.encode('tinymq data '), agreement.hash)
  const bytes = hkdfExpand(environment, agreement.chainingKey, info, 56)
  return {
    fromInitiator: { key: bytes.subarray(0, 16), iv: bytes.subarray(16, 28) },
    fromResponder: { key: bytes.subarray(28, 44), iv: bytes.subarray(44, 56) },
  }
}

/** PROTOCOL §4.4. */
export function deriveKeyId(environment: Environment, key: Uint8Array): KeyId {
  const extracted = environment.hmacSha256(nothing, key)
  return toKeyId(hkdfExpand(environment, extracted, encoder.encode('tinymq hint v1'), 8))
}

/** RFC 5869 §2.3. Its first step, HKDF-Extract, is `hmacSha256(salt, secret)`. */
export function hkdfExpand(
  environment: Environment,
  extracted: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  assert(length <= 255 * 32, 'HKDF gives at most 255 blocks.')
  const bytes = new Uint8Array(Math.ceil(length / 32) * 32)
  let block: Uint8Array = nothing
  for (let count = 1; (count - 1) * 32 < length; count++) {
    block = environment.hmacSha256(extracted, block, info, Uint8Array.of(count))
    bytes.set(block, (count - 1) * 32)
  }
  return bytes.subarray(0, length)
}

/** Noise §5.2, with the cipher of §5.1 inside. */
class SymmetricState {
  readonly #environment: Environment
  #aead: Aead | undefined
  #nonce = 0
  chainingKey: Uint8Array
  hash: Uint8Array

  constructor(environment: Environment, chainingKey: Uint8Array, hash: Uint8Array) {
    this.#environment = environment
    this.chainingKey = chainingKey
    this.hash = hash
  }

  mixHash(bytes: Uint8Array): void {
    this.hash = this.#environment.sha256(this.hash, bytes)
  }

  mixKey(secret: Uint8Array): void {
    const keys = noiseHkdf(this.#environment, this.chainingKey, secret, 2)
    this.chainingKey = keys.subarray(0, keyBytes)
    this.#useKey(keys.subarray(keyBytes))
  }

  mixKeyAndHash(secret: Uint8Array): void {
    const keys = noiseHkdf(this.#environment, this.chainingKey, secret, 3)
    this.chainingKey = keys.subarray(0, keyBytes)
    this.mixHash(keys.subarray(keyBytes, 2 * keyBytes))
    this.#useKey(keys.subarray(2 * keyBytes))
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const sealed = this.#aead?.seal(this.#nextNonce(), this.hash, plaintext) ?? plaintext
    this.mixHash(sealed)
    return sealed
  }

  decryptAndHash(sealed: Uint8Array): Uint8Array | undefined {
    const plaintext =
      this.#aead === undefined ? sealed : this.#aead.open(this.#nextNonce(), this.hash, sealed)
    if (plaintext !== undefined) this.mixHash(sealed)
    return plaintext
  }

  #useKey(key: Uint8Array): void {
    this.#aead = this.#environment.aead(key)
    this.#nonce = 0
  }

  #nextNonce(): Uint8Array {
    return noiseNonce(this.#nonce++)
  }
}

/** Noise §12.3: four zeros and the number. */
export function noiseNonce(count: number): Uint8Array {
  const nonce = new Uint8Array(12)
  writeUint48(nonce, 6, count)
  return nonce
}

// Noise §4.3 is HKDF of RFC 5869 with the chaining key for salt and without info.
function noiseHkdf(
  environment: Environment,
  chainingKey: Uint8Array,
  secret: Uint8Array,
  outputs: 2 | 3,
): Uint8Array {
  const extracted = environment.hmacSha256(chainingKey, secret)
  return hkdfExpand(environment, extracted, nothing, outputs * keyBytes)
}

function begin({ environment, prologue, key }: HandshakeOptions): SymmetricState {
  assert(key === undefined || key.length === keyBytes, 'A key has 32 bytes.')
  const pattern = key === undefined ? 'NN' : 'NNpsk0'
  // 32 bytes at most: a name that is no longer stands for itself instead of its hash (Noise §5.2).
  const name = new Uint8Array(keyBytes)
  name.set(encoder.encode(`Noise_${pattern}_25519_AESGCM_SHA256`))
  const state = new SymmetricState(environment, name, name)
  state.mixHash(prologue)
  if (key !== undefined) state.mixKeyAndHash(key)
  return state
}

// Noise §9.2: where a key is used, an ephemeral is mixed into the chaining key too.
function mixEphemeral(
  state: SymmetricState,
  publicKey: Uint8Array,
  key: Uint8Array | undefined,
): void {
  state.mixHash(publicKey)
  if (key !== undefined) state.mixKey(publicKey)
}

function agreement(state: SymmetricState, payload: Uint8Array): Agreement {
  return { payload, chainingKey: state.chainingKey, hash: state.hash }
}
