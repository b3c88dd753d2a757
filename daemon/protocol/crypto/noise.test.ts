import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { keyPairFrom, nodeEnvironment } from '../../node-crypto.ts'
import type { Environment } from './provider.ts'
import {
  deriveKeyId,
  type HandshakeOptions,
  hkdfExpand,
  Initiation,
  noiseNonce,
  prologue,
  respond,
  type Response,
  split,
} from './noise.ts'
import { idBytesOf, toConnectionId } from '../codec/packet.ts'
import { fromHex, hex } from '../../../test/support/hex.ts'
import { mutated } from '../../../test/support/mutate.ts'
import { scaled } from '../../../test/support/scale.ts'

type PublishedVector = {
  readonly protocol_name: string
  readonly init_prologue: string
  readonly init_psks?: readonly string[]
  readonly init_ephemeral: string
  readonly resp_ephemeral: string
  readonly handshake_hash: string
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[]
}

const environment = nodeEnvironment()
const published = JSON.parse(
  readFileSync(new URL('../../../test/support/noise-vectors.json', import.meta.url), 'utf8'),
) as { readonly vectors: readonly PublishedVector[] }
const keyed: HandshakeOptions = {
  environment,
  prologue: fromHex('0102'),
  key: new Uint8Array(32).fill(3),
}
const keyless: HandshakeOptions = { ...keyed, key: undefined }

function withEphemeral(privateKey: string): Environment {
  return { ...environment, generateKeyPair: () => keyPairFrom(fromHex(privateKey)) }
}

function answered(options: HandshakeOptions, message: Uint8Array): Response {
  const response = respond(options, message)
  assert.ok(response !== undefined)
  return response
}

for (const vector of published.vectors) {
  test(`${vector.protocol_name} gives the published messages, hash and keys`, () => {
    const [first, second, ...transport] = vector.messages
    assert.ok(first !== undefined && second !== undefined)
    const [psk] = vector.init_psks ?? []
    const shared = {
      prologue: fromHex(vector.init_prologue),
      key: psk === undefined ? undefined : fromHex(psk),
    }
    const initiator = { ...shared, environment: withEphemeral(vector.init_ephemeral) }
    const responder = { ...shared, environment: withEphemeral(vector.resp_ephemeral) }
    const initiation = new Initiation(initiator, fromHex(first.payload))
    assert.equal(hex(initiation.message), first.ciphertext)
    const response = respond(responder, initiation.message, fromHex(second.payload))
    assert.ok(response !== undefined)
    assert.equal(hex(response.payload), first.payload)
    assert.equal(hex(response.message), second.ciphertext)
    const agreement = initiation.finish(response.message)
    assert.ok(agreement !== undefined)
    assert.equal(hex(agreement.payload), second.payload)
    assert.equal(hex(agreement.hash), vector.handshake_hash)
    assert.deepEqual(response.hash, agreement.hash)
    const aeads = split(environment, agreement.chainingKey).map((key) => environment.aead(key))
    for (const [index, { payload, ciphertext }] of transport.entries()) {
      const nonce = noiseNonce(Math.floor(index / 2))
      const sealed = aeads[index % 2]?.seal(nonce, new Uint8Array(0), fromHex(payload))
      assert.equal(hex(sealed ?? new Uint8Array(0)), ciphertext)
    }
  })
}

test('both sides agree, with a key and without one', () => {
  for (const options of [keyed, keyless]) {
    const initiation = new Initiation(options)
    assert.equal(initiation.message.length, options.key === undefined ? 32 : 48)
    const response = answered(options, initiation.message)
    assert.equal(response.message.length, 48)
    const agreement = initiation.finish(response.message)
    assert.deepEqual(agreement?.chainingKey, response.chainingKey)
    assert.deepEqual(agreement?.hash, response.hash)
  }
})

test('under a key a first message of another key, prologue or pattern gets no answer', () => {
  const { message } = new Initiation(keyed)
  assert.equal(respond({ ...keyed, key: new Uint8Array(32).fill(4) }, message), undefined)
  assert.equal(respond({ ...keyed, prologue: fromHex('0103') }, message), undefined)
  assert.equal(respond(keyed, new Initiation(keyless).message), undefined)
})

test('without a key another prologue is noticed by the initiator', () => {
  const initiation = new Initiation(keyless)
  const response = answered({ ...keyless, prologue: fromHex('0103') }, initiation.message)
  assert.equal(initiation.finish(response.message), undefined)
})

test('a forged answer spoils nothing: the genuine one still finishes', () => {
  for (const options of [keyed, keyless]) {
    const initiation = new Initiation(options)
    const response = answered(options, initiation.message)
    const forged = new Uint8Array(response.message)
    forged[40] = (forged[40] ?? 0) ^ 1
    assert.equal(initiation.finish(forged), undefined)
    assert.deepEqual(initiation.finish(response.message)?.hash, response.hash)
  }
})

test('an ephemeral of small order is rejected on both sides', () => {
  const zeros = new Uint8Array(48)
  assert.equal(respond(keyless, zeros.subarray(0, 32)), undefined)
  for (const options of [keyed, keyless]) {
    assert.equal(new Initiation(options).finish(zeros), undefined)
  }
})

test('messages of any bytes never throw, and never agree', () => {
  for (const options of [keyed, keyless]) {
    const initiation = new Initiation(options)
    const { message } = answered(options, initiation.message)
    const wrong = fc.oneof(mutated(fc.constant(message)), fc.uint8Array({ maxLength: 100 }))
    fc.assert(
      fc.property(wrong, (bytes) => {
        const agreement = initiation.finish(bytes)
        if (agreement !== undefined) assert.deepEqual(bytes, message)
        respond(options, bytes)
      }),
      { numRuns: scaled(200) },
    )
  }
})

test('HKDF is that of RFC 5869 (test case 1)', () => {
  const extracted = environment.hmacSha256(
    fromHex('000102030405060708090a0b0c'),
    new Uint8Array(22).fill(0x0b),
  )
  const expanded = hkdfExpand(environment, extracted, fromHex('f0f1f2f3f4f5f6f7f8f9'), 42)
  assert.equal(
    hex(expanded),
    '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  )
})

test('the prologue binds versions, connection id, hint and cookie', () => {
  const scid = toConnectionId(fromHex('1112131415161718'))
  const key = new Uint8Array(32).fill(5)
  const keyId = deriveKeyId(environment, key)
  assert.deepEqual(
    prologue(Uint8Array.of(1, 2), 1, scid, undefined, undefined),
    fromHex('74696e796d7100 01 020102 1112131415161718 0000000000000000 00'),
  )
  const cookie = new Uint8Array(16).fill(7)
  const bound = prologue(Uint8Array.of(1), 1, scid, keyId, cookie)
  assert.deepEqual(bound.subarray(-25, -17), idBytesOf(keyId))
  assert.deepEqual(bound.subarray(-17), Uint8Array.of(16, ...cookie))
})
