import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { HandshakeResponder } from './handshake-responder.ts'
import { InitiatorHandshake } from '../crypto/handshake.ts'
import { KeyRing } from '../crypto/key-ring.ts'
import { halfOpenMax, halfOpenTimeoutUs } from '../constants.ts'
import type { Address } from '../io.ts'
import { decodePacket, type Hello1, type Packet, toConnectionId } from '../codec/packet.ts'
import { keyNamed } from '../../../test/simulator/core/scenario.ts'
import { seededEnvironment } from '../../../test/support/seeded-environment.ts'

const environment = seededEnvironment(6)
const key = keyNamed('k')
const from: Address = { ip: '10.0.0.1', port: 9000 }

const proxyIp = '172.18.0.1'

function newHandshakeResponder(
  keylessFrom: 'private' | 'anywhere' | 'nowhere' = 'private',
): HandshakeResponder {
  const ring = new KeyRing(environment, [key])
  let session = 0
  const takeSessionId = (): number => ++session
  return new HandshakeResponder({ environment, ring, keylessFrom, proxyIp, takeSessionId }, 0)
}

function hello1(withKey?: typeof key): Hello1 {
  const scid = toConnectionId(environment.randomBytes(8))
  const packet = decodePacket(new InitiatorHandshake(environment, scid, withKey).hello1())
  ok(packet?.type === 'hello1')
  return packet
}

function answerTo(
  handshakeResponder: HandshakeResponder,
  hello: Hello1,
  nowUs = 0,
  peer = from,
): Packet | undefined {
  const bytes = handshakeResponder.onHello1(hello, peer, nowUs)
  return bytes && decodePacket(bytes)
}

function cidOf(packet: Packet | undefined): ReturnType<typeof toConnectionId> {
  ok(packet?.type === 'hello2')
  return packet.scid
}

test('whoever is answered is half open until it has proved itself or five seconds are over', () => {
  const handshakeResponder = newHandshakeResponder()
  const [one, other] = [hello1(), hello1(key)].map((hello) =>
    cidOf(answerTo(handshakeResponder, hello)),
  )
  ok(one !== undefined && other !== undefined)
  deepStrictEqual(
    [handshakeResponder.find(one)?.key, handshakeResponder.find(other)?.key],
    ['', 'k'],
  )
  handshakeResponder.onProved(one)
  deepStrictEqual(handshakeResponder.find(one), undefined)
  deepStrictEqual(handshakeResponder.deadlineUs(), halfOpenTimeoutUs)
  handshakeResponder.onDeadline(halfOpenTimeoutUs - 1)
  ok(handshakeResponder.find(other) !== undefined)
  handshakeResponder.onDeadline(halfOpenTimeoutUs)
  deepStrictEqual(
    [handshakeResponder.find(other), handshakeResponder.deadlineUs()],
    [undefined, undefined],
  )
})

test('the oldest gives way when there are too many', () => {
  const handshakeResponder = newHandshakeResponder()
  const cids = Array.from({ length: halfOpenMax + 1 }, (_, index) =>
    cidOf(answerTo(handshakeResponder, hello1(), index * 25_000)),
  )
  const isKept = cids.map((cid) => handshakeResponder.find(cid) !== undefined)
  deepStrictEqual(isKept.indexOf(false), 0)
  deepStrictEqual(isKept.filter(Boolean).length, halfOpenMax)
})

test('what it keeps is its own, not the bytes of the datagram', () => {
  const handshakeResponder = newHandshakeResponder()
  const hello = hello1()
  const noise = Uint8Array.from(hello.noise)
  const first = answerTo(handshakeResponder, { ...hello, noise })
  noise.fill(0)
  deepStrictEqual(answerTo(handshakeResponder, hello), first)
})

test('a key that it does not have, and an unauthenticated peer from afar, get no answer', () => {
  const handshakeResponder = newHandshakeResponder()
  deepStrictEqual(answerTo(handshakeResponder, hello1(keyNamed('x'))), undefined)
  deepStrictEqual(answerTo(handshakeResponder, hello1(), 0, { ip: '8.8.8.8', port: 1 }), undefined)
  deepStrictEqual(answerTo(newHandshakeResponder('nowhere'), hello1()), undefined)
  deepStrictEqual(handshakeResponder.deadlineUs(), undefined)
})

test('who has no key and comes from where others may hide must be known', () => {
  const proxy = { ip: proxyIp, port: 9 }
  const mustBeKnown = (
    handshakeResponder: HandshakeResponder,
    hello: Hello1,
    peer: Address,
  ): boolean | undefined =>
    handshakeResponder.find(cidOf(answerTo(handshakeResponder, hello, 0, peer)))?.mustBeKnown
  deepStrictEqual(mustBeKnown(newHandshakeResponder(), hello1(), proxy), true)
  deepStrictEqual(mustBeKnown(newHandshakeResponder(), hello1(), from), false)
  deepStrictEqual(mustBeKnown(newHandshakeResponder(), hello1(key), proxy), false)
  // Whoever takes everybody has nobody to look for.
  deepStrictEqual(mustBeKnown(newHandshakeResponder('anywhere'), hello1(), proxy), false)
})

test('a HELLO1 without a key under a forged address gets its answer nowhere else', () => {
  const handshakeResponder = newHandshakeResponder()
  const [keyless, keyed] = [hello1(), hello1(key)]
  for (const hello of [keyless, keyed]) ok(answerTo(handshakeResponder, hello) !== undefined)
  for (const ip of ['8.8.8.8', proxyIp, '10.0.0.2']) {
    deepStrictEqual(answerTo(handshakeResponder, keyless, 0, { ip, port: 9 }), undefined)
  }
  // Another port of the same machine is a NAT; a key proves more than an address does.
  ok(answerTo(handshakeResponder, keyless, 0, { ip: from.ip, port: 9 }) !== undefined)
  ok(answerTo(handshakeResponder, keyed, 0, { ip: '8.8.8.8', port: 9 }) !== undefined)
})
