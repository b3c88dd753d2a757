/**
 * `npm run chaos`: kills real daemons on real files again and again. Options: `--cycles N` kills,
 * `--seed S`, `--minutes M` at most. A run that fails says with what seed, and leaves its files.
 */
import { parseArgs } from 'node:util'
import { TestEnvironment } from '../support/test-environment.ts'
import { runChaos, type ChaosReport } from './chaos.ts'

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '2000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    minutes: { type: 'string', default: '60' },
  },
})

const [cycles, seed, minutes] = [values.cycles, values.seed, values.minutes].map(Number)
if (!(Number(cycles) > 0 && Number(seed) >= 0 && Number(minutes) > 0)) {
  console.error('Usage: npm run chaos -- [--cycles 2000] [--seed 1] [--minutes 60]')
  process.exit(2)
}

await using ends = new AsyncDisposableStack()
const scene = new TestEnvironment({ after: (end) => ends.defer(async () => end()) })

function show({ seconds, counts, ...numbers }: ChaosReport): void {
  const kinds = Object.entries(counts).map(([kind, count]) => `${count} × ${kind}`)
  const rest = Object.entries(numbers).map(([name, number]) => `${name} ${number}`)
  console.log(`${seconds.toFixed(0)} s: ${rest.join(', ')} (${kinds.join(', ')})`)
}

try {
  const report = await runChaos({
    scene,
    seed: Number(seed),
    cycles: Number(cycles),
    secondsMax: Number(minutes) * 60,
    onProgress: show,
  })
  show(report)
  console.log(`Seed ${seed}: nothing lost, duplicated, damaged or out of order.`)
} catch (error) {
  scene.keepFiles()
  console.error(error)
  console.error(`Seed ${seed} failed; the files are in ${scene.directory}`)
  process.exitCode = 1
}
