import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { type CpuProfile, selfTimes } from './cpu-profile.ts'

function node(id: number, functionName: string, url = '', lineNumber = 0) {
  return { id, callFrame: { functionName, url, lineNumber } }
}

/** Samples at 1,000, 1,010, 1,030, 1,060 and 1,100 us. */
const profile: CpuProfile = {
  nodes: [
    node(1, '(idle)'),
    node(2, 'seal', 'file:///home/node/x/protection.js', 41),
    node(3, '', 'node:internal/timers', 0),
  ],
  startTime: 1_000,
  samples: [1, 2, 3, 2, 1],
  timeDeltas: [0, 10, 20, 30, 40],
}

test('a sample stands for the time until the next, and the longest comes first', () => {
  deepEqual(selfTimes(profile, { fromUs: 0, toUs: Infinity }), [
    { place: 'seal protection.js:42', us: 60 },
    { place: '(anonymous) node:internal/timers:1', us: 30 },
    { place: '(idle)', us: 10 },
  ])
})

test('what was sampled outside the span does not count', () => {
  const times = selfTimes(profile, { fromUs: 1_005, toUs: 1_070 })
  deepEqual(times, [
    { place: 'seal protection.js:42', us: 30 },
    { place: '(anonymous) node:internal/timers:1', us: 30 },
  ])
  equal(selfTimes(profile, { fromUs: 5_000, toUs: 6_000 }).length, 0)
})
