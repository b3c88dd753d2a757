/**
 * Handshakes that somebody begins by the thousand: recorded ones without the key, and fresh ones
 * without any. A peer that begins one meanwhile gets its session, whatever its round trip.
 */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import type { Key } from './crypto/handshake.ts'
import { halfOpenMax } from './constants.ts'
import { decodePacket, encodePacket, type Hello1 } from './codec/packet.ts'
import { RawPeer } from '../../test/support/raw-peer.ts'
import { at, keyNamed, type Machine, Scenario, second } from '../../test/simulator/core/scenario.ts'
import { delay } from '../../sdk/testing/wire-parts.ts'

const key = keyNamed('k')

/** Sends 1,500 HELLO1 a second from its own address, each with the cookie that it asked for. */
class Flooder {
  readonly #scenario: Scenario
  readonly #to: Machine
  readonly #peer: RawPeer
  readonly #next: () => Hello1
  readonly #waiting = new Map<string, Hello1>()

  constructor(scenario: Scenario, to: Machine, next: (peer: RawPeer) => Hello1) {
    this.#scenario = scenario
    this.#to = to
    this.#peer = new RawPeer(scenario.network, at('10.66.6.6'))
    this.#next = () => next(this.#peer)
    this.#turn()
  }

  #turn(): void {
    const { address } = this.#to.host
    for (const packet of this.#peer.packets.splice(0)) {
      const hello1 = packet.type === 'retry' ? this.#waiting.get(packet.dcid) : undefined
      if (hello1 === undefined || packet.type !== 'retry') continue
      this.#inject(address, { ...hello1, cookie: packet.cookie })
      this.#waiting.delete(hello1.scid)
    }
    for (let index = 0; index < 3; index++) {
      const hello1 = this.#next()
      this.#waiting.set(hello1.scid, hello1)
      this.#inject(address, hello1)
    }
    this.#scenario.time.at(this.#scenario.nowUs + 2_000, () => this.#turn())
  }

  #inject(to: Machine['host']['address'], hello1: Hello1): void {
    this.#scenario.network.inject(this.#peer.address, to, encodePacket(hello1))
  }
}

function helloOf(peer: RawPeer, withKey?: Key): Hello1 {
  const packet = decodePacket(peer.beginHandshake(withKey).hello1())
  ok(packet?.type === 'hello1')
  return packet
}

/** How long a peer with a round trip of 100 ms needs for its first row, next to the flood. */
function firstRowUs(withKey: Key | undefined, next: (peer: RawPeer) => Hello1): number {
  const scenario = new Scenario({ parts: [delay(50_000)] })
  const options = withKey && ({ keys: [withKey], keylessFrom: 'nowhere' } as const)
  const [a, b] = [scenario.add('a', options), scenario.add('b', options)]
  const flooder = new Flooder(scenario, b, next)
  ok(flooder instanceof Flooder)
  scenario.run(second)
  scenario.send(a, b, 20, 100, withKey?.name)
  const takenUs = scenario.expectArrival(b, 20, 20 * second)
  ok(b.host.node.held.halfOpen <= halfOpenMax)
  return takenUs
}

test('recorded HELLO1s, with cookies that somebody asked for, keep no peer out', () => {
  const recorded: Hello1[] = []
  let index = 0
  const takenUs = firstRowUs(key, (peer) => {
    while (recorded.length < 2 * halfOpenMax) recorded.push(helloOf(peer, key))
    return recorded[index++ % recorded.length] ?? helloOf(peer, key)
  })
  ok(takenUs < second, `The first rows took ${takenUs} us.`)
})

test('a flood of handshakes from one address, each with its cookie, keeps no peer out', () => {
  const takenUs = firstRowUs(undefined, (peer) => helloOf(peer))
  ok(takenUs < second, `The first rows took ${takenUs} us.`)
})
