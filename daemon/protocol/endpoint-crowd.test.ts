import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { renewAfterUs } from './constants.ts'
import { decodePacket } from './codec/packet.ts'
import { Scenario, second } from '../../test/simulator/core/scenario.ts'
import {
  delay,
  filter,
  gate,
  loss,
  mtu,
  rate,
  type WirePart,
} from '../../sdk/testing/wire-parts.ts'

const mebibyte = 1_048_576

test('on a fast link larger datagrams are found, and used', () => {
  const scenario = new Scenario({ parts: [delay(200)], commitUs: 1_000 })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b, 300, 20_000)
  scenario.expectAll()
  ok(scenario.network.checker.longestDatagram >= 16_384)
  scenario.expectRest()
})

test('what a peer says of its buffer bounds the datagrams that it gets', () => {
  const scenario = new Scenario({ parts: [delay(200)], commitUs: 1_000 })
  const a = scenario.add('a')
  const b = scenario.add('b', { datagramBytesMax: 9_000 })
  scenario.send(a, b, 300, 20_000)
  scenario.expectAll()
  deepStrictEqual(scenario.network.checker.longestDatagram, 8_952)
})

test('a path that carries 1,200 bytes and no more costs a few probes', () => {
  const scenario = new Scenario({ parts: [delay(200), mtu(() => 1_200)], commitUs: 1_000 })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b, 300, 20_000)
  ok(scenario.expectAll() < 5 * second)
})

test('a path that becomes narrow under large datagrams is noticed, and rows go on', () => {
  let bytes = 65_507
  const scenario = new Scenario({ parts: [delay(200), mtu(() => bytes)], commitUs: 1_000 })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b, 100, 20_000)
  scenario.expectAll()
  bytes = 1_400
  scenario.send(a, b, 100, 20_000)
  ok(scenario.expectAll() < 10 * second)
  scenario.expectRest()
})

test('a size that the own system rejects is not sent again', () => {
  const scenario = new Scenario({ parts: [delay(200)], commitUs: 1_000 })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  a.host.interfaceBytesMax = 1_472
  scenario.send(a, b, 200, 20_000)
  ok(scenario.expectAll() < 5 * second)
  deepStrictEqual(scenario.network.checker.longestDatagram, 1_452)
  a.host.interfaceBytesMax = 1_300
  scenario.send(a, b, 20, 20_000)
  ok(scenario.expectAll() < 5 * second)
})

test('at 20 Mbit/s, 100 ms and any loss, most of the link carries rows', () => {
  const bytesPerSecond = 2_500_000
  const goals = [
    [0, 0.7],
    [0.1, 0.6],
    [0.3, 0.5],
  ] as const
  for (const [part, goal] of goals) {
    const link = (): WirePart[] => [rate(bytesPerSecond, 250_000), delay(50_000), loss(part)]
    const scenario = new Scenario({ parts: link() })
    const [a, b] = [scenario.add('a'), scenario.add('b')]
    scenario.network.setPath(a.host.address, b.host.address, link())
    scenario.network.setPath(b.host.address, a.host.address, link())
    const bytes = 6 * mebibyte
    scenario.send(a, b, bytes / 8_192, 8_192)
    const takenUs = scenario.expectAll(60 * second)
    const goodput = (bytes * 1e6) / takenUs / (bytesPerSecond * (1 - part))
    ok(goodput >= goal, `${goodput.toFixed(2)} of what ${part} loss leaves`)
  }
})

test('a bulk lane does not starve a small one to the same peer or to another', () => {
  const link = (): WirePart[] => [rate(2_500_000, 250_000), delay(20_000)]
  const keys = [{ name: 'k', secret: new Uint8Array(32) }]
  const scenario = new Scenario()
  const [a, b, c] = [
    scenario.add('a', { keys }),
    scenario.add('b', { keys }),
    scenario.add('c', { keys }),
  ]
  const shared = link()
  for (const { host } of [b, c]) scenario.network.setPath(a.host.address, host.address, shared)
  scenario.send(a, b, 4_000, 10_000)
  scenario.run(2 * second)
  for (const [to, key] of [
    [b, 'k'],
    [c, ''],
  ] as const) {
    const before = scenario.arrived(to)
    const isThere = (): boolean =>
      to.store.inbox.rows.slice(before).some((row) => row.key === key && row.data.length === 100)
    scenario.send(a, to, 1, 100, key)
    const takenUs = scenario.runUntil(isThere, 5 * second)
    ok(takenUs < second / 2, `${takenUs} us while 40 MB are on their way`)
  }
})

