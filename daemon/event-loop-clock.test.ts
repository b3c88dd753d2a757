import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ClockWatch } from './event-loop.ts'

test('a clock that was set, or that went on while the machine slept, is noticed once', () => {
  let [wallMs, monotonicMs] = [1_000_000, 0]
  const watch = new ClockWatch(
    () => wallMs,
    () => monotonicMs,
  )
  const after = (wall: number, monotonic: number): boolean => {
    wallMs += wall
    monotonicMs += monotonic
    return watch.hasJumped()
  }
  deepEqual(
    [after(60_000, 60_000), after(62_000, 60_000), after(3_600_000, 1), after(5, 5)],
    [false, false, true, false],
  )
  deepEqual([after(-2_001, 0), after(1_000, 1_000), after(0, 3_000)], [true, false, true])
})
