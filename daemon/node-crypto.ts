/**
 * The core's `Environment` from node:crypto. Keys are always KeyObjects: with raw bytes for a key
 * OpenSSL sets up again on every call, which costs four times as much. Must never hand out a random
 * byte twice.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomFillSync,
  timingSafeEqual,
} from 'node:crypto'
import { assert } from './protocol/assert.ts'
import type { Aead, Environment, KeyPair } from './protocol/crypto/provider.ts'

const tagBytes = 16
const publicKeyBytes = 32
// A call for random bytes costs the same 2 µs for 16 of them and for this many.
const poolBytes = 4096
// RFC 8410: what precedes the 32 bytes of a private key for X25519 in PKCS #8.
const pkcs8Head = Buffer.from('302e020100300506032b656e04220420', 'hex')
const withTag = { authTagLength: tagBytes }

/** Each has its own pool of random bytes. */
export function nodeEnvironment(): Environment {
  const pool = new RandomPool()
  return {
    randomBytes: (length) => pool.take(length),
    sha256: (...parts) => {
      const hash = createHash('sha256')
      for (const part of parts) hash.update(part)
      return plain(hash.digest())
    },
    hmacSha256: (key, ...parts) => {
      const hmac = createHmac('sha256', createSecretKey(key))
      for (const part of parts) hmac.update(part)
      return plain(hmac.digest())
    },
    generateKeyPair: () => keyPair(generateKeyPairSync('x25519').privateKey),
    aead: (key) => new AesGcm(key),
    timingSafeEqual: (left, right) => left.length === right.length && timingSafeEqual(left, right),
  }
}

/** The key pair of these 32 private bytes: for vectors, and for a simulator that repeats itself. */
export function keyPairFrom(privateBytes: Uint8Array): KeyPair {
  const key = Buffer.concat([pkcs8Head, privateBytes])
  return keyPair(createPrivateKey({ key, format: 'der', type: 'pkcs8' }))
}

class RandomPool {
  #bytes = new Uint8Array(0)
  #used = 0

  take(length: number): Uint8Array {
    if (length > poolBytes) return randomFillSync(new Uint8Array(length))
    if (this.#used + length > this.#bytes.length) {
      this.#bytes = randomFillSync(new Uint8Array(poolBytes))
      this.#used = 0
    }
    const start = this.#used
    this.#used += length
    // A copy: 16 bytes that are kept must not keep the pool.
    return this.#bytes.slice(start, this.#used)
  }
}

class AesGcm implements Aead {
  readonly #key: KeyObject
  readonly #algorithm: 'aes-128-gcm' | 'aes-256-gcm'

  constructor(key: Uint8Array) {
    assert(key.length === 16 || key.length === 32, 'An AES key here has 16 or 32 bytes.')
    this.#key = createSecretKey(key)
    this.#algorithm = key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm'
  }

  seal(nonce: Uint8Array, associatedData: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const sealed = new Uint8Array(plaintext.length + tagBytes)
    this.sealInto(sealed, 0, nonce, associatedData, plaintext)
    return sealed
  }

  sealInto(
    target: Uint8Array,
    offset: number,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
  ): void {
    const cipher = createCipheriv(this.#algorithm, this.#key, nonce)
    cipher.setAAD(associatedData)
    target.set(cipher.update(plaintext), offset)
    // In this mode nothing is left to be written, but the tag is made here.
    cipher.final()
    target.set(cipher.getAuthTag(), offset + plaintext.length)
  }

  open(nonce: Uint8Array, associatedData: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    const length = sealed.length - tagBytes
    if (length < 0) return undefined
    const decipher = createDecipheriv(this.#algorithm, this.#key, nonce, withTag)
    decipher.setAAD(associatedData)
    decipher.setAuthTag(sealed.subarray(length))
    const plaintext = decipher.update(sealed.subarray(0, length))
    try {
      decipher.final()
    } catch {
      // The one throw that junk can buy: node has no other way to say that a tag is wrong.
      return undefined
    }
    return plain(plaintext)
  }
}

// JWK is the form in which node takes and gives raw keys fastest.
function keyPair(privateKey: KeyObject): KeyPair {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' })
  assert(x !== undefined, 'An X25519 key has an x.')
  return {
    publicKey: plain(Buffer.from(x, 'base64url')),
    agree: (peerPublicKey) => agree(privateKey, peerPublicKey),
  }
}

function agree(privateKey: KeyObject, peerPublicKey: Uint8Array): Uint8Array | undefined {
  if (peerPublicKey.length !== publicKeyBytes) return undefined
  const x = Buffer.from(peerPublicKey).toString('base64url')
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
  try {
    return plain(diffieHellman({ privateKey, publicKey }))
  } catch {
    // OpenSSL rejects a secret of zeros: the peer gave a point of small order.
    return undefined
  }
}

// The core is written for Uint8Array, and a Buffer's `slice` is not the same.
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}
