import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { silentForgetUs, silentGiveUpUs } from './constants.ts'
import { decodePacket, encodePacket } from './codec/packet.ts'
import {
  at,
  keyNamed,
  type Machine,
  Scenario,
  type ScenarioOptions,
  second,
} from '../../test/simulator/core/scenario.ts'
import {
  delay,
  filter,
  gate,
  type InTransit,
  loss,
  type WirePart,
} from '../../sdk/testing/wire-parts.ts'

type Two = { readonly scenario: Scenario; readonly a: Machine; readonly b: Machine }

function two(options: ScenarioOptions = {}): Two {
  const scenario = new Scenario(options)
  return { scenario, a: scenario.add('a'), b: scenario.add('b') }
}

/** Two nodes, and a session from the first to the second with nothing to do. */
function connected(options: ScenarioOptions = {}): Two {
  const all = two(options)
  all.scenario.send(all.a, all.b)
  all.scenario.expectAll()
  all.scenario.run(second)
  return all
}

test('what a new session loses at first is sent again soon, not after a second', () => {
  let dropped = 0
  // The first packet after the handshake.
  const first = filter(({ bytes }) => decodePacket(bytes)?.type !== 'data' || dropped++ > 0)
  const { scenario, a, b } = two({ seed: 1, parts: [delay(10_000), first] })
  scenario.send(a, b)
  ok(scenario.expectAll() <= 300_000)
  ok(dropped > 1)
})

test('a stale flow in a firewall is left alone for so long that it is forgotten', () => {
  const { scenario, a, b } = two()
  // The mapping was made before there was a peer: what follows it goes nowhere until it rests.
  let lastUs = 0
  let isStale = true
  const stale: WirePart = filter(() => {
    if (scenario.nowUs - lastUs > 30 * second) isStale = false
    lastUs = scenario.nowUs
    return !isStale
  })
  scenario.network.setUsual([delay(10_000), stale])
  for (let minute = 0; minute < 45; minute++) {
    scenario.send(a, b)
    scenario.run(60 * second)
  }
  scenario.expectAll(30 * second)
})

test('a responder that has restarted says UNKNOWN, and rows flow in a new session at once', () => {
  const { scenario, a, b } = connected()
  b.host.crash()
  b.host.start()
  scenario.send(a, b, 50)
  ok(scenario.expectAll(5 * second) < second / 2)
  deepStrictEqual(scenario.network.checker.counts.unknown > 0, true)
  scenario.expectRest()
})

test('a responder that crashes in the middle of a transfer gets each row once', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const { scenario, a, b } = two({ seed, parts: [delay(5_000), loss(0.05)] })
    scenario.send(a, b, 1_500, 500)
    for (let crashes = 0; crashes < 3; crashes++) {
      scenario.run(scenario.random.below(150_000))
      b.host.crash()
      scenario.run(scenario.random.below(second))
      b.host.start()
    }
    scenario.expectAll(60 * second)
    scenario.expectRest()
  }
})

test('an initiator that crashes in the middle of a transfer sends each row once', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const { scenario, a, b } = two({ seed, parts: [delay(5_000), loss(0.05)] })
    scenario.send(a, b, 1_500, 500)
    for (let crashes = 0; crashes < 3; crashes++) {
      scenario.run(scenario.random.below(150_000))
      a.host.crash()
      scenario.run(scenario.random.below(second))
      a.host.start()
    }
    scenario.expectAll(60 * second)
    scenario.run(silentForgetUs + 10 * second)
    deepStrictEqual([a.store.sessionCount, b.store.sessionCount], [0, 0])
  }
})

test('a forged UNKNOWN costs a living session a handshake at most every 5 s', () => {
  const { scenario, a, b } = connected()
  const { counts } = scenario.network.checker
  const before = counts.hello1
  const [dcid] = dcidsFrom(scenario, a, b)
  for (let index = 0; index < 200; index++) {
    scenario.network.inject(at('10.66.6.6'), a.host.address, Uint8Array.of(0x60, ...(dcid ?? [])))
    scenario.run(50_000)
  }
  scenario.send(a, b)
  scenario.expectAll()
  ok(counts.hello1 - before <= 4, `${counts.hello1 - before} handshakes`)
  scenario.expectRest()
})

