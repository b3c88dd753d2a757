/** A short chaos run; `npm run chaos -- --cycles 2000` is the long one. */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { runChaos } from '../chaos/chaos.ts'

const cycles = scaled(120)
const seed = 7

test('P1 to P7: three daemons that are killed and frozen at random instants', async (t) => {
  const scene = new TestEnvironment(t)
  const options = { scene, seed, cycles, secondsMax: 600, onProgress: () => {} }
  const { counts, ...report } = await runChaos(options)
  t.diagnostic(JSON.stringify({ ...report, ...counts }))
  ok(report.kills >= cycles && report.arrived > 5 * cycles)
})
