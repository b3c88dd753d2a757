import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { AckSchedule } from './ack-tracker.ts'
import { ackDelayMaxUs, ackEvery, ackYoungPackets } from '../constants.ts'

/** How many packets until an ack is due. */
function packetsUntilDue(schedule: AckSchedule, first: number, hasGaps: boolean): number {
  for (let count = 1; ; count++) {
    schedule.onPacket(first + count, 100, hasGaps, 0)
    if (!schedule.isDue(0)) continue
    schedule.onAckSent()
    return count
  }
}

function grown(): AckSchedule {
  const schedule = new AckSchedule()
  for (let number = 0; number < ackYoungPackets; number++) schedule.onPacket(number, 100, false, 0)
  schedule.onAckSent()
  return schedule
}

test('a young session is acked at every second packet, a grown one at every eighth', () => {
  deepStrictEqual(packetsUntilDue(new AckSchedule(), 0, false), 2)
  deepStrictEqual(packetsUntilDue(grown(), 100, false), ackEvery)
})

test('while numbers are missing every second packet is acked', () => {
  deepStrictEqual(packetsUntilDue(grown(), 100, true), 2)
})

test('the first packet that waits starts the clock', () => {
  const schedule = grown()
  deepStrictEqual(schedule.deadlineUs(), undefined)
  schedule.onPacket(100, 100, false, 1_000)
  schedule.onPacket(101, 100, false, 3_000)
  deepStrictEqual(schedule.deadlineUs(), 1_000 + ackDelayMaxUs)
  deepStrictEqual(schedule.isDue(1_000 + ackDelayMaxUs - 1), false)
  deepStrictEqual(schedule.isDue(1_000 + ackDelayMaxUs), true)
  schedule.onAckSent()
  deepStrictEqual(schedule.isDue(1_000_000), false)
})

test('the delay is that of the largest number, in whole microseconds, never below zero', () => {
  const schedule = new AckSchedule()
  schedule.onPacket(7, 100, false, 1_000)
  schedule.onPacket(5, 100, true, 2_000)
  deepStrictEqual(schedule.delayUs(3_000.5), 2_000)
  deepStrictEqual(schedule.delayUs(0), 0)
})

test('large packets are acked after some bytes, not after eight', () => {
  const schedule = grown()
  schedule.onPacket(100, 8_952, false, 0)
  deepStrictEqual(schedule.isDue(0), false)
  schedule.onPacket(101, 8_952, false, 0)
  deepStrictEqual(schedule.isDue(0), true)
})