/** Connection ids of the sessions in which the next row crosses. */
function dcidsFrom(scenario: Scenario, from: Machine, to: Machine): Uint8Array[] {
  const ids: Uint8Array[] = []
  const watch = filter(({ bytes }) => {
    if (decodePacket(bytes)?.type === 'data') ids.push(bytes.slice(1, 9))
    return true
  })
  scenario.network.setPath(from.host.address, to.host.address, [delay(10_000), watch])
  scenario.send(from, to)
  scenario.expectAll()
  return ids
}

for (const outageUs of [5 * second, 60 * second, 600 * second, 3_600 * second]) {
  test(`a peer that was away for ${outageUs / second} s is found within 2 % of it, or 2 s`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      const { scenario, a, b } = connected({ seed })
      b.host.crash()
      scenario.send(a, b)
      scenario.run(outageUs + scenario.random.below(second))
      b.host.start()
      const foundUs = scenario.expectAll(40 * second)
      ok(foundUs <= Math.max(2 * second, 0.02 * outageUs) + second / 2, `${foundUs} us`)
      ok(foundUs <= 30.5 * second)
    }
  })
}

test('a peer that is never there costs a HELLO1 and a look-up in 30 s in the end', () => {
  const { scenario, a, b } = two()
  b.host.crash()
  scenario.send(a, b)
  scenario.run(3_600 * second)
  const { counts } = scenario.network.checker
  const [hellos, lookUps] = [counts.hello1, a.host.lookUps]
  scenario.run(3_600 * second)
  const [hellosAfter, lookUpsAfter] = [counts.hello1 - hellos, a.host.lookUps - lookUps]
  ok(hellosAfter >= 120 && hellosAfter <= 150, `${hellosAfter} HELLO1`)
  ok(lookUpsAfter <= hellosAfter + 1, `${lookUpsAfter} look-ups`)
})

test('WAKE finds a lane that waits, at once, and a flood of them at most once a second', () => {
  const { scenario, a, b } = two()
  b.host.crash()
  scenario.send(a, b)
  scenario.run(3_600 * second)
  const { counts } = scenario.network.checker
  const before = counts.hello1
  const wake = Uint8Array.of(0x70, ...new Uint8Array(127))
  for (let index = 0; index < 500; index++) {
    scenario.network.inject(b.host.address, a.host.address, wake)
    scenario.network.inject(at('10.66.6.6'), a.host.address, wake)
    scenario.run(10_000)
  }
  const hellos = counts.hello1 - before
  ok(hellos >= 5 && hellos <= 6, `${hellos} HELLO1 in 5 s`)
  scenario.run(10 * second)
  b.host.start()
  b.host.feed({ type: 'wake-peers', addresses: [a.host.address] })
  ok(scenario.expectAll() < second / 5)
})

test('WAKE brings one HELLO1 a second to an address, however many lanes lead there', () => {
  const keys = Array.from({ length: 40 }, (_, index) => keyNamed(`k${index}`, index + 1))
  const scenario = new Scenario()
  const [a, b] = [scenario.add('a', { keys }), scenario.add('b', { keys })]
  b.host.crash()
  for (const { name } of keys) scenario.send(a, b, 1, 100, name)
  scenario.run(3_600 * second)
  const { counts } = scenario.network.checker
  const during = (isWoken: boolean): number => {
    const before = counts.hello1
    for (let index = 0; index < 500; index++) {
      const wake = encodePacket({ type: 'wake' })
      if (isWoken) scenario.network.inject(b.host.address, a.host.address, wake)
      scenario.run(10_000)
    }
    return counts.hello1 - before
  }
  const alone = during(false)
  const woken = during(true)
  // Before, 40 a second: 200 more.
  ok(woken - alone <= 40, `${woken} HELLO1 in 5 s, ${alone} without WAKE`)
  scenario.run(5 * second)
  b.host.start()
  b.host.feed({ type: 'wake-peers', addresses: [a.host.address] })
  ok(scenario.expectAll() < second / 2, 'The first that gets there wakes the others.')
})

