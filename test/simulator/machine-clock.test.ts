import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualTime } from './core/virtual-time.ts'
import { MachineClock } from './machine-clock.ts'

function wait(time: VirtualTime, us: number): void {
  time.runUntil(time.nowUs + us)
}

test('the monotonic clock does not move in sleep, and goes on from there', () => {
  const time = new VirtualTime(1)
  const clock = new MachineClock(time)
  wait(time, 1_000)
  clock.sleep()
  wait(time, 5_000)
  equal(clock.nowUs(), 1_000)
  clock.wake()
  wait(time, 10)
  equal(clock.nowUs(), 1_010)
})

test('a machine that is switched on while it sleeps does not go back later', () => {
  const time = new VirtualTime(1)
  const clock = new MachineClock(time)
  clock.sleep()
  wait(time, 1_000)
  clock.wake()
  wait(time, 2_000)
  clock.wake()
  equal(clock.nowUs(), 2_000)
})
