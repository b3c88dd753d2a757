import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import type { Greeted } from './connector.ts'
import { pathOf } from './lane-state.ts'
import { toConnectionId } from './packet.ts'
import { at } from './testing/scenario.ts'
import { seededEnvironment } from './testing/seeded-environment.ts'
import { keysPair } from './testing/session-pair.ts'

const { initiator: keys } = keysPair()
const environment = seededEnvironment(1)

function greetedAt(ip: string): Greeted {
  return {
    keys,
    localCid: toConnectionId(environment.randomBytes(8)),
    peer: at(ip),
    handshakeUs: 80_000,
  }
}

test('a session beside or after another on the same path begins with its round-trip time', () => {
  const first = pathOf(greetedAt('10.0.0.1'), undefined)
  deepStrictEqual([first.rtt.smoothedUs, first.rtt.hasSample], [80_000, false])
  first.rtt.onSample(90_000, 0)
  strictEqual(pathOf(greetedAt('10.0.0.1'), first).rtt, first.rtt)
})

test('on another path, or where nothing was learnt, it begins with that of the handshake', () => {
  const first = pathOf(greetedAt('10.0.0.1'), undefined)
  deepStrictEqual(pathOf(greetedAt('10.0.0.1'), first) === first, false)
  first.rtt.onSample(90_000, 0)
  const moved = pathOf(greetedAt('10.0.0.2'), first)
  deepStrictEqual([moved.ip, moved.rtt.smoothedUs], ['10.0.0.2', 80_000])
})
