/**
 * What the core may not do itself: chance and cryptography. The driver gives the real thing, the
 * simulator one that follows from its seed. Must never grow a clock or any other I/O.
 */

export type Environment = {
  /** Unpredictable bytes, the caller's own. */
  randomBytes(length: number): Uint8Array
  /** Of the parts one after the other; 32 bytes. */
  sha256(...parts: readonly Uint8Array[]): Uint8Array
  /** Of the parts one after the other; 32 bytes. The key may have any length. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array
  /** A new key pair for X25519 (RFC 7748). */
  generateKeyPair(): KeyPair
  /** AES-GCM with a tag of 16 bytes: AES-128 for a key of 16 bytes, AES-256 for one of 32. */
  aead(key: Uint8Array): Aead
  /** Whether two secrets are equal, in a time that does not tell where they differ. */
  timingSafeEqual(left: Uint8Array, right: Uint8Array): boolean
}

export type KeyPair = {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** The shared secret, 32 bytes; `undefined` when it would be all zeros (RFC 7748 §6.1). */
  agree(peerPublicKey: Uint8Array): Uint8Array | undefined
}

/** One key. A nonce has 12 bytes and must never be used twice to seal. Arguments are not kept. */
export type Aead = {
  /** The ciphertext, as long as `plaintext`, and the tag. */
  seal(nonce: Uint8Array, associatedData: Uint8Array, plaintext: Uint8Array): Uint8Array
  /** The same, written into `target` from `offset`: for a datagram this saves a copy. */
  sealInto(
    target: Uint8Array,
    offset: number,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
  ): void
  /** The plaintext, the caller's own; `undefined`: forged. */
  open(nonce: Uint8Array, associatedData: Uint8Array, sealed: Uint8Array): Uint8Array | undefined
}
