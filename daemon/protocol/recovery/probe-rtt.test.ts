import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ProbeRtt } from './probe-rtt.ts'
import { pathProbeEveryUs } from './constants.ts'

const srttUs = 100_000

test('a probe drains, lets old losses come to light, and then measures', () => {
  const probe = new ProbeRtt()
  probe.start()
  deepStrictEqual(probe.onPacketsAcked(1, 90_000, srttUs, false, 0), undefined)
  deepStrictEqual(probe.onPacketsAcked(1, 80_000, srttUs, true, 10_000), undefined)
  probe.onPacketsLost(50)
  deepStrictEqual(probe.onPacketsAcked(1, 60_000, srttUs, true, 110_000), undefined)
  probe.onPacketsLost(6)
  deepStrictEqual(probe.onPacketsAcked(14, 55_000, srttUs, true, 150_000), undefined)
  deepStrictEqual(probe.onPacketsAcked(10, 56_000, srttUs, true, 210_000), {
    rttUs: 55_000,
    loss: 0.2,
    packets: 30,
  })
  deepStrictEqual(probe.isActive, false)
})

test('of few packets no loss is stated', () => {
  const probe = new ProbeRtt()
  probe.start()
  probe.onPacketsAcked(1, undefined, srttUs, true, 0)
  probe.onPacketsAcked(1, undefined, srttUs, true, srttUs)
  deepStrictEqual(probe.onPacketsAcked(4, undefined, srttUs, true, 2 * srttUs), {
    rttUs: Infinity,
    loss: undefined,
    packets: 4,
  })
})

test('probes are as far apart as is asked for, and the first comes after as long', () => {
  const probe = new ProbeRtt()
  deepStrictEqual(probe.isRested(5, pathProbeEveryUs), false)
  deepStrictEqual(probe.isRested(5 + pathProbeEveryUs, pathProbeEveryUs), false)
  deepStrictEqual(probe.isRested(6 + pathProbeEveryUs, pathProbeEveryUs), true)
})

test('a new path ends a probe', () => {
  const probe = new ProbeRtt()
  probe.start()
  probe.reset()
  deepStrictEqual(probe.isActive, false)
})
