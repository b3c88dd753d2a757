import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import type { HandshakeResult } from './handshake-initiator.ts'
import { pathOf } from './route.ts'
import { toConnectionId } from '../codec/packet.ts'
import { at } from '../../../test/simulator/core/scenario.ts'
import { seededEnvironment } from '../../../test/support/seeded-environment.ts'
import { keysPair } from '../../../test/support/session-pair.ts'

const { initiator: keys } = keysPair()
const environment = seededEnvironment(1)

function handshakeAt(ip: string): HandshakeResult {
  return {
    keys,
    localCid: toConnectionId(environment.randomBytes(8)),
    peer: at(ip),
    handshakeUs: 80_000,
    ledHere: false,
  }
}

test('a session next to or after another on the same path begins with its round-trip time', () => {
  const first = pathOf(handshakeAt('10.0.0.1'), undefined)
  deepStrictEqual([first.rtt.smoothedUs, first.rtt.hasSample], [80_000, false])
  first.rtt.onSample(90_000, 0)
  strictEqual(pathOf(handshakeAt('10.0.0.1'), first).rtt, first.rtt)
})

test('on another path, or where nothing was learnt, it begins with that of the handshake', () => {
  const first = pathOf(handshakeAt('10.0.0.1'), undefined)
  deepStrictEqual(pathOf(handshakeAt('10.0.0.1'), first) === first, false)
  first.rtt.onSample(90_000, 0)
  const moved = pathOf(handshakeAt('10.0.0.2'), first)
  deepStrictEqual([moved.ip, moved.rtt.smoothedUs], ['10.0.0.2', 80_000])
})
