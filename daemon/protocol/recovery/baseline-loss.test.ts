import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { BaselineLoss } from './baseline-loss.ts'

const path = {
  nowUs: 0,
  minRttUs: 50_000,
  noiseUs: 0,
  longPeakUs: 20_000,
  isShortPath: false,
  isOverdriven: false,
}
const emptyUs = 51_000
const queuedUs = 65_000
const probePackets = 60

/** A round of 200 packets of which a part is lost. */
function round(reference: BaselineLoss, loss: number, rttUs: number, changes = {}): number {
  reference.onAcked(200 * (1 - loss))
  reference.onLost(200 * loss)
  reference.onRtt(rttUs)
  return reference.takeExcess({ ...path, ...changes })
}

test('what is lost with an empty queue is the path’s own loss', () => {
  const reference = new BaselineLoss()
  for (let i = 0; i < 5; i++) deepStrictEqual(round(reference, 0.3, emptyUs), 0)
  ok(Math.abs(reference.ambient - 0.3) < 0.001)
})

test('the same loss with a queue is not our doing', () => {
  const reference = new BaselineLoss()
  for (let i = 0; i < 5; i++) round(reference, 0.3, emptyUs)
  deepStrictEqual(round(reference, 0.3, queuedUs), 0)
  deepStrictEqual(round(reference, 0.36, queuedUs), 0)
})

test('clearly more loss with a queue is', () => {
  const reference = new BaselineLoss()
  for (let i = 0; i < 5; i++) round(reference, 0.1, emptyUs)
  ok(Math.abs(round(reference, 0.3, queuedUs) - 0.2) < 0.001)
})

test('rounds of few packets are added up before they are checked', () => {
  const reference = new BaselineLoss()
  round(reference, 0, emptyUs)
  for (let i = 0; i < 2; i++) {
    reference.onAcked(5)
    reference.onLost(5)
    reference.onRtt(queuedUs)
    deepStrictEqual(reference.takeExcess(path), 0)
  }
  reference.onLost(5)
  deepStrictEqual(reference.takeExcess(path) > 0.5, true)
})

test('without an empty round the round of least loss stands in', () => {
  const reference = new BaselineLoss()
  deepStrictEqual(round(reference, 0.1, queuedUs), 0)
  ok(round(reference, 0.4, queuedUs) > 0.29)
})

test('a round that was overdriven teaches nothing about the path', () => {
  const reference = new BaselineLoss()
  round(reference, 0.5, emptyUs, { isOverdriven: true })
  deepStrictEqual(reference.ambient, 0)
})

test('on a short path all loss is ours', () => {
  const reference = new BaselineLoss()
  deepStrictEqual(round(reference, 0.05, emptyUs, { isShortPath: true }), 0.05)
  deepStrictEqual(round(reference, 0.01, emptyUs, { isShortPath: true }), 0)
})

test('packets that come after all were not lost', () => {
  const reference = new BaselineLoss()
  reference.onLost(20)
  reference.onSpurious(20)
  deepStrictEqual(round(reference, 0, emptyUs), 0)
  deepStrictEqual(reference.ambient, 0)
})

test('a probe of the path lowers what was taken for its loss, and never raises it', () => {
  const reference = new BaselineLoss()
  for (let i = 0; i < 5; i++) round(reference, 0.5, emptyUs)
  reference.onPathMeasured(0.6, probePackets)
  ok(Math.abs(reference.ambient - 0.5) < 0.001)
  // One such probe may be chance.
  reference.onPathMeasured(0, probePackets)
  ok(Math.abs(reference.ambient - 0.5) < 0.001)
  reference.onPathMeasured(0, probePackets)
  deepStrictEqual(reference.ambient, 0)
  ok(round(reference, 0.5, queuedUs) > 0.4)
})

test('rounds that looked empty and were not teach nothing, until the path looks emptier', () => {
  const reference = new BaselineLoss()
  for (let i = 0; i < 5; i++) round(reference, 0.5, emptyUs)
  for (let i = 0; i < 2; i++) reference.onPathMeasured(0, probePackets)
  for (let i = 0; i < 5; i++) ok(round(reference, 0.5, emptyUs) > 0.4)
  deepStrictEqual(reference.ambient, 0)
  reference.onEmptierPath()
  for (let i = 0; i < 5; i++) round(reference, 0.2, emptyUs)
  ok(reference.ambient > 0.1)
})

test('or until a probe loses as much as they do', () => {
  const reference = new BaselineLoss()
  for (let i = 0; i < 5; i++) round(reference, 0.5, emptyUs)
  for (let i = 0; i < 2; i++) reference.onPathMeasured(0, probePackets)
  round(reference, 0.5, emptyUs)
  reference.onPathMeasured(0.5, probePackets)
  for (let i = 0; i < 9; i++) round(reference, 0.5, emptyUs)
  ok(reference.ambient > 0.4)
})

test('no path loses three tenths more at once, for ten seconds', () => {
  const reference = new BaselineLoss()
  round(reference, 0, emptyUs)
  for (let i = 0; i < 9; i++) round(reference, 0.7, emptyUs, { nowUs: 1_000_000 })
  ok(Math.abs(reference.ambient - 0.3) < 0.001)
  ok(round(reference, 0.7, emptyUs, { nowUs: 2_000_000 }) > 0.3)
  deepStrictEqual(round(reference, 0.7, emptyUs, { nowUs: 11_500_000 }), 0)
  ok(reference.ambient > 0.5)
})

test('what rounds have taught is in doubt until a probe has lost as much', () => {
  const reference = new BaselineLoss()
  deepStrictEqual(reference.isUnproved, false)
  for (let i = 0; i < 5; i++) round(reference, 0.3, emptyUs)
  deepStrictEqual(reference.isUnproved, true)
  reference.onPathMeasured(0.28, probePackets)
  deepStrictEqual(reference.isUnproved, false)
})

test('where packets are late by chance, a round that is as late looks empty', () => {
  const reference = new BaselineLoss()
  for (let i = 0; i < 5; i++) round(reference, 0.1, queuedUs, { noiseUs: 8_000 })
  ok(Math.abs(reference.ambient - 0.1) < 0.001)
})
