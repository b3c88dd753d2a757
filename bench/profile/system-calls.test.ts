import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { parseSummary } from './system-calls.ts'

const summary = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.00    0.012345           6      2051           sendmmsg
 39.00    0.007890          12       657        12 futex
------ ----------- ----------- --------- --------- ----------------
100.00    0.020235           7      2708        12 total
`

test('calls are read with and without errors, and the sum is not one of them', () => {
  deepEqual(
    parseSummary(summary),
    new Map([
      ['sendmmsg', 2_051],
      ['futex', 657],
    ]),
  )
})

test('a thread that made no call has none', () => {
  equal(parseSummary('').size, 0)
})