test('a peer that sends rows is back: rows for it do not wait any longer', () => {
  const { scenario, a, b } = two()
  b.host.crash()
  scenario.send(a, b)
  scenario.run(600 * second)
  b.host.start()
  scenario.send(b, a)
  ok(scenario.expectAll() < second / 2)
})

test('a lane waits no longer when an operator asks, and when the network has changed', () => {
  for (const how of ['want', 'network'] as const) {
    const { scenario, a, b } = two()
    b.host.crash()
    scenario.send(a, b)
    scenario.run(600 * second)
    b.host.start()
    if (how === 'network') a.host.feed({ type: 'network', ips: [] })
    else a.store.outbox.want({ host: 'b', port: 9000, key: '' })
    a.host.look()
    ok(scenario.expectAll() < second / 5)
  }
})

test('a responder with a new address is found by its name', () => {
  for (const isBusy of [true, false]) {
    const { scenario, a, b } = connected()
    if (isBusy) scenario.send(a, b, 3_000, 500)
    scenario.run(50_000)
    b.host.crash()
    b.host.moveTo(at('10.0.0.77'))
    scenario.names.set('b', ['10.0.0.77'])
    b.host.start()
    scenario.send(a, b)
    const foundUs = scenario.expectAll(30 * second)
    ok(foundUs < 3 * second, `${foundUs} us`)
    scenario.expectRest()
  }
})

test('an initiator behind a NAT that forgets keeps its session', () => {
  const { scenario, a, b } = connected()
  const { counts } = scenario.network.checker
  scenario.send(a, b, 3_000, 500)
  scenario.run(30_000)
  for (let index = 0; index < 5; index++) {
    a.host.moveTo(at(`10.50.0.${index}`))
    scenario.run(30_000)
  }
  scenario.expectAll(10 * second)
  deepStrictEqual(counts.hello1, 1)
})

test('a partition of any length heals, in both directions', () => {
  for (const awayUs of [200_000, 2 * second, 20 * second, 200 * second]) {
    for (let seed = 1; seed <= 3; seed++) {
      let isOpen = true
      const parts = [delay(10_000), gate(() => isOpen), loss(0.05)]
      const { scenario, a, b } = two({ seed, parts })
      scenario.send(a, b, 400, 500)
      scenario.send(b, a, 400, 500)
      scenario.run(scenario.random.below(200_000))
      isOpen = false
      scenario.run(awayUs)
      scenario.send(a, b, 10)
      isOpen = true
      const foundUs = scenario.expectAll(60 * second)
      ok(foundUs < Math.max(10 * second, 0.1 * awayUs), `${foundUs} us after ${awayUs} us`)
      scenario.expectRest()
    }
  }
})

test('where answers do not get through, nothing is duplicated, and all comes when they do', () => {
  let isOpen = true
  const { scenario, a, b } = two()
  scenario.network.setPath(b.host.address, a.host.address, [delay(10_000), gate(() => isOpen)])
  scenario.send(a, b, 10)
  scenario.expectAll()
  isOpen = false
  scenario.send(a, b, 10)
  scenario.run(300 * second)
  deepStrictEqual(scenario.arrived(b), 20)
  ok(a.store.outbox.rowsLeft === 10)
  isOpen = true
  scenario.expectAll(10 * second)
  scenario.expectRest()
})

/** Loses the first `count` datagrams of a responder's session that come after `fromUs`. */
function loseAnswers(fromUs: number, count: number): WirePart {
  let lost = 0
  const isAnswer = ({ bytes }: InTransit): boolean => decodePacket(bytes)?.type === 'data'
  return (datagram, { nowUs }) => {
    const isLost = nowUs >= fromUs && isAnswer(datagram) && lost++ < count
    return isLost ? [] : [datagram]
  }
}

test('a confirm that is lost is asked for', () => {
  // Long commits: the rows are acked long before they are confirmed.
  const { scenario, a, b } = connected({ commitUs: 300_000 })
  let fromUs = Infinity
  const parts: WirePart[] = [
    delay(10_000),
    (datagram, moment) => (moment.nowUs >= fromUs ? lossy(datagram, moment) : [datagram]),
  ]
  const lossy = loseAnswers(0, 3)
  scenario.network.setPath(b.host.address, a.host.address, parts)
  const { counts } = scenario.network.checker
  const before = counts.hello1
  scenario.send(a, b)
  scenario.run(700_000)
  fromUs = scenario.nowUs
  ok(scenario.expectAll(10 * second) < 5 * second)
  deepStrictEqual(counts.hello1, before, 'In the same session.')
})