test('a thousand lanes to dead hosts cost little, and slow no live one', () => {
  const takes = (dead: number): number => {
    const scenario = new Scenario({ parts: [delay(500)], commitUs: 1_000 })
    const [a, b] = [scenario.add('a'), scenario.add('b')]
    for (let index = 0; index < dead; index++) {
      scenario.names.set(`dead${index}`, [`10.9.${index >> 8}.${index & 255}`])
      scenario.insert(a, `dead${index}`)
    }
    scenario.run(150 * second)
    scenario.send(a, b, 400, 10_000)
    const takenUs = scenario.expectArrival(b, 400)
    const { counts } = scenario.network.checker
    const before = counts.hello1
    const ticks = a.host.ticks
    scenario.run(30 * second)
    // After 150 s the pauses are some 3 s.
    ok(counts.hello1 - before <= dead * 13, `${counts.hello1 - before} HELLO1 in 30 s`)
    ok(a.host.ticks - ticks <= 2 * dead * 13 + 100, `${a.host.ticks - ticks} ticks`)
    return takenUs
  }
  const [alone, bufferFull] = [takes(0), takes(1_000)]
  ok(bufferFull <= alone / 0.9, `${bufferFull} us, alone ${alone} us`)
})

test('a session is renewed after an hour, while rows flow, and nobody notices', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  const { counts } = scenario.network.checker
  for (let atUs = 0; atUs < 2.5 * renewAfterUs; atUs += 30 * second) {
    scenario.send(a, b)
    scenario.run(30 * second)
  }
  deepStrictEqual(counts.hello1, 3)
  scenario.expectAll()
  scenario.expectRest()
})

test('a session is renewed after so many packets, in the middle of a transfer', () => {
  const scenario = new Scenario({ parts: [delay(5_000), loss(0.02), mtu(() => 1_200)] })
  const a = scenario.add('a', { renewAfterPackets: 300 })
  const b = scenario.add('b')
  scenario.send(a, b, 3_000, 1_000)
  scenario.expectAll()
  const { counts } = scenario.network.checker
  ok(counts.hello1 >= 5 && counts.hello1 <= 25, `${counts.hello1} handshakes`)
  scenario.expectRest()
  // Those of every session are reported.
  const { packets, lost } = a.store.outbox.traffic
  ok(packets >= 2_500 && lost >= 20, `${packets} packets, ${lost} lost`)
})

test('keys that cannot be renewed are not worn out: the session ends before', () => {
  let isOpen = true
  const isHello = ({ bytes }: { readonly bytes: Uint8Array }): boolean =>
    decodePacket(bytes)?.type === 'hello1'
  const scenario = new Scenario({
    parts: [delay(5_000), filter((datagram) => isOpen || !isHello(datagram))],
  })
  const a = scenario.add('a', { renewAfterPackets: 100 })
  const b = scenario.add('b')
  scenario.send(a, b)
  scenario.expectAll()
  isOpen = false
  scenario.send(a, b, 3_000, 1_000)
  scenario.run(20 * second)
  ok(a.store.outbox.rowsLeft > 0)
  ok(scenario.network.checker.counts.data < 100 * 3 * 2 + 50)
  isOpen = true
  scenario.expectAll()
})

test('an open session with nothing to do has no turn, but for its end', () => {
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b, 100)
  scenario.expectAll()
  scenario.run(8 * second)
  const before = a.host.ticks + b.host.ticks
  scenario.run(40 * second)
  ok(a.host.ticks + b.host.ticks - before <= 2)
})

test('a peer whose disk is full for an hour is asked every four seconds, and then gets all', () => {
  let isOpen = false
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b)
  scenario.expectAll()
  // Its store answers nothing: what it says of its stream stays the same.
  b.host.holdStore(() => !isOpen)
  scenario.send(a, b, 300, 10_000)
  scenario.run(60 * second)
  const { counts } = scenario.network.checker
  const before = counts.data
  scenario.run(3_500 * second)
  const perSecond = (counts.data - before) / 3_500
  ok(perSecond < 1, `${perSecond} packets a second`)
  isOpen = true
  b.host.look()
  ok(scenario.expectAll() < 10 * second)
})

test('a link of 64 kbit/s with a second of delay carries rows in both directions', () => {
  const link = (): WirePart[] => [rate(8_000, 16_000), delay(500_000), loss(0.05)]
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.network.setPath(a.host.address, b.host.address, link())
  scenario.network.setPath(b.host.address, a.host.address, link())
  scenario.send(a, b, 20, 500)
  scenario.send(b, a, 20, 500)
  scenario.expectAll(60 * second)
  scenario.expectRest()
})

test('a link that is up for a second in ten carries rows', () => {
  const parts = [delay(20_000), gate((nowUs) => nowUs % (10 * second) < second)]
  const scenario = new Scenario({ parts })
  const [a, b] = [scenario.add('a'), scenario.add('b')]
  scenario.send(a, b, 500, 1_000)
  scenario.expectAll(120 * second)
})
