import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { InitiatorHandshake, type Key, keyIdOf, respond } from './handshake.ts'
import { decodePacket, type Hello1, type Hello2, toConnectionId } from '../codec/packet.ts'
import { dataPacket } from '../../../test/support/session-pair.ts'
import { keyNamed } from '../../../test/simulator/core/scenario.ts'
import { seededEnvironment } from '../../../test/support/seeded-environment.ts'
import { equalBytes } from '../codec/buffer.ts'

const environment = seededEnvironment(8)
const frames = Uint8Array.of(1)

function newId(): ReturnType<typeof toConnectionId> {
  return toConnectionId(environment.randomBytes(8))
}

function hello1Of(handshake: InitiatorHandshake): Hello1 {
  const packet = decodePacket(handshake.hello1())
  ok(packet?.type === 'hello1')
  return packet
}

function hello2Of(bytes: Uint8Array | undefined): Hello2 {
  const packet = bytes && decodePacket(bytes)
  ok(packet?.type === 'hello2')
  return packet
}

for (const key of [undefined, keyNamed('k')]) {
  test(`two sides agree on keys, ${key === undefined ? 'without a key' : 'under a key'}`, () => {
    const handshake = new InitiatorHandshake(environment, newId(), key)
    const response = respond(environment, hello1Of(handshake), newId(), key)
    const keys = handshake.finish(hello2Of(response?.hello2))
    ok(keys !== undefined && response !== undefined)
    deepStrictEqual(response.keys.open(dataPacket(keys.seal(frames))), frames)
    deepStrictEqual(keys.open(dataPacket(response.keys.seal(frames))), frames)
  })
}

test('another key, or none, does not agree', () => {
  const answers = (own: Key | undefined, others: Key | undefined): boolean => {
    const handshake = new InitiatorHandshake(environment, newId(), own)
    const hello1 = { ...hello1Of(handshake), keyId: others && keyIdOf(environment, others) }
    return respond(environment, hello1, newId(), others) !== undefined
  }
  deepStrictEqual(answers(keyNamed('k', 1), keyNamed('k', 1)), true)
  deepStrictEqual(answers(keyNamed('k', 1), keyNamed('k', 2)), false)
})

test('HELLO1 is repeated to the byte, and made again for one cookie', () => {
  const handshake = new InitiatorHandshake(environment, newId(), keyNamed('k'))
  const first = handshake.hello1()
  deepStrictEqual(handshake.hello1(), first)
  const cookie = new Uint8Array(16).fill(5)
  deepStrictEqual(handshake.onCookie(cookie), true)
  cookie.fill(0)
  const second = hello1Of(handshake)
  deepStrictEqual(handshake.onCookie(cookie), false)
  deepStrictEqual(hello1Of(handshake), second)
  deepStrictEqual(second.cookie, new Uint8Array(16).fill(5))
  const packet = decodePacket(first)
  ok(packet?.type === 'hello1')
  const { noise } = second
  deepStrictEqual(second, { ...packet, cookie: second.cookie, noise })
  ok(!equalBytes(noise.subarray(0, 32), packet.noise.subarray(0, 32)), 'It has another key.')
})

test('a cookie that somebody puts into a recorded HELLO1 makes its tag wrong', () => {
  const key = keyNamed('k')
  const hello1 = hello1Of(new InitiatorHandshake(environment, newId(), key))
  ok(respond(environment, hello1, newId(), key) !== undefined)
  const spliced = { ...hello1, cookie: new Uint8Array(16) }
  deepStrictEqual(respond(environment, spliced, newId(), key), undefined)
})

test('the answer to the HELLO1 before a forged RETRY is taken, and known as late', () => {
  const handshake = new InitiatorHandshake(environment, newId(), undefined)
  const before = respond(environment, hello1Of(handshake), newId(), undefined)
  handshake.onCookie(new Uint8Array(16))
  const after = respond(environment, hello1Of(handshake), newId(), undefined)
  ok(handshake.finish(hello2Of(after?.hello2)) !== undefined)
  deepStrictEqual(handshake.hasOldAnswer, false)
  ok(handshake.finish(hello2Of(before?.hello2)) !== undefined)
  deepStrictEqual(handshake.hasOldAnswer, true)
})

test('a cookie, and answers that are not for this handshake, spoil nothing', () => {
  const [one, other] = [0, 1].map(() => new InitiatorHandshake(environment, newId(), undefined))
  ok(one !== undefined && other !== undefined)
  const wrong = respond(environment, hello1Of(other), newId(), undefined)
  deepStrictEqual(one.finish(hello2Of(wrong?.hello2)), undefined)
  one.onCookie(new Uint8Array(16))
  const right = respond(environment, hello1Of(one), newId(), undefined)
  ok(one.finish(hello2Of(right?.hello2)) !== undefined)
})

test('a changed list of versions makes the handshake fail', () => {
  const handshake = new InitiatorHandshake(environment, newId(), keyNamed('k'))
  const hello1 = { ...hello1Of(handshake), versions: Uint8Array.of(1, 2) }
  deepStrictEqual(respond(environment, hello1, newId(), keyNamed('k')), undefined)
})
