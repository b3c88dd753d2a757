import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { assert as always, array, integer, property } from 'fast-check'
import { MtuDiscovery } from './mtu-discovery.ts'
import {
  blackHoleCooldownUs,
  blackHoleLosses,
  datagramBytesMin,
  datagramBytesNarrow,
  datagramSizes,
  mtuProbeTries,
  mtuReprobeUs,
} from './constants.ts'

/** Sends every probe that is due over a path that carries `pathBytes`; returns the sizes tried. */
function search(mtu: MtuDiscovery, pathBytes: number, nowUs = 0): number[] {
  const tried: number[] = []
  for (let bytes = mtu.nextProbe(nowUs); bytes !== undefined; bytes = mtu.nextProbe(nowUs)) {
    tried.push(bytes)
    mtu.onProbeSent(bytes)
    if (bytes <= pathBytes) mtu.onProbeAcked(bytes)
    else mtu.onProbeLost(bytes, nowUs)
  }
  return tried
}

function mtuOf(pathBytes: number): MtuDiscovery {
  const mtu = new MtuDiscovery(65_507)
  search(mtu, pathBytes)
  return mtu
}

test('it begins with 1,200 bytes', () => {
  deepStrictEqual(new MtuDiscovery(65_507).datagramBytes, 1_200)
})

test('on loopback it climbs to the largest size, one after the other', () => {
  const mtu = new MtuDiscovery(65_507)
  const larger = datagramSizes.filter((bytes) => bytes > datagramBytesMin)
  deepStrictEqual(search(mtu, Infinity), larger)
  deepStrictEqual(mtu.datagramBytes, 61_440)
})

test('a size that fails three times ends the search until 600 s have passed', () => {
  const mtu = new MtuDiscovery(65_507)
  deepStrictEqual(search(mtu, 1_472), [1_452, 4_096, 4_096, 4_096])
  deepStrictEqual(mtu.datagramBytes, 1_452)
  deepStrictEqual(mtu.nextProbe(mtuReprobeUs - 1), undefined)
  deepStrictEqual(search(mtu, 9_000, mtuReprobeUs), [4_096, 8_952, 16_384, 16_384, 16_384])
})

test('after a session that nothing passed it begins with 508 bytes, and climbs', () => {
  const mtu = new MtuDiscovery(0, datagramBytesNarrow)
  deepStrictEqual(search(mtu, 1_172), [1_024, 1_200, 1_200, 1_200])
  deepStrictEqual(mtu.datagramBytes, 1_024)
  const wide = new MtuDiscovery(0, datagramBytesNarrow)
  deepStrictEqual(search(wide, 1_472), [1_024, 1_200])
  wide.onPeerBytesMax(65_507)
  deepStrictEqual(search(wide, 1_472), [1_452, 4_096, 4_096, 4_096])
})

test('what the system does not send lowers the size, to 508 bytes and no further', () => {
  const mtu = new MtuDiscovery(65_507)
  mtu.onMessageTooLong(1_200, 0)
  deepStrictEqual(mtu.datagramBytes, 1_024)
  mtu.onMessageTooLong(400, 0)
  deepStrictEqual(mtu.datagramBytes, datagramBytesNarrow)
})

test('one probe is under way at a time', () => {
  const mtu = new MtuDiscovery(65_507)
  mtu.onProbeSent(1_452)
  deepStrictEqual(mtu.nextProbe(0), undefined)
})

test('a probe that comes after it was taken for lost shows that its size passes', () => {
  const mtu = new MtuDiscovery(65_507)
  for (let i = 0; i < mtuProbeTries; i++) {
    mtu.onProbeSent(1_452)
    mtu.onProbeLost(1_452, 0)
  }
  deepStrictEqual(mtu.onProbeAcked(1_452), true)
  deepStrictEqual(mtu.datagramBytes, 1_452)
})

test('no size above what the peer takes is tried', () => {
  deepStrictEqual(search(new MtuDiscovery(9_000), Infinity), [1_452, 4_096, 8_952])
  deepStrictEqual(search(new MtuDiscovery(500), Infinity), [])
})

test('a peer that says less later lowers the size', () => {
  const mtu = mtuOf(Infinity)
  deepStrictEqual(mtu.onPeerBytesMax(5_000), true)
  deepStrictEqual(mtu.datagramBytes, 4_096)
})

