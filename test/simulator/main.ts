/**
 * `npm run sim`: runs seeds and says what they found. Must never end with 0 when a seed has failed.
 */
import { inspect, parseArgs } from 'node:util'
import { failureText, Sums } from './report.ts'
import { Seeds } from './seed-runner.ts'
import type { RunResult } from './simulation.ts'

const usage = `Usage: npm run sim -- [--seed N [--trace]] [--seeds N] [--minutes M] [--from N]

  --seed N     runs one seed; with --trace it shows all that happens
  --seeds N    runs so many seeds (200)
  --minutes M  runs seeds for so long, instead of so many
  --from N     the first of them (1)
  --until-failure  ends with the first seed that fails
`

type Request = {
  readonly first: number
  readonly count: number
  readonly untilMs: number
  readonly trace: boolean
  readonly untilFailure: boolean
}

function parse(values: readonly string[]): Request | string {
  try {
    const { values: given } = parseArgs({
      args: [...values],
      options: {
        seed: { type: 'string' },
        seeds: { type: 'string' },
        minutes: { type: 'string' },
        from: { type: 'string' },
        trace: { type: 'boolean', default: false },
        'until-failure': { type: 'boolean', default: false },
      },
    })
    const { seed, seeds, minutes, from, trace, 'until-failure': untilFailure } = given
    if (minutes !== undefined && !(Number(minutes) > 0)) return '--minutes must be above 0.'
    const first = whole(seed ?? from ?? '1')
    const count = whole(seeds ?? '200')
    if (first === undefined || count === undefined) {
      return 'Seeds and their number must be whole numbers above 0.'
    }
    const untilMs = minutes === undefined ? Infinity : Number(minutes) * 60_000
    if (seed !== undefined) return { first, count: 1, untilMs, trace, untilFailure }
    const most = minutes === undefined ? count : Infinity
    return { first, count: most, untilMs, trace, untilFailure }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function whole(text: string): number | undefined {
  const value = Number(text)
  return Number.isSafeInteger(value) && value > 0 ? value : undefined
}

function run({ first, count, untilMs, trace, untilFailure }: Request): number {
  const sums = new Sums()
  using seeds = new Seeds()
  const onLine = trace ? (line: string) => void process.stdout.write(`${line}\n`) : undefined
  for (let seed = first; sums.seeds < count && sums.elapsedMs < untilMs; seed++) {
    const result = runNamed(seeds, seed, onLine)
    sums.add(result)
    if (result.failure !== undefined) {
      process.stdout.write(failureText(result))
      if (untilFailure) break
    } else if (count === 1) process.stdout.write(`trace: ${result.hash}\n`)
  }
  process.stdout.write(sums.text())
  return sums.failed === 0 ? 0 : 1
}

/** What is wrong with the simulator itself ends all; it says at which seed. */
function runNamed(seeds: Seeds, seed: number, onLine?: (line: string) => void): RunResult {
  try {
    return seeds.run(seed, { onLine })
  } catch (error) {
    process.stderr.write(`The simulator itself failed at seed ${seed}:\n${inspect(error)}\n`)
    throw error
  }
}

const request = parse(process.argv.slice(2))
if (typeof request === 'string') {
  process.stderr.write(`${request}\n${usage}`)
  process.exitCode = 2
} else process.exitCode = run(request)