test('credit that is lost is asked for', () => {
  const { scenario, a, b } = connected()
  const { counts } = scenario.network.checker
  scenario.network.setPath(b.host.address, a.host.address, [
    delay(10_000),
    gate((nowUs) => nowUs % 100_000 < 50_000),
  ])
  // More than the first credit allows.
  scenario.send(a, b, 150, 10_000)
  scenario.expectAll(20 * second)
  deepStrictEqual(counts.hello1, 1, 'In the same session.')
})

test('a session is given up after 15 s without an answer, not before', () => {
  const { scenario, a, b } = connected()
  scenario.run(40 * second)
  b.host.crash()
  scenario.send(a, b)
  scenario.run(silentGiveUpUs - 2 * second)
  deepStrictEqual(a.store.sessionCount, 1)
  scenario.run(10 * second)
  deepStrictEqual(a.store.sessionCount, 0)
})

test('a session that was only slow goes on, without another next to it', () => {
  let isOpen = true
  const { scenario, a, b } = connected({ parts: [delay(10_000), gate(() => isOpen)] })
  scenario.send(a, b)
  isOpen = false
  scenario.run(2 * second)
  isOpen = true
  scenario.expectAll(10 * second)
  scenario.send(a, b, 100)
  scenario.expectAll()
  scenario.expectRest()
})

test('a session of long standing finds its restarted peer as soon as a young one', () => {
  const { scenario, a, b } = connected()
  for (let minutes = 0; minutes < 50; minutes++) {
    scenario.run(55 * second)
    scenario.send(a, b)
    scenario.expectAll()
  }
  b.host.crash()
  scenario.send(a, b)
  scenario.run(3 * second)
  b.host.start()
  // Its first HELLO1 met nobody.
  ok(scenario.expectAll() < 2 * second)
})

test('while no name server answers, the last address serves', () => {
  const { scenario, a, b } = connected()
  b.host.crash()
  scenario.isNameServerUp = false
  scenario.send(a, b)
  scenario.run(100 * second)
  // The resolver has the address still; the core keeps it too when there is no answer at all.
  deepStrictEqual(scenario.trouble(a, 'b'), 'TINYMQ_NO_ANSWER')
  a.host.feed({ type: 'resolved', host: 'b', ips: [], reason: 'no name server answers' })
  scenario.run(10_000)
  deepStrictEqual(scenario.trouble(a, 'b'), 'TINYMQ_UNRESOLVED')
  b.host.start()
  ok(scenario.expectAll() < 4 * second)
})

test('a name that nobody knows is asked for again, and found when it is there', () => {
  const { scenario, a, b } = two()
  scenario.names.delete('b')
  scenario.send(a, b)
  scenario.run(600 * second)
  deepStrictEqual(scenario.trouble(a, 'b'), 'TINYMQ_UNRESOLVED')
  ok(a.host.lookUps < 250, `${a.host.lookUps} look-ups`)
  scenario.names.set('b', [b.host.address.ip])
  ok(scenario.expectAll(40 * second) <= 13 * second)
})

test('of several addresses of a name the one that answers is used', () => {
  const { scenario, a, b } = two()
  scenario.names.set('b', ['10.0.0.91', '10.0.0.92', b.host.address.ip, '10.0.0.93', '10.0.0.94'])
  scenario.send(a, b, 10)
  ok(scenario.expectAll() < second / 5)
  scenario.expectRest()
})

test('a name with more addresses than are used costs no more HELLO1 than another', () => {
  const { scenario, a, b } = two()
  b.host.crash()
  scenario.names.set(
    'b',
    ['1', '2', '3', '4', '5', '6'].map((last) => `10.0.0.9${last}`),
  )
  scenario.send(a, b)
  scenario.run(1_500 * second)
  const { counts } = scenario.network.checker
  const before = counts.hello1
  scenario.run(300 * second)
  ok(counts.hello1 - before <= 4 * 13, `${counts.hello1 - before} HELLO1 in 300 s`)
})
