import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { LossReference } from './loss-reference.ts'

const path = { minRttUs: 50_000, longPeakUs: 20_000, isShortPath: false, isOverdriven: false }
const emptyUs = 51_000
const queuedUs = 65_000

/** A round of 200 packets of which a part is lost. */
function round(reference: LossReference, loss: number, rttUs: number, changes = {}): number {
  reference.onAcked(200 * (1 - loss))
  reference.onLost(200 * loss)
  reference.onRtt(rttUs)
  return reference.takeExcess({ ...path, ...changes })
}

test('what is lost with an empty queue is the path’s own loss', () => {
  const reference = new LossReference()
  for (let i = 0; i < 5; i++) deepStrictEqual(round(reference, 0.3, emptyUs), 0)
  ok(Math.abs(reference.ambient - 0.3) < 0.001)
})

test('the same loss with a queue is not our doing', () => {
  const reference = new LossReference()
  for (let i = 0; i < 5; i++) round(reference, 0.3, emptyUs)
  deepStrictEqual(round(reference, 0.3, queuedUs), 0)
  deepStrictEqual(round(reference, 0.36, queuedUs), 0)
})

test('clearly more loss with a queue is', () => {
  const reference = new LossReference()
  for (let i = 0; i < 5; i++) round(reference, 0.1, emptyUs)
  ok(Math.abs(round(reference, 0.3, queuedUs) - 0.2) < 0.001)
})

test('rounds of few packets are added up before they are judged', () => {
  const reference = new LossReference()
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
  const reference = new LossReference()
  deepStrictEqual(round(reference, 0.1, queuedUs), 0)
  ok(round(reference, 0.4, queuedUs) > 0.29)
})

test('a round that was overdriven teaches nothing about the path', () => {
  const reference = new LossReference()
  round(reference, 0.5, emptyUs, { isOverdriven: true })
  deepStrictEqual(reference.ambient, 0)
})

test('on a short path all loss is ours', () => {
  const reference = new LossReference()
  deepStrictEqual(round(reference, 0.05, emptyUs, { isShortPath: true }), 0.05)
  deepStrictEqual(round(reference, 0.01, emptyUs, { isShortPath: true }), 0)
})

test('packets that come after all were not lost', () => {
  const reference = new LossReference()
  reference.onLost(20)
  reference.onSpurious(20)
  deepStrictEqual(round(reference, 0, emptyUs), 0)
  deepStrictEqual(reference.ambient, 0)
})

test('a probe of the path lowers what was taken for its loss, and never raises it', () => {
  const reference = new LossReference()
  for (let i = 0; i < 5; i++) round(reference, 0.5, emptyUs)
  reference.onPathMeasured(0.6)
  ok(Math.abs(reference.ambient - 0.5) < 0.001)
  reference.onPathMeasured(0)
  deepStrictEqual(reference.ambient, 0)
  ok(round(reference, 0.5, queuedUs) > 0.4)
})
