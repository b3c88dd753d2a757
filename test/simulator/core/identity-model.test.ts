import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { knockouts, runModel } from './identity-model.ts'
import { scaled } from '../../support/scale.ts'

const runs = scaled(20_000)
const runsOfKnockout = 10_000

test(`in ${runs} random lives no row is lost, duplicated, stuck or out of order unnoticed`, (t) => {
  const { failures, counts } = runModel(1, runs)
  deepStrictEqual(failures, [])
  t.diagnostic(JSON.stringify(Object.fromEntries(counts)))
  // A model that never gets there shows nothing.
  const codes = [
    'PEER_REPLACED',
    'PEER_ROLLED_BACK',
    'SELF_ROLLED_BACK',
    'SELF_FORKED',
    'AMBIGUOUS',
  ]
  for (const code of codes) ok((counts.get(code) ?? 0) > runs / 200, code)
})

for (const knockout of knockouts) {
  test(`without ${knockout} it goes wrong`, (t) => {
    const { failures, runs: runsUntilFailure } = runModel(1, runsOfKnockout, knockout)
    deepStrictEqual(failures.length, 1)
    t.diagnostic(`after ${runsUntilFailure} lives: ${failures.join()}`)
  })
}

test('a life is its seed', () => {
  deepStrictEqual(runModel(7, 100), runModel(7, 100))
})