test('a peer that says less than 1,200 gets 1,200, as from the start', () => {
  for (const bytes of [0, 100, 1_199, 1_200]) {
    const young = new MtuDiscovery(65_507)
    deepStrictEqual(young.onPeerBytesMax(bytes), false)
    deepStrictEqual([young.datagramBytes, young.nextProbe(0)], [1_200, undefined])
    const mtu = mtuOf(Infinity)
    deepStrictEqual(mtu.onPeerBytesMax(bytes), true)
    deepStrictEqual([mtu.datagramBytes, mtu.nextProbe(mtuReprobeUs)], [1_200, undefined])
  }
})

test('a size that the system rejects ends the search, without waiting for the probe’s loss', () => {
  const mtu = mtuOf(0)
  deepStrictEqual(mtu.datagramBytes, 1_200)
  const fresh = new MtuDiscovery(65_507)
  fresh.onProbeSent(1_452)
  deepStrictEqual(fresh.onMessageTooLong(1_452, 0), false)
  deepStrictEqual(fresh.nextProbe(mtuReprobeUs - 1), undefined)
  deepStrictEqual(fresh.nextProbe(mtuReprobeUs), 1_452)
})

test('a size in use that the system rejects is taken back at once', () => {
  const mtu = mtuOf(8_952)
  deepStrictEqual(mtu.onMessageTooLong(8_952, 0), true)
  deepStrictEqual(mtu.datagramBytes, 4_096)
})

test('large packets that vanish while small ones come are a black hole', () => {
  const mtu = mtuOf(1_452)
  for (let i = 1; i < blackHoleLosses; i++) deepStrictEqual(mtu.onPacketLost(1_452, 0), false)
  mtu.onPacketAcked(200)
  deepStrictEqual(mtu.onPacketLost(1_452, 0), true)
  deepStrictEqual(mtu.datagramBytes, datagramBytesMin)
  deepStrictEqual(mtu.nextProbe(blackHoleCooldownUs - 1), undefined)
  deepStrictEqual(mtu.nextProbe(blackHoleCooldownUs), 1_452)
})

test('packets that vanish while nothing comes are an outage, not a black hole', () => {
  const mtu = mtuOf(1_452)
  mtu.onPacketAcked(200)
  for (let i = 0; i < 100; i++) deepStrictEqual(mtu.onPacketLost(1_452, 0), false)
})

test('one large packet that comes clears the suspicion', () => {
  const mtu = mtuOf(1_452)
  for (let i = 1; i < blackHoleLosses; i++) mtu.onPacketLost(1_452, 0)
  mtu.onPacketAcked(1_452)
  mtu.onPacketAcked(200)
  deepStrictEqual(mtu.onPacketLost(1_452, 0), false)
})

test('two silent probe timeouts take the size back', () => {
  const mtu = mtuOf(61_440)
  deepStrictEqual(mtu.onSilentPtos(1, 0), false)
  deepStrictEqual(mtu.onSilentPtos(2, 0), true)
  deepStrictEqual(mtu.datagramBytes, datagramBytesMin)
})

test('a large packet that comes after all, from a busy peer, restores the size', () => {
  const mtu = mtuOf(61_440)
  mtu.onSilentPtos(2, 0)
  deepStrictEqual(mtu.onPacketAcked(61_440), true)
  deepStrictEqual(mtu.datagramBytes, 61_440)
})

test('whatever happens, the size is one of the list and within the bound of the peer', () => {
  always(
    property(array(integer({ min: 0, max: 8 }), { maxLength: 80 }), (facts) => {
      const mtu = new MtuDiscovery(20_000)
      let nowUs = 0
      for (const fact of facts) {
        nowUs += 20_000_000
        const probe = mtu.nextProbe(nowUs)
        if (fact === 0 && probe !== undefined) mtu.onProbeSent(probe)
        if (fact === 1) mtu.onProbeAcked(probe ?? 61_440)
        if (fact === 2) mtu.onProbeLost(probe ?? 4_096, nowUs)
        if (fact === 3) mtu.onPacketAcked(1_000)
        if (fact === 4) for (let i = 0; i < 6; i++) mtu.onPacketLost(4_096, nowUs)
        if (fact === 5) mtu.onSilentPtos(2, nowUs)
        if (fact === 6) mtu.onMessageTooLong(9_000, nowUs)
        if (fact === 7) mtu.onPacketAcked(60_000)
        if (fact === 8) mtu.onPeerBytesMax(5_000)
        const size = mtu.datagramBytes
        deepStrictEqual([datagramBytesMin, ...datagramSizes].includes(size), true)
        deepStrictEqual(size <= 20_000, true)
      }
    }),
  )
})
