/**
 * `npm run bench`: the measurements that the README quotes, each next to its baseline in the same
 * run. Must never end with anything but 0 because a goal is missed, except with `--quick`, which is
 * the guard against regressions.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Benchmark, Room } from './benchmark.ts'
import { benchmarks } from './benchmarks.ts'
import { regressionsOf } from './regression-gate.ts'
import { runInGuest } from './vm.ts'
import { showRun, writePages, writePlot } from './report-writer.ts'
import { profileDrain } from './profile/profiled-drain.ts'
import { profileMessage } from './profile/profiled-message.ts'
import { runAll } from './run.ts'
import { showSurroundings, surroundings } from './machine-info.ts'

const usage = `npm run bench -- [OPTION]...
  --list          says which benchmarks there are, and measures nothing
  --only A,B      only these
  --quick         a short run that fails when a measure is more than two times off its goal
  --rows N        rows that a drain moves: 200,000 when left out
  --repeats N     how often each figure is taken: 3; odd, or two repeats share the median
  --over KIND     what makes the narrow link: netem or emulator; netem where it is, when left out
  --guest         in a guest of the e2e whose kernel has netem (--only link, for instance)
  --rate MBIT     rate of the narrow link: 20 Mbit/s
  --json          figures as JSON
  --plot FILE     also as a picture (SVG)
  --write         also into docs/benchmarks.md and docs/images/bench.svg, from a whole run only
  --profile DIR   where the time of a drain goes, instead, or with --only latency that of one
                  message; what was noted is left in DIR`

function fail(sentence: string): never {
  console.error(`bench: ${sentence}\n\n${usage}`)
  process.exit(64)
}

function count(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text)
  if (Number.isInteger(value) && value >= 1) return value
  return fail(`--${name} takes a whole number from 1, and ${text} is not one.`)
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        list: { type: 'boolean', default: false },
        only: { type: 'string' },
        quick: { type: 'boolean', default: false },
        rows: { type: 'string' },
        repeats: { type: 'string' },
        over: { type: 'string' },
        guest: { type: 'boolean', default: false },
        rate: { type: 'string' },
        json: { type: 'boolean', default: false },
        plot: { type: 'string' },
        write: { type: 'boolean', default: false },
        profile: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error))
  }
}

function choose(only: string | undefined, quick: boolean): readonly Benchmark[] {
  if (only === undefined) return benchmarks.filter(({ isQuick }) => isQuick || !quick)
  return only.split(',').map((wanted) => {
    const found = benchmarks.find(({ name }) => name === wanted)
    return found ?? fail(`there is no benchmark ${wanted}: --list says which there are.`)
  })
}

function kindOf(over: string | undefined): Room['over'] {
  if (over === undefined || over === 'netem' || over === 'emulator') return over
  return fail(`--over takes netem or emulator, and ${over} is neither.`)
}

async function profile(directory: string, rows: number, only?: string): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), 'tinymq-bench-profile-'))
  try {
    if (only === 'latency') return await profileMessage({ scratch, directory, messages: 300 })
    return await profileDrain({ scratch, directory, rows })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function main(): Promise<number> {
  const options = readOptions()
  const { quick } = options
  const chosen = choose(options.only, quick)
  // Fewer, and a drain says how processes that have just started are: the goal is of so many.
  const rows = count('rows', options.rows, 200_000)
  // Odd, also when it is quick: of two, one disturbed repeat would move the median by half.
  const repeats = count('repeats', options.repeats, 3)
  const over = kindOf(options.over)
  const mbitPerSecond = count('rate', options.rate, 20)
  if (options.help || options.list) {
    const width = Math.max(...benchmarks.map(({ name }) => name.length))
    const lines = chosen.map(({ name, about }) => `${name.padEnd(width)}  ${about}`)
    console.log(options.help ? usage : lines.join('\n'))
    return 0
  }
  if (options.guest) return runInGuest(process.argv.slice(2).filter((word) => word !== '--guest'))
  if (options.write && (quick || options.only !== undefined)) {
    return fail('--write takes a whole run: leave out --quick and --only.')
  }
  const where = surroundings()
  if (options.profile !== undefined) {
    console.log(
      `${showSurroundings(where)}\n\n${await profile(options.profile, rows, options.only)}`,
    )
    return 0
  }
  const onProgress = (sentence: string): void => void process.stderr.write(`${sentence}\n`)
  const measures = await runAll(chosen, { quick, rows, repeats, over, mbitPerSecond, onProgress })
  if (options.json) console.log(JSON.stringify({ ...where, measures }, null, 2))
  else console.log(showRun(where, measures))
  if (options.plot !== undefined) writePlot(options.plot, measures)
  if (options.write) writePages(where, measures)
  const regressions = quick ? regressionsOf(measures) : []
  for (const sentence of regressions) console.error(`bench: ${sentence}`)
  return regressions.length === 0 ? 0 : 1
}

process.exitCode = await main()
