import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { keyPairFrom, nodeEnvironment } from './node-crypto.ts'
import { fromHex, hex } from '../test/support/hex.ts'

const environment = nodeEnvironment()
const text = new TextEncoder()

test('SHA-256 of the parts is that of the whole (FIPS 180-2, appendix B)', () => {
  const digest = environment.sha256(text.encode('a'), text.encode(''), text.encode('bc'))
  assert.equal(hex(digest), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})

test('HMAC-SHA-256 takes keys of any length (RFC 4231, cases 2 and 6)', () => {
  const short = environment.hmacSha256(
    text.encode('Jefe'),
    text.encode('what do ya want '),
    text.encode('for nothing?'),
  )
  assert.equal(hex(short), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
  const long = environment.hmacSha256(
    new Uint8Array(131).fill(0xaa),
    text.encode('Test Using Larger Than Block-Size Key - Hash Key First'),
  )
  assert.equal(hex(long), '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54')
  assert.equal(environment.hmacSha256(new Uint8Array(0)).length, 32)
})

test('AES-GCM with both lengths of key (GCM specification, test cases 4 and 16)', () => {
  const plaintext = fromHex(
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
      '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
  )
  const associatedData = fromHex('feedfacedeadbeeffeedfacedeadbeefabaddad2')
  const nonce = fromHex('cafebabefacedbaddecaf888')
  const halfKey = 'feffe9928665731c6d6a8f9467308308'
  const short = environment.aead(fromHex(halfKey)).seal(nonce, associatedData, plaintext)
  assert.equal(hex(short.subarray(0, 8)), '42831ec221777424')
  assert.equal(hex(short.subarray(-16)), '5bc94fbc3221a5db94fae95ae7121a47')
  const long = environment.aead(fromHex(halfKey.repeat(2))).seal(nonce, associatedData, plaintext)
  assert.equal(hex(long.subarray(0, 8)), '522dc1f099567d07')
  assert.equal(hex(long.subarray(-16)), '76fc6ece0f4e1768cddf8853bb2d551b')
})

test('what is sealed opens, and nothing else does', () => {
  const bytes = fc.uint8Array({ maxLength: 200 })
  fc.assert(
    fc.property(bytes, bytes, fc.nat(), fc.nat({ max: 7 }), (plaintext, header, place, bit) => {
      const aead = environment.aead(environment.randomBytes(16))
      const nonce = environment.randomBytes(12)
      const sealed = aead.seal(nonce, header, plaintext)
      assert.deepEqual(aead.open(nonce, header, sealed), plaintext)
      const forged = sealed.slice()
      forged[place % sealed.length] = (forged[place % sealed.length] ?? 0) ^ (1 << bit)
      assert.equal(aead.open(nonce, header, forged), undefined)
      assert.equal(aead.open(nonce, Uint8Array.of(...header, 0), sealed), undefined)
      assert.equal(aead.open(nonce, header, sealed.subarray(1)), undefined)
    }),
  )
})

test('sealing into a buffer writes the sealed bytes and no others', () => {
  const aead = environment.aead(new Uint8Array(16))
  const nonce = new Uint8Array(12)
  const target = new Uint8Array(40).fill(0xee)
  aead.sealInto(target, 3, nonce, text.encode('ad'), text.encode('abc'))
  assert.deepEqual(target.subarray(3, 22), aead.seal(nonce, text.encode('ad'), text.encode('abc')))
  assert.ok(target.every((byte, index) => (index >= 3 && index < 22) || byte === 0xee))
})

test('X25519 agrees as published (RFC 7748 §6.1)', () => {
  const bob = keyPairFrom(
    fromHex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'),
  )
  const alice = fromHex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')
  const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'
  assert.equal(
    hex(bob.publicKey),
    'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
  )
  assert.equal(hex(bob.agree(alice) ?? new Uint8Array(0)), shared)
})

test('two new key pairs agree, and differ from others', () => {
  const left = environment.generateKeyPair()
  const right = environment.generateKeyPair()
  assert.notDeepEqual(left.publicKey, right.publicKey)
  assert.deepEqual(left.agree(right.publicKey), right.agree(left.publicKey))
})

test('no secret is agreed on with a point of small order or a key of another length', () => {
  const own = environment.generateKeyPair()
  const smallOrder = [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    `ec${'ff'.repeat(30)}7f`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  ]
  for (const point of smallOrder) assert.equal(own.agree(fromHex(point)), undefined)
  assert.equal(own.agree(new Uint8Array(31).fill(9)), undefined)
})

test('random bytes are never the same twice, and belong to the caller', () => {
  const seen = new Set<string>()
  for (let draw = 0; draw < 2_000; draw++) {
    const bytes = environment.randomBytes(16)
    assert.equal(bytes.buffer.byteLength, 16)
    seen.add(hex(bytes))
  }
  assert.equal(seen.size, 2_000)
  for (const length of [0, 1, 4_096, 4_097]) {
    assert.equal(environment.randomBytes(length).length, length)
  }
})

test('secrets of different lengths are not equal', () => {
  assert.equal(environment.timingSafeEqual(fromHex('0102'), fromHex('0102')), true)
  assert.equal(environment.timingSafeEqual(fromHex('0102'), fromHex('0103')), false)
  assert.equal(environment.timingSafeEqual(fromHex('0102'), fromHex('010203')), false)
})
