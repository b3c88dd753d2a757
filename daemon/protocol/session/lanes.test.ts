import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { respond } from '../crypto/handshake.ts'
import { KeyRing } from '../crypto/key-ring.ts'
import { Lane } from './lane.ts'
import type { Output } from '../io.ts'
import { Lanes } from './lanes.ts'
import { decodePacket, type Hello2, toConnectionId } from '../codec/packet.ts'
import { responderAddress } from '../../../test/support/session-pair.ts'
import { seededEnvironment } from '../../../test/support/seeded-environment.ts'

const environment = seededEnvironment(4)

class Registered {
  readonly lanes = new Lanes()
  readonly lane: Lane
  readonly out: Output[] = []

  constructor() {
    const address = { lane: 5, host: 'b', port: 9000, key: '' }
    const sizes = { bytesPerSecondMax: 0, renewAfterPackets: 1_000, readShareBytes: () => 1_000 }
    const advertised = { advertisedHost: '', advertisedPort: 0 }
    const heard = { isHeard: () => false, onReached: () => undefined }
    const own = { takeSessionId: () => 17, isOwnIp: () => false, ...heard }
    const ring = new KeyRing(environment, [])
    const options = { environment, address, ring: () => ring, ...sizes, ...advertised, ...own }
    this.lane = new Lane(options, 0)
    this.lanes.add(this.lane)
    this.lane.onDeadline(0, this.out)
    this.lane.onResolved([responderAddress.ip], '', 0, this.out)
    this.lanes.register(this.lane)
  }

  /** The answer to the last HELLO1. */
  hello2(): Hello2 {
    const sent = this.out.findLast((output) => output.type === 'send')
    const hello1 = sent && decodePacket(sent.bytes)
    ok(hello1?.type === 'hello1')
    const cid = toConnectionId(environment.randomBytes(8))
    const packet = decodePacket(
      respond(environment, hello1, cid, undefined)?.hello2 ?? hello1.noise,
    )
    ok(packet?.type === 'hello2')
    return packet
  }
}

test('a lane is found by its id, and by that of its handshake', () => {
  const { lanes, lane } = new Registered()
  deepStrictEqual(lanes.all(), [lane])
  deepStrictEqual([lanes.byLane(5), lanes.byHost('b')], [lane, [lane]])
  deepStrictEqual(lanes.byHost('c'), [])
  const [cid] = lane.connectionIds()
  ok(cid !== undefined)
  deepStrictEqual([lanes.byCid(cid), lanes.sessions], [lane, 0])
})

test('a lane with a session is found by it too, at both ends', () => {
  const registered = new Registered()
  const { lanes, lane, out } = registered
  const hello2 = registered.hello2()
  lane.onAnswer(hello2, 0, out)
  lanes.register(lane)
  deepStrictEqual([lanes.bySession(17), lanes.sessions], [lane, 1])
  deepStrictEqual(lanes.byCid(hello2.dcid), lane)
  deepStrictEqual(lanes.byPeerCid(hello2.scid), lane)
})

test('a lane that has ended is found by nothing', () => {
  for (const isUp of [false, true]) {
    const registered = new Registered()
    const { lanes, lane, out } = registered
    const hello2 = registered.hello2()
    if (isUp) lane.onAnswer(hello2, 0, out)
    lanes.register(lane)
    lane.stop(0, out)
    lanes.register(lane)
    deepStrictEqual([lanes.all().length, lanes.sessions, lanes.byLane(5)], [0, 0, undefined])
    deepStrictEqual(lanes.byHost('b'), [])
    const found = [lanes.byCid(hello2.dcid), lanes.byPeerCid(hello2.scid), lanes.bySession(17)]
    deepStrictEqual(found, [undefined, undefined, undefined])
  }
})
