import { deepStrictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { assert as always, array, integer, property, tuple } from 'fast-check'
import { SentPackets } from './loss-detection.ts'

function packetsOf(...packetNumbers: number[]): SentPackets<string> {
  const packets = new SentPackets<string>()
  for (const packetNumber of packetNumbers) packets.add(packetNumber, `packet ${packetNumber}`)
  return packets
}

test('packets are found by their numbers, also where numbers are missing', () => {
  const packets = packetsOf(3, 4, 9)
  deepStrictEqual(
    [0, 3, 4, 5, 9, 10].map((packetNumber) => packets.positionOf(packetNumber)),
    [0, 0, 1, 2, 2, 3],
  )
  deepStrictEqual(packets.at(packets.positionOf(9)), 'packet 9')
})

test('settled packets are passed over', () => {
  const packets = packetsOf(0, 1, 2, 3)
  packets.settle(1)
  packets.settle(2)
  deepStrictEqual(packets.nextUnsettled(1), 3)
  packets.settle(3)
  deepStrictEqual(packets.nextUnsettled(1), packets.end)
})

test('what is settled at the old end is forgotten', () => {
  const packets = packetsOf(0, 1, 2)
  packets.settle(0)
  packets.settle(1)
  packets.forgetSettled()
  deepStrictEqual([packets.begin, packets.end], [2, 3])
})

test('a packet that is settled is never looked at again', () => {
  const packets = packetsOf(0, 1)
  packets.settle(0)
  throws(() => packets.at(0), { name: 'AssertionFailure' })
  throws(() => packets.settle(0), { name: 'AssertionFailure' })
})

test('numbers that do not count up are our own bug', () => {
  throws(() => packetsOf(5, 5), { name: 'AssertionFailure' })
})

test('it agrees with a list of all packets through growth, gaps and settling in any order', () => {
  const step = tuple(integer({ min: 0, max: 2 }), integer({ min: 1, max: 400 }))
  always(
    property(array(step, { maxLength: 400 }), (steps) => {
      const packets = new SentPackets<number>()
      const unsettled = new Map<number, number>()
      let packetNumber = -1
      for (const [kind, amount] of steps) {
        if (kind === 0) {
          packetNumber += 1 + (amount % 5)
          unsettled.set(packets.end, packetNumber)
          packets.add(packetNumber, packetNumber)
        } else {
          const from = packets.positionOf(Math.max(0, packetNumber - amount))
          const position = packets.nextUnsettled(from)
          const expected = [...unsettled.keys()].find((key) => key >= from)
          deepStrictEqual(position, expected ?? packets.end)
          if (expected === undefined) continue
          deepStrictEqual(packets.at(position), unsettled.get(position))
          unsettled.delete(position)
          packets.settle(position)
          if (kind === 2) packets.forgetSettled()
        }
      }
    }),
  )
})
