import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Acceptor } from './acceptor.ts'
import { InitiatorHandshake } from './handshake.ts'
import { KeyRing } from './key-ring.ts'
import { halfOpenMax, halfOpenTimeoutUs } from './limits.ts'
import type { Address } from './node-io.ts'
import type { Hello1, Packet } from './packet.ts'
import { decodePacket, toConnectionId } from './packet.ts'
import { keyNamed } from './testing/scenario.ts'
import { seededEnvironment } from './testing/seeded-environment.ts'

const environment = seededEnvironment(6)
const key = keyNamed('k')
const from: Address = { ip: '10.0.0.1', port: 9000 }

const proxyIp = '172.18.0.1'

function newAcceptor(keylessFrom: 'private' | 'anywhere' | 'nowhere' = 'private'): Acceptor {
  const ring = new KeyRing(environment, [key])
  let session = 0
  const takeSessionId = (): number => ++session
  return new Acceptor({ environment, ring, keylessFrom, proxyIp, takeSessionId }, 0)
}

function hello1(withKey?: typeof key): Hello1 {
  const scid = toConnectionId(environment.randomBytes(8))
  const packet = decodePacket(new InitiatorHandshake(environment, scid, withKey).hello1())
  ok(packet?.type === 'hello1')
  return packet
}

function answerTo(acceptor: Acceptor, hello: Hello1, nowUs = 0, peer = from): Packet | undefined {
  const bytes = acceptor.onHello1(hello, peer, nowUs)
  return bytes && decodePacket(bytes)
}

function cidOf(packet: Packet | undefined): ReturnType<typeof toConnectionId> {
  ok(packet?.type === 'hello2')
  return packet.scid
}

test('whoever is answered is half open until it has proved itself or five seconds are over', () => {
  const acceptor = newAcceptor()
  const [one, other] = [hello1(), hello1(key)].map((hello) => cidOf(answerTo(acceptor, hello)))
  ok(one !== undefined && other !== undefined)
  deepStrictEqual([acceptor.find(one)?.key, acceptor.find(other)?.key], ['', 'k'])
  acceptor.onProved(one)
  deepStrictEqual(acceptor.find(one), undefined)
  deepStrictEqual(acceptor.deadlineUs(), halfOpenTimeoutUs)
  acceptor.onDeadline(halfOpenTimeoutUs - 1)
  ok(acceptor.find(other) !== undefined)
  acceptor.onDeadline(halfOpenTimeoutUs)
  deepStrictEqual([acceptor.find(other), acceptor.deadlineUs()], [undefined, undefined])
})

test('the oldest gives way when there are too many', () => {
  const acceptor = newAcceptor()
  const cids = Array.from({ length: halfOpenMax + 1 }, (_, index) =>
    cidOf(answerTo(acceptor, hello1(), index * 25_000)),
  )
  const isKept = cids.map((cid) => acceptor.find(cid) !== undefined)
  deepStrictEqual(isKept.indexOf(false), 0)
  deepStrictEqual(isKept.filter(Boolean).length, halfOpenMax)
})

test('what it keeps is its own, not the bytes of the datagram', () => {
  const acceptor = newAcceptor()
  const hello = hello1()
  const noise = Uint8Array.from(hello.noise)
  const first = answerTo(acceptor, { ...hello, noise })
  noise.fill(0)
  deepStrictEqual(answerTo(acceptor, hello), first)
})

test('a key that it does not have, and a stranger from afar, get no answer', () => {
  const acceptor = newAcceptor()
  deepStrictEqual(answerTo(acceptor, hello1(keyNamed('x'))), undefined)
  deepStrictEqual(answerTo(acceptor, hello1(), 0, { ip: '8.8.8.8', port: 1 }), undefined)
  deepStrictEqual(answerTo(newAcceptor('nowhere'), hello1()), undefined)
  deepStrictEqual(acceptor.deadlineUs(), undefined)
})

test('who has no key and comes from where others may hide must be known', () => {
  const proxy = { ip: proxyIp, port: 9 }
  const mustBeKnown = (acceptor: Acceptor, hello: Hello1, peer: Address): boolean | undefined =>
    acceptor.find(cidOf(answerTo(acceptor, hello, 0, peer)))?.mustBeKnown
  deepStrictEqual(mustBeKnown(newAcceptor(), hello1(), proxy), true)
  deepStrictEqual(mustBeKnown(newAcceptor(), hello1(), from), false)
  deepStrictEqual(mustBeKnown(newAcceptor(), hello1(key), proxy), false)
  // Whoever takes everybody has nobody to look for.
  deepStrictEqual(mustBeKnown(newAcceptor('anywhere'), hello1(), proxy), false)
})

test('a HELLO1 without a key under a forged address gets its answer nowhere else', () => {
  const acceptor = newAcceptor()
  const [keyless, keyed] = [hello1(), hello1(key)]
  for (const hello of [keyless, keyed]) ok(answerTo(acceptor, hello) !== undefined)
  for (const ip of ['8.8.8.8', proxyIp, '10.0.0.2']) {
    deepStrictEqual(answerTo(acceptor, keyless, 0, { ip, port: 9 }), undefined)
  }
  // Another port of the same machine is a NAT; a key proves more than an address does.
  ok(answerTo(acceptor, keyless, 0, { ip: from.ip, port: 9 }) !== undefined)
  ok(answerTo(acceptor, keyed, 0, { ip: '8.8.8.8', port: 9 }) !== undefined)
})
