/** A short torture run; `npm run torture -- --cycles 2000` is the long one. */
import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import { scaled } from './harness/scale.ts'
import { Scene } from './harness/scene.ts'
import { torture } from './torture/torture.ts'

const cycles = scaled(120)
const seed = 7

test('P1 to P7: three daemons that are killed and frozen at random instants', async (t) => {
  const scene = new Scene(t)
  const options = { scene, seed, cycles, secondsMax: 600, onProgress: () => {} }
  const { counts, ...report } = await torture(options)
  t.diagnostic(JSON.stringify({ ...report, ...counts }))
  ok(report.kills >= cycles && report.arrived > 5 * cycles)
})
