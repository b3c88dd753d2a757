import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { Connector } from './connector.ts'
import { respond } from './handshake.ts'
import {
  addressesPerNameMax,
  ephemeralUs,
  helloGridUs,
  helloPauseMaxUs,
  helloQuietEveryUs,
  helloQuietUs,
  hintPauseUs,
  resolveTimeoutUs,
} from './limits.ts'
import type { Address, Output } from './node-io.ts'
import type { Hello2 } from './packet.ts'
import { decodePacket, toConnectionId } from './packet.ts'
import { PeerAddresses } from './peer-addresses.ts'
import { seededEnvironment } from './testing/seeded-environment.ts'

const port = 9000

function noOwn(): PeerAddresses {
  return new PeerAddresses(() => false)
}

function connectorAt(
  nowUs: number,
  { addresses = noOwn(), environment = seededEnvironment(2), pauseUs = 0 } = {},
): Connector {
  const options = { port, key: undefined, environment, addresses, outageSinceUs: nowUs, pauseUs }
  return new Connector({ ...options, isHeard: () => false }, nowUs)
}

function resolved(...ips: readonly string[]): Connector {
  const connector = connectorAt(0)
  connector.takeLookUp(0)
  connector.onResolved(ips, '', 0)
  return connector
}

function at(ip: string): Address {
  return { ip, port }
}

function ipsOf(outputs: readonly Output[]): string[] {
  return outputs.flatMap((output) => (output.type === 'send' ? [output.to.ip] : []))
}

test('the name is looked up first, once, and again when no answer comes', () => {
  const connector = connectorAt(0)
  deepStrictEqual([connector.takeLookUp(0), connector.takeLookUp(0)], [true, false])
  deepStrictEqual(connector.takeHellos(0), [])
  deepStrictEqual(connector.deadlineUs(), resolveTimeoutUs)
  deepStrictEqual(connector.takeLookUp(resolveTimeoutUs), true)
})

test('HELLO1 goes to each address at once, the same bytes, and again after a pause', () => {
  const connector = resolved('10.0.0.1', 'fd00::1')
  const first = connector.takeHellos(0)
  deepStrictEqual(ipsOf(first), ['10.0.0.1', 'fd00::1'])
  deepStrictEqual(connector.takeHellos(0), [])
  const atUs = connector.deadlineUs()
  ok(atUs >= 400_000 && atUs <= 500_000)
  deepStrictEqual(connector.takeHellos(atUs), first)
})

test('P12: greetings share a grid, and none comes later than the longest pause', () => {
  // Without jitter every pause is the longest, and a timer that fires late leaves the grid.
  const environment = { ...seededEnvironment(2), randomBytes: (n: number) => new Uint8Array(n) }
  const connector = connectorAt(0, { environment })
  let [dueUs, lastUs, hellos] = [0, 0, 0]
  const quiet: number[] = []
  while (dueUs < 100 * helloPauseMaxUs) {
    const nowUs = dueUs + 1_234
    if (connector.takeLookUp(nowUs)) connector.onResolved(['10.0.0.1'], '', nowUs)
    if (connector.takeHellos(nowUs).length > 0) {
      deepStrictEqual(dueUs % helloGridUs, 0)
      const pauseUs = dueUs - lastUs
      // Once in ten minutes a stale flow is left alone until it is forgotten.
      if (pauseUs > helloPauseMaxUs) quiet.push(lastUs)
      ok(pauseUs <= helloQuietUs + 2_000_000, `a pause of ${pauseUs} µs`)
      lastUs = nowUs
      hellos++
    }
    dueUs = connector.deadlineUs()
  }
  ok(hellos > 100)
  const rounds = quiet.map((atUs) => Math.round(atUs / helloQuietEveryUs))
  deepStrictEqual(rounds, [3, 4])
})

/** The answer to one of these HELLO1s. */
function answerTo(outputs: readonly Output[], which = 0): Hello2 {
  const output = outputs[which]
  const hello1 = output?.type === 'send' ? decodePacket(output.bytes) : undefined
  ok(hello1?.type === 'hello1')
  const environment = seededEnvironment(3)
  const cid = toConnectionId(environment.randomBytes(8))
  const hello2 = decodePacket(respond(environment, hello1, cid, undefined)?.hello2 ?? hello1.noise)
  ok(hello2?.type === 'hello2')
  return hello2
}

test('the answer to the only HELLO1 tells the round trip; with two it is not known', () => {
  const once = resolved('10.0.0.1')
  const hello2 = answerTo(once.takeHellos(0))
  deepStrictEqual(once.onHello2(hello2, 30_000)?.handshakeUs, 30_000)
  const twice = resolved('10.0.0.1')
  twice.takeHellos(0)
  const late = answerTo(twice.takeHellos(twice.deadlineUs()))
  deepStrictEqual(twice.onHello2(late, twice.deadlineUs())?.handshakeUs, undefined)
})

