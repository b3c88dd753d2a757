/**
 * `npm run bench`: the measurements that the README quotes, each beside its yardstick in the same
 * run, as a table. Options: `--rows N` rows to drain, `--repeats N`, `--only NAME`, `--quick`,
 * `--json`; or `--profile DIR`: where the time of a drain goes.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureConsume } from './consume.ts'
import { measureDrain } from './drain.ts'
import { measureGoodput } from './goodput.ts'
import { measureKeys } from './keys.ts'
import { measureLatency } from './latency.ts'
import { profileDrain } from './profile/profiled-drain.ts'
import { type Row, showTable } from './table.ts'

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '200000' },
    repeats: { type: 'string', default: '3' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
})

const rows = values.quick ? 40_000 : Number(values.rows)
const repeats = values.quick ? 1 : Number(values.repeats)
const scratch = mkdtempSync(join(tmpdir(), 'tinymq-bench-'))

const benchmarks: Readonly<Record<string, () => Promise<Row[]>>> = {
  drain: () => measureDrain({ scratch, rows, repeats }),
  keys: () => measureKeys({ scratch, rows: Math.min(rows, 100_000), repeats }),
  latency: () => measureLatency({ scratch, messages: values.quick ? 200 : 1_000 }),
  consume: () =>
    measureConsume({
      scratch,
      rows: values.quick ? 5_000 : 50_000,
      messages: values.quick ? 200 : 1_000,
      idleMs: values.quick ? 5_000 : 30_000,
    }),
  goodput: () => measureGoodput({ quick: values.quick }),
}

async function measureAll(): Promise<string> {
  const results: Row[] = []
  for (const [name, measure] of Object.entries(benchmarks)) {
    if (values.only !== undefined && values.only !== name) continue
    process.stderr.write(`${name} …\n`)
    results.push(...(await measure()))
  }
  return values.json ? JSON.stringify(results, null, 2) : showTable(results)
}

try {
  const { profile: directory } = values
  const wanted = directory === undefined
  console.log(await (wanted ? measureAll() : profileDrain({ scratch, directory, rows })))
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
