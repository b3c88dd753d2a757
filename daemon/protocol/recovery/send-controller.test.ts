import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { array, assert as always, integer, nat, property, tuple } from 'fast-check'
import { datagramBytesMin } from './constants.ts'
import { SendController } from './send-controller.ts'

const rttUs = 20_000

/** Sends until nothing more may leave; the contents are the packet numbers. */
function fill(transmission: SendController<number>, nextNumber: number, nowUs: number): number {
  let number = nextNumber
  while (transmission.maySend(nowUs)) {
    transmission.onSent(number, transmission.datagramBytes, number, 'first', nowUs)
    number++
  }
  return number
}

function ackUpTo(transmission: SendController<number>, last: number, nowUs: number): void {
  ok(transmission.onAck([{ first: 0, last }], 0, nowUs) !== undefined)
}

test('it begins with ten packets of 1,200 bytes, and what is acked makes room', () => {
  const transmission = new SendController<number>(0)
  deepStrictEqual(fill(transmission, 0, 0), 10)
  deepStrictEqual(transmission.inFlightPackets, 10)
  deepStrictEqual(transmission.maySend(0), false)
  ackUpTo(transmission, 9, rttUs)
  deepStrictEqual(transmission.inFlightPackets, 0)
  deepStrictEqual(transmission.maySend(rttUs), true)
})

test('what an ack covers is given back, and what it overtakes by far is lost', () => {
  const transmission = new SendController<number>(0)
  fill(transmission, 0, 0)
  const fate = transmission.onAck([{ first: 4, last: 9 }], 0, rttUs)
  deepStrictEqual(fate?.acked.toSorted(), [4, 5, 6, 7, 8, 9])
  deepStrictEqual(fate.lost, [0, 1, 2, 3])
  deepStrictEqual(transmission.inFlightPackets, 0)
})

test('an ack of what was never sent is reported, and changes nothing', () => {
  const transmission = new SendController<number>(0)
  const next = fill(transmission, 0, 0)
  deepStrictEqual(transmission.onAck([{ first: 0, last: next }], 0, rttUs), undefined)
  deepStrictEqual(transmission.inFlightPackets, next)
})

test('silence asks for two probes, again and again, later and later', () => {
  const transmission = new SendController<number>(0)
  fill(transmission, 0, 0)
  const pauses: number[] = []
  let nowUs = 0
  for (let index = 1; index <= 3; index++) {
    const deadlineUs = transmission.deadlineUs() ?? Infinity
    pauses.push(deadlineUs - nowUs)
    nowUs = deadlineUs
    deepStrictEqual(transmission.onDeadline(nowUs - 1), undefined)
    deepStrictEqual(transmission.onDeadline(nowUs), { lost: [], probes: 2 })
    deepStrictEqual(transmission.silentPtos, index)
  }
  ok((pauses[1] ?? 0) > (pauses[0] ?? 0) && (pauses[2] ?? 0) > (pauses[1] ?? 0))
})

test('a larger size is tried only when the peer has said what it takes, one at a time', () => {
  const transmission = new SendController<number>(0)
  const next = fill(transmission, 0, 0)
  ackUpTo(transmission, next - 1, rttUs)
  deepStrictEqual(transmission.takeSizeProbe(rttUs), undefined)
  transmission.onPeerDatagramMax(65_507)
  deepStrictEqual(transmission.takeSizeProbe(rttUs), 1_452)
  deepStrictEqual(transmission.takeSizeProbe(rttUs), undefined)
  transmission.onSent(next, 1_452, next, 'size-probe', rttUs)
  const fate = transmission.onAck([{ first: next, last: next }], 0, 2 * rttUs)
  deepStrictEqual([fate?.acked, transmission.datagramBytes], [[next], 1_452])
})

test('a lost probe of a size is no lost packet', () => {
  const transmission = new SendController<number>(0)
  transmission.onPeerDatagramMax(65_507)
  let next = fill(transmission, 0, 0)
  ackUpTo(transmission, next - 1, rttUs)
  ok(transmission.takeSizeProbe(rttUs) !== undefined)
  const probe = next++
  transmission.onSent(probe, 1_452, probe, 'size-probe', rttUs)
  const first = next
  next = fill(transmission, next, rttUs)
  const fate = transmission.onAck([{ first, last: next - 1 }], 0, 2 * rttUs)
  deepStrictEqual(fate?.lost, [])
  deepStrictEqual([transmission.inFlightPackets, transmission.datagramBytes], [0, datagramBytesMin])
})

test('an operator’s limit is kept on average', () => {
  const bytesPerSecond = 100_000
  const transmission = new SendController<number>(bytesPerSecond)
  let next = 0
  for (let nowUs = 0; nowUs < 10_000_000; nowUs += 5_000) {
    next = fill(transmission, next, nowUs)
    if (next > 0) ackUpTo(transmission, next - 1, nowUs + 1_000)
  }
  const sent = next * datagramBytesMin
  ok(sent > 0.8 * 10 * bytesPerSecond && sent < 1.1 * 10 * bytesPerSecond, `${sent} bytes in 10 s`)
})

test('whatever is acked and lost, all that is in flight is acked, lost or probed for', () => {
  const acks = array(tuple(nat(40), nat(10), integer({ min: 1, max: 100_000 })), { maxLength: 40 })
  always(
    property(acks, (list) => {
      const transmission = new SendController<number>(0)
      let [next, nowUs] = [fill(transmission, 0, 0), 0]
      const settled = new Set<number>()
      for (const [first, length, us] of list) {
        nowUs += us
        const last = Math.min(first + length, next - 1)
        const ranges = first <= last ? [{ first, last }] : []
        const fate = ranges.length > 0 ? transmission.onAck(ranges, 0, nowUs) : undefined
        for (const number of [...(fate?.acked ?? []), ...(fate?.lost ?? [])]) settled.add(number)
        for (const number of transmission.onDeadline(nowUs)?.lost ?? []) settled.add(number)
        next = fill(transmission, next, nowUs)
        deepStrictEqual(transmission.inFlightPackets, next - settled.size)
        ok(transmission.inFlightPackets === 0 || transmission.deadlineUs() !== undefined)
      }
    }),
  )
})