test('the session goes to the address whose HELLO1 was answered', () => {
  for (const [which, ip] of ['10.0.0.1', 'fd00::1'].entries()) {
    const connector = resolved('10.0.0.1', 'fd00::1')
    const hello2 = answerTo(connector.takeHellos(0), which)
    deepStrictEqual(connector.onHello2(hello2, 1_000)?.peer, { ip, port })
  }
})

test('HELLO1s go to at most four addresses of a name at once, and to every one in turn', () => {
  const ips = ['1', '2', '3', '4', '5'].map((last) => `10.0.0.${last}`)
  const connector = resolved(...ips)
  deepStrictEqual(ipsOf(connector.takeHellos(0)), ips.slice(0, addressesPerNameMax))
  connector.onResolved(ips.toReversed(), '', 1_000)
  deepStrictEqual(connector.takeHellos(1_000), [])
  deepStrictEqual(ipsOf(connector.takeHellos(connector.deadlineUs()))[0], '10.0.0.5')
})

test('after sessions without progress the first HELLO1 waits, but for a hint', () => {
  const connector = connectorAt(0, { pauseUs: 5_000_000 })
  connector.takeLookUp(0)
  connector.onResolved(['10.0.0.1'], '', 1_000)
  deepStrictEqual(connector.takeHellos(4_999_999), [])
  deepStrictEqual(connector.deadlineUs(), 5_000_000)
  deepStrictEqual(ipsOf(connector.takeHellos(5_000_000)), ['10.0.0.1'])
  const hinted = connectorAt(0, { pauseUs: 5_000_000 })
  hinted.onResolved(['10.0.0.1'], '', 1_000)
  hinted.onHint(2_000)
  deepStrictEqual(ipsOf(hinted.takeHellos(2_000)), ['10.0.0.1'])
})

test('HELLO1s that come back are spoken of when none is answered', () => {
  const connector = resolved('10.0.0.1')
  const codes: unknown[] = []
  for (const isEcho of [true, true, true, true, false, false]) {
    const nowUs = connector.deadlineUs()
    if (connector.takeLookUp(nowUs)) connector.onResolved(['10.0.0.1'], '', nowUs)
    connector.takeHellos(nowUs)
    codes.push(connector.trouble()?.code)
    if (isEcho) connector.onEcho()
  }
  const [loop, silent] = ['TINYMQ_SELF_LOOP', 'TINYMQ_NO_ANSWER']
  deepStrictEqual(codes, [undefined, undefined, silent, loop, loop, silent])
})

test('a new address is greeted at once, a known one when it is time', () => {
  const connector = resolved('10.0.0.1')
  connector.takeHellos(0)
  connector.onResolved(['10.0.0.1'], '', 1_000)
  deepStrictEqual(connector.takeHellos(1_000), [])
  connector.onResolved(['10.0.0.2'], '', 2_000)
  deepStrictEqual(ipsOf(connector.takeHellos(2_000)), ['10.0.0.2'])
  deepStrictEqual(connector.greets({ ip: '10.0.0.2', port }), true)
  deepStrictEqual(connector.greets({ ip: '10.0.0.1', port }), false)
  deepStrictEqual(connector.greets({ ip: '10.0.0.2', port: 1 }), false)
})

test('in an outage the name is looked up a moment before each HELLO1, not more often', () => {
  const connector = resolved('10.0.0.1')
  const [lookUps, hellos]: [number[], number[]] = [[], []]
  for (let nowUs = connector.deadlineUs(); nowUs < 3e9; nowUs = connector.deadlineUs()) {
    if (connector.takeLookUp(nowUs)) {
      lookUps.push(nowUs)
      connector.onResolved(['10.0.0.1'], '', nowUs + 2_000)
    }
    if (connector.takeHellos(nowUs).length > 0) hellos.push(nowUs)
  }
  const late = lookUps.filter((atUs) => atUs > 1e9)
  ok(late.length <= hellos.filter((atUs) => atUs > 1e9).length + 1)
  const ahead = late.map((atUs) => (hellos.find((helloUs) => helloUs >= atUs) ?? Infinity) - atUs)
  ok(
    ahead.slice(0, -1).every((us) => us > 0 && us <= 200_000),
    ahead.join(),
  )
})

test('a name server that fails is told of, and the last known addresses stay in use', () => {
  const connector = resolved('10.0.0.1')
  connector.takeHellos(0)
  connector.onResolved([], 'server out of reach', 1_000)
  deepStrictEqual(connector.trouble()?.code, 'TINYMQ_UNRESOLVED')
  deepStrictEqual(ipsOf(connector.takeHellos(2_000_000)), ['10.0.0.1'])
  connector.onResolved(['10.0.0.1'], '', 3_000_000)
  deepStrictEqual(connector.trouble(), undefined)
})

