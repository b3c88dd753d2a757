import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { HandshakeInitiator } from './handshake-initiator.ts'
import { respond } from '../crypto/handshake.ts'
import {
  addressesPerNameMax,
  ephemeralUs,
  helloGridUs,
  handshakeBackoffMaxUs,
  helloQuietEveryUs,
  helloQuietUs,
  hintPauseUs,
  resolveSoonUs,
  resolveTimeoutUs,
} from '../constants.ts'
import type { Address, Output } from '../io.ts'
import { decodePacket, type Hello2, toConnectionId } from '../codec/packet.ts'
import { PeerAddresses } from './route.ts'
import { seededEnvironment } from '../../../test/support/seeded-environment.ts'

const port = 9000

function noOwn(): PeerAddresses {
  return new PeerAddresses(() => false)
}

function initiatorAt(
  nowUs: number,
  { addresses = noOwn(), environment = seededEnvironment(2), pauseUs = 0 } = {},
): HandshakeInitiator {
  const options = { port, key: undefined, environment, addresses, outageSinceUs: nowUs, pauseUs }
  return new HandshakeInitiator({ ...options, isHeard: () => false }, nowUs)
}

function resolved(...ips: readonly string[]): HandshakeInitiator {
  const initiator = initiatorAt(0)
  initiator.takeLookUp(0)
  initiator.onResolved(ips, '', 0)
  return initiator
}

function at(ip: string): Address {
  return { ip, port }
}

function ipsOf(outputs: readonly Output[]): string[] {
  return outputs.flatMap((output) => (output.type === 'send' ? [output.to.ip] : []))
}

test('the name is looked up first, once, and again when no answer comes', () => {
  const initiator = initiatorAt(0)
  deepStrictEqual([initiator.takeLookUp(0), initiator.takeLookUp(0)], [true, false])
  deepStrictEqual(initiator.takeHellos(0), [])
  deepStrictEqual(initiator.deadlineUs(), resolveTimeoutUs)
  deepStrictEqual(initiator.takeLookUp(resolveTimeoutUs), true)
})

test('HELLO1 goes to each address at once, the same bytes, and again after a pause', () => {
  const initiator = resolved('10.0.0.1', 'fd00::1')
  const first = initiator.takeHellos(0)
  deepStrictEqual(ipsOf(first), ['10.0.0.1', 'fd00::1'])
  deepStrictEqual(initiator.takeHellos(0), [])
  const atUs = initiator.deadlineUs()
  ok(atUs >= 180_000 && atUs <= 250_000)
  deepStrictEqual(initiator.takeHellos(atUs), first)
})

