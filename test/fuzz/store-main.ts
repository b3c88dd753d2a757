/**
 * `npm run fuzz:store`: random runs of stores whose statements fail at any time, or with `--odd` of
 * stores whose files are restored and whose rows have no time or a host that is not UTF-8. Options:
 * `--runs N`, `--from SEED`, `--all` (go on behind a run that fails). Must never end with 0 when a
 * run has failed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect, parseArgs } from 'node:util'
import { oddRows, runSeed, statementFaults } from '../simulator/store/run-seed.ts'
import { World } from '../simulator/store/world.ts'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000' },
    from: { type: 'string', default: '3001' },
    odd: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
  },
})

const [runs, from] = [Number(values.runs), Number(values.from)]
if (!(Number.isSafeInteger(runs) && runs > 0 && Number.isSafeInteger(from) && from > 0)) {
  console.error('Usage: npm run fuzz:store -- [--runs 1000] [--from 3001] [--odd] [--all]')
  process.exit(2)
}

const tellEveryRuns = 500
const startMs = performance.now()
const seconds = (): string => ((performance.now() - startMs) / 1_000).toFixed(0)

using ends = new DisposableStack()
const directory = mkdtempSync(join(tmpdir(), 'tinymq-fuzz-'))
ends.defer(() => rmSync(directory, { recursive: true, force: true }))
const world = World.in(directory, 1)
let [done, failed] = [0, 0]
while (done < runs && (failed === 0 || values.all)) {
  const seed = from + done
  done++
  try {
    runSeed(world, seed, values.odd ? oddRows : statementFaults)
  } catch (error) {
    failed++
    console.log(inspect(error))
  }
  if (done % tellEveryRuns === 0) console.log(`${seconds()} s: ${done} runs, ${failed} failed`)
}
console.log(`${done} runs from seed ${from} in ${seconds()} s: ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