test('the addresses from before are greeted when the name cannot be looked up, only then', () => {
  const addresses = noOwn()
  addresses.onResolved(['10.0.0.9'])
  const connector = connectorAt(0, { addresses })
  deepStrictEqual(connector.takeHellos(0), [])
  connector.onResolved([], 'server out of reach', 1_000)
  deepStrictEqual(ipsOf(connector.takeHellos(1_000)), ['10.0.0.9'])
  connector.onResolved(['10.0.0.1'], '', 2_000)
  deepStrictEqual(ipsOf(connector.takeHellos(2_000)), ['10.0.0.1'])
})

test('trouble is spoken of from the third HELLO1 on', () => {
  const connector = resolved('10.0.0.1')
  const codes = [0, 1, 2].map((index) => {
    connector.takeHellos(index * 2_000_000)
    return connector.trouble()?.code
  })
  deepStrictEqual(codes, [undefined, undefined, 'TINYMQ_NO_ANSWER'])
  connector.onVersions(Uint8Array.of(2, 3))
  deepStrictEqual(connector.trouble()?.code, 'TINYMQ_VERSION')
})

test('VERSIONS with the version of the HELLO1 is ignored', () => {
  const connector = resolved('10.0.0.1')
  connector.takeHellos(0)
  connector.onVersions(Uint8Array.of(2, 1))
  deepStrictEqual(connector.trouble(), undefined)
})

test('a hint makes it try at once, with a look-up, at most once a second', () => {
  const connector = resolved('10.0.0.1')
  connector.takeHellos(0)
  connector.onHint(1_000)
  deepStrictEqual([connector.takeLookUp(1_000), connector.takeHellos(1_000).length], [true, 1])
  connector.onHint(1_000 + hintPauseUs - 1)
  deepStrictEqual(connector.takeHellos(100_000), [])
  connector.onHint(1_000 + hintPauseUs)
  deepStrictEqual(connector.takeHellos(1_000 + hintPauseUs).length, 1)
})

test('a RETRY makes it greet that address at once with the cookie, once', () => {
  const connector = resolved('10.0.0.1', '10.0.0.2')
  connector.takeHellos(0)
  const [, scid] = connector.scids
  ok(scid !== undefined)
  const outputs = connector.onRetry(scid, new Uint8Array(16).fill(3), 1_000)
  deepStrictEqual(ipsOf(outputs), ['10.0.0.2'])
  const [output] = outputs
  const packet = output?.type === 'send' ? decodePacket(output.bytes) : undefined
  deepStrictEqual(packet?.type === 'hello1' && packet.cookie, new Uint8Array(16).fill(3))
  deepStrictEqual(connector.onRetry(scid, new Uint8Array(16).fill(4), 2_000), [])
  deepStrictEqual(connector.takeHellos(2_000), [])
})

test('after a minute the handshake is another one', () => {
  const connector = resolved('10.0.0.1')
  const [first] = connector.takeHellos(0)
  const [second] = connector.takeHellos(ephemeralUs + 1)
  const packets = [first, second].map((output) =>
    output?.type === 'send' ? decodePacket(output.bytes) : undefined,
  )
  const [one, other] = packets
  ok(one?.type === 'hello1' && other?.type === 'hello1')
  ok(one.scid !== other.scid)
  deepStrictEqual(connector.scids, [other.scid])
  ok(one.noise[0] !== other.noise[0] || one.noise[1] !== other.noise[1])
})

test('what the system does not send is reported as such, for as long as it sends nothing', () => {
  const connector = resolved('fd00::1', '10.0.0.1')
  const troubleAfter = (rounds: number, ...unsent: readonly string[]): string => {
    for (let round = 0; round < rounds; round++) {
      const atUs = connector.deadlineUs()
      if (connector.takeLookUp(atUs)) connector.onResolved(['fd00::1', '10.0.0.1'], '', atUs)
      if (connector.takeHellos(atUs).length === 0) round--
      else for (const ip of unsent) connector.onUnsent(at(ip), 'it has no route there')
    }
    return connector.trouble()?.code ?? ''
  }
  deepStrictEqual(troubleAfter(20, 'fd00::1'), 'TINYMQ_NO_ANSWER')
  // For longer than one handshake is repeated.
  for (let round = 0; round < 100; round++) {
    const code = troubleAfter(1, 'fd00::1', '10.0.0.1')
    deepStrictEqual(code, 'TINYMQ_NOT_SENT')
  }
  const reason =
    'this machine sends nothing to fd00::1 and 10.0.0.1 port 9000: it has no route there'
  deepStrictEqual(connector.trouble()?.reason, reason)
  deepStrictEqual(troubleAfter(5), 'TINYMQ_NO_ANSWER')
})