test('P12: handshakes share a grid, and none comes later than the longest pause', () => {
  // Without jitter every pause is the longest, and a timer that fires late leaves the grid.
  const environment = { ...seededEnvironment(2), randomBytes: (n: number) => new Uint8Array(n) }
  const initiator = initiatorAt(0, { environment })
  let [dueUs, lastUs, hellos] = [0, 0, 0]
  const quiet: number[] = []
  while (dueUs < 100 * handshakeBackoffMaxUs) {
    const nowUs = dueUs + 1_234
    if (initiator.takeLookUp(nowUs)) initiator.onResolved(['10.0.0.1'], '', nowUs)
    if (initiator.takeHellos(nowUs).length > 0) {
      deepStrictEqual(dueUs % helloGridUs, 0)
      const pauseUs = dueUs - lastUs
      // Once in ten minutes a stale flow is left alone until it is forgotten.
      if (pauseUs > handshakeBackoffMaxUs) quiet.push(lastUs)
      ok(pauseUs <= helloQuietUs + 2_000_000, `a pause of ${pauseUs} µs`)
      lastUs = nowUs
      hellos++
    }
    dueUs = initiator.deadlineUs()
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

test('the answer to the only HELLO1 shows the round trip; with two it is likely', () => {
  const once = resolved('10.0.0.1')
  const hello2 = answerTo(once.takeHellos(0))
  deepStrictEqual(once.onHello2(hello2, 30_000)?.handshakeUs, 30_000)
  const twice = resolved('10.0.0.1')
  twice.takeHellos(0)
  const secondUs = twice.deadlineUs()
  const late = answerTo(twice.takeHellos(secondUs))
  deepStrictEqual(twice.onHello2(late, secondUs + 60_000)?.handshakeUs, 60_000)
  // So soon it may answer the first, and so late anything.
  for (const afterUs of [40_000, 20_000_000]) {
    const thrice = resolved('10.0.0.1')
    thrice.takeHellos(0)
    const unclear = answerTo(thrice.takeHellos(secondUs))
    deepStrictEqual(thrice.onHello2(unclear, secondUs + afterUs)?.handshakeUs, undefined)
  }
})

test('P10: an answer is our own only if each HELLO1 left when the name led here', () => {
  for (const isOwnAtRepeat of [true, false]) {
    let isOwn = true
    const initiator = initiatorAt(0, { addresses: new PeerAddresses(() => isOwn) })
    initiator.takeLookUp(0)
    initiator.onResolved(['10.0.0.1'], '', 0)
    const hello2 = answerTo(initiator.takeHellos(0))
    isOwn = isOwnAtRepeat
    // Another machine, a copy perhaps, may have the address by now.
    initiator.takeHellos(initiator.deadlineUs())
    isOwn = false
    deepStrictEqual(initiator.onHello2(hello2, 1_000_000)?.ledHere, isOwnAtRepeat)
  }
})

test('the session goes to the address whose HELLO1 was answered', () => {
  for (const [which, ip] of ['10.0.0.1', 'fd00::1'].entries()) {
    const initiator = resolved('10.0.0.1', 'fd00::1')
    const hello2 = answerTo(initiator.takeHellos(0), which)
    deepStrictEqual(initiator.onHello2(hello2, 1_000)?.peer, { ip, port })
  }
})

test('HELLO1s go to at most four addresses of a name at once, and to every one in turn', () => {
  const ips = ['1', '2', '3', '4', '5'].map((last) => `10.0.0.${last}`)
  const initiator = resolved(...ips)
  deepStrictEqual(ipsOf(initiator.takeHellos(0)), ips.slice(0, addressesPerNameMax))
  initiator.onResolved(ips.toReversed(), '', 1_000)
  deepStrictEqual(initiator.takeHellos(1_000), [])
  deepStrictEqual(ipsOf(initiator.takeHellos(initiator.deadlineUs()))[0], '10.0.0.5')
})

test('after sessions without progress the first HELLO1 waits, but for a hint', () => {
  const initiator = initiatorAt(0, { pauseUs: 5_000_000 })
  initiator.takeLookUp(0)
  initiator.onResolved(['10.0.0.1'], '', 1_000)
  deepStrictEqual(initiator.takeHellos(4_999_999), [])
  // What the first look-up said may be two seconds old.
  deepStrictEqual(initiator.deadlineUs(), 1_000 + resolveSoonUs)
  deepStrictEqual(initiator.takeLookUp(1_000 + resolveSoonUs), true)
  initiator.onResolved(['10.0.0.1'], '', 1_000 + resolveSoonUs)
  deepStrictEqual(initiator.deadlineUs(), 5_000_000)
  deepStrictEqual(ipsOf(initiator.takeHellos(5_000_000)), ['10.0.0.1'])
  const hinted = initiatorAt(0, { pauseUs: 5_000_000 })
  hinted.onResolved(['10.0.0.1'], '', 1_000)
  hinted.onHint(2_000)
  deepStrictEqual(ipsOf(hinted.takeHellos(2_000)), ['10.0.0.1'])
})

test('HELLO1s that come back are spoken of when none is answered', () => {
  const initiator = resolved('10.0.0.1')
  const codes: unknown[] = []
  for (const isEcho of [true, true, true, true, false, false]) {
    for (let hellos = 0; hellos === 0;) {
      const nowUs = initiator.deadlineUs()
      if (initiator.takeLookUp(nowUs)) initiator.onResolved(['10.0.0.1'], '', nowUs)
      hellos = initiator.takeHellos(nowUs).length
    }
    codes.push(initiator.trouble()?.code)
    if (isEcho) initiator.onEcho()
  }
  const [loop, silent] = ['TINYMQ_SELF_LOOP', 'TINYMQ_NO_ANSWER']
  deepStrictEqual(codes, [undefined, undefined, silent, loop, loop, silent])
})

test('a new address is contacted at once, a known one when it is time', () => {
  const initiator = resolved('10.0.0.1')
  initiator.takeHellos(0)
  initiator.onResolved(['10.0.0.1'], '', 1_000)
  deepStrictEqual(initiator.takeHellos(1_000), [])
  initiator.onResolved(['10.0.0.2'], '', 2_000)
  deepStrictEqual(ipsOf(initiator.takeHellos(2_000)), ['10.0.0.2'])
  deepStrictEqual(initiator.sendsHello({ ip: '10.0.0.2', port }), true)
  deepStrictEqual(initiator.sendsHello({ ip: '10.0.0.1', port }), false)
  deepStrictEqual(initiator.sendsHello({ ip: '10.0.0.2', port: 1 }), false)
})

test('in an outage the name is looked up a moment before each HELLO1, not more often', () => {
  const initiator = resolved('10.0.0.1')
  const [lookUps, hellos]: [number[], number[]] = [[], []]
  for (let nowUs = initiator.deadlineUs(); nowUs < 3e9; nowUs = initiator.deadlineUs()) {
    if (initiator.takeLookUp(nowUs)) {
      lookUps.push(nowUs)
      initiator.onResolved(['10.0.0.1'], '', nowUs + 2_000)
    }
    if (initiator.takeHellos(nowUs).length > 0) hellos.push(nowUs)
  }
  const late = lookUps.filter((atUs) => atUs > 1e9)
  ok(late.length <= hellos.filter((atUs) => atUs > 1e9).length + 1)
  const ahead = late.map((atUs) => (hellos.find((helloUs) => helloUs >= atUs) ?? Infinity) - atUs)
  ok(
    ahead.slice(0, -1).every((us) => us > 0 && us <= 200_000),
    ahead.join(),
  )
})

test('a name server that fails is reported, and the last known addresses stay in use', () => {
  const initiator = resolved('10.0.0.1')
  initiator.takeHellos(0)
  initiator.onResolved([], 'server out of reach', 1_000)
  deepStrictEqual(initiator.trouble()?.code, 'TINYMQ_UNRESOLVED')
  deepStrictEqual(ipsOf(initiator.takeHellos(2_000_000)), ['10.0.0.1'])
  initiator.onResolved(['10.0.0.1'], '', 3_000_000)
  deepStrictEqual(initiator.trouble(), undefined)
})

test('the addresses from before are contacted when the name cannot be looked up, only then', () => {
  const addresses = noOwn()
  addresses.onResolved(['10.0.0.9'])
  const initiator = initiatorAt(0, { addresses })
  deepStrictEqual(initiator.takeHellos(0), [])
  initiator.onResolved([], 'server out of reach', 1_000)
  deepStrictEqual(ipsOf(initiator.takeHellos(1_000)), ['10.0.0.9'])
  initiator.onResolved(['10.0.0.1'], '', 2_000)
  deepStrictEqual(ipsOf(initiator.takeHellos(2_000)), ['10.0.0.1'])
})

test('trouble is spoken of from the third HELLO1 on', () => {
  const initiator = resolved('10.0.0.1')
  const codes = [0, 1, 2].map((index) => {
    initiator.takeHellos(index * 2_000_000)
    return initiator.trouble()?.code
  })
  deepStrictEqual(codes, [undefined, undefined, 'TINYMQ_NO_ANSWER'])
  initiator.onVersions(Uint8Array.of(2, 3))
  deepStrictEqual(initiator.trouble()?.code, 'TINYMQ_VERSION')
})

test('VERSIONS with the version of the HELLO1 is ignored', () => {
  const initiator = resolved('10.0.0.1')
  initiator.takeHellos(0)
  initiator.onVersions(Uint8Array.of(2, 1))
  deepStrictEqual(initiator.trouble(), undefined)
})

test('a hint makes it try at once, with a look-up, at most once a second', () => {
  const initiator = resolved('10.0.0.1')
  initiator.takeHellos(0)
  initiator.onHint(1_000)
  deepStrictEqual([initiator.takeLookUp(1_000), initiator.takeHellos(1_000).length], [true, 1])
  initiator.onHint(1_000 + hintPauseUs - 1)
  deepStrictEqual(initiator.takeHellos(100_000), [])
  initiator.onHint(1_000 + hintPauseUs)
  deepStrictEqual(initiator.takeHellos(1_000 + hintPauseUs).length, 1)
})

test('a RETRY makes it contact that address at once with the cookie, once', () => {
  const initiator = resolved('10.0.0.1', '10.0.0.2')
  initiator.takeHellos(0)
  const [, scid] = initiator.scids
  ok(scid !== undefined)
  const outputs = initiator.onRetry(scid, new Uint8Array(16).fill(3), 1_000)
  deepStrictEqual(ipsOf(outputs), ['10.0.0.2'])
  const [output] = outputs
  const packet = output?.type === 'send' ? decodePacket(output.bytes) : undefined
  deepStrictEqual(packet?.type === 'hello1' && packet.cookie, new Uint8Array(16).fill(3))
  deepStrictEqual(initiator.onRetry(scid, new Uint8Array(16).fill(4), 2_000), [])
  deepStrictEqual(initiator.takeHellos(2_000), [])
})

test('after a minute the handshake is another one', () => {
  const initiator = resolved('10.0.0.1')
  const [first] = initiator.takeHellos(0)
  const [second] = initiator.takeHellos(ephemeralUs + 1)
  const packets = [first, second].map((output) =>
    output?.type === 'send' ? decodePacket(output.bytes) : undefined,
  )
  const [one, other] = packets
  ok(one?.type === 'hello1' && other?.type === 'hello1')
  ok(one.scid !== other.scid)
  deepStrictEqual(initiator.scids, [other.scid])
  ok(one.noise[0] !== other.noise[0] || one.noise[1] !== other.noise[1])
})

test('what the system does not send is reported as such, for as long as it sends nothing', () => {
  const initiator = resolved('fd00::1', '10.0.0.1')
  const troubleAfter = (rounds: number, ...unsent: readonly string[]): string => {
    for (let round = 0; round < rounds; round++) {
      const atUs = initiator.deadlineUs()
      if (initiator.takeLookUp(atUs)) initiator.onResolved(['fd00::1', '10.0.0.1'], '', atUs)
      if (initiator.takeHellos(atUs).length === 0) round--
      else for (const ip of unsent) initiator.onUnsent(at(ip), 'it has no route there')
    }
    return initiator.trouble()?.code ?? ''
  }
  deepStrictEqual(troubleAfter(20, 'fd00::1'), 'TINYMQ_NO_ANSWER')
  // For longer than one handshake is repeated.
  for (let round = 0; round < 100; round++) {
    const code = troubleAfter(1, 'fd00::1', '10.0.0.1')
    deepStrictEqual(code, 'TINYMQ_NOT_SENT')
  }
  const reason =
    'this machine sends nothing to fd00::1 and 10.0.0.1 port 9000: it has no route there'
  deepStrictEqual(initiator.trouble()?.reason, reason)
  deepStrictEqual(troubleAfter(5), 'TINYMQ_NO_ANSWER')
})
