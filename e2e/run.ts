/**
 * `npm run e2e`: builds the images, runs the stories where they have what they need, and prints
 * what was found. A story under netem runs on a kernel that has it, this machine's or a guest's.
 * Must never go without: where netem cannot be had, the run fails.
 */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ask, run } from './command.ts'
import { hasNetem, type StoryKernel, runStories } from './kernel.ts'
import { type Finding, readFindings, renderFindings } from './report.ts'

const folder = import.meta.dirname
const minutesDefault = 48

const usage = `npm run e2e -- [--only NAME]... [--native] [--guests N] [--minutes N]
  --only NAME   only the stories whose names contain NAME
  --native      where this kernel has no netem, fail, and start no guest
  --guests N    so many guests at once; one for each processor and at most two when left out
  --minutes N   for all stories together; ${minutesDefault} when left out`

/** These need an engine and no netem: they run on this machine's kernel, whatever it has. */
const withoutNetem = [
  'rows',
  'drains',
  'deployment',
  'image',
  'compose',
  'container',
  'pasted',
  'orchestrators',
  'mutation',
]

/** These plant faults, and run the others to see them fail. */
const onlyWhenNamed = ['mutation', 'mutation-links']

const suffix = '.e2e.ts'

type Options = {
  readonly only: readonly string[]
  readonly native: boolean
  readonly guests: number
  readonly minutes: number
}

function fail(sentence: string): never {
  console.error(`e2e: ${sentence}`)
  process.exit(1)
}

function count(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text)
  if (Number.isInteger(value) && value >= 1) return value
  return fail(`--${name} takes a whole number from 1, and ${text} is not one`)
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      native: { type: 'boolean' },
      guests: { type: 'string' },
      minutes: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help === true) {
    console.log(usage)
    process.exit(0)
  }
  return {
    only: values.only ?? [],
    native: values.native ?? false,
    guests: count('guests', values.guests, Math.min(2, availableParallelism())),
    minutes: count('minutes', values.minutes, minutesDefault),
  }
}

const storyName = (file: string): string => file.slice(0, -suffix.length)

function findStories(only: readonly string[]): readonly string[] {
  const stories = readdirSync(folder).filter((file) => file.endsWith(suffix))
  const wanted = stories.filter(
    (file) =>
      (only.length === 0 && !onlyWhenNamed.includes(storyName(file))) ||
      only.some((part) => storyName(file).includes(part)),
  )
  if (wanted.length > 0) return wanted.toSorted()
  return fail(`no story is called like that: there are ${stories.map(storyName).join(', ')}`)
}

async function chooseKernel({ native, guests }: Options): Promise<StoryKernel> {
  if (await hasNetem()) return { type: 'native' }
  if (native) {
    fail('this kernel has no netem (modprobe sch_netem): leave out --native to use a guest')
  }
  return { type: 'guests', count: guests }
}

/** The kernels that stories ran on, as `Linux 6.1.176 (guest-1, guest-2)`. */
function kernels(results: string): string {
  const prefix = 'kernel-'
  const runners = readdirSync(results).filter((file) => file.startsWith(prefix))
  const byKernel = Map.groupBy(runners, (file) => readFileSync(join(results, file), 'utf8').trim())
  return Array.from(byKernel, ([kernel, files]) => {
    const names = files.map((file) => file.slice(prefix.length))
    return `${kernel} (${names.join(', ')})`
  }).join(', ')
}

function findingsIn(results: string): readonly Finding[] {
  return readdirSync(results)
    .filter((file) => file.startsWith('report-'))
    .flatMap((file) => readFindings(join(results, file)))
}

async function runAll(options: Options, results: string): Promise<boolean> {
  const stories = findStories(options.only)
  const deadline = performance.now() + options.minutes * 60_000
  const left = (): number => Math.max(1, Math.ceil((deadline - performance.now()) / 1_000))
  const pathOf = (file: string): string => join(folder, file)
  const [plain, netem] = [true, false].map((isPlain) =>
    stories.filter((file) => withoutNetem.includes(storyName(file)) === isPlain).map(pathOf),
  )
  const plainPassed = await runStories({ type: 'native' }, plain ?? [], results, left())
  const place: StoryKernel = netem?.length === 0 ? { type: 'native' } : await chooseKernel(options)
  const netemPassed = await runStories(place, netem ?? [], results, left())
  const missed = stories.filter((file) => !existsSync(join(results, `taken-${file}`)))
  for (const file of missed) console.error(`e2e: ${storyName(file)} was not run`)
  return plainPassed && netemPassed && missed.length === 0
}

async function main(): Promise<number> {
  const options = readOptions()
  const engine = await ask('docker', 'version')
  if (engine.status !== 0) {
    fail('no Docker engine answers: start Docker or, as root, run e2e/engine start')
  }
  const results = mkdtempSync(join(tmpdir(), 'tinymq-e2e.'))
  try {
    const base = join(results, 'base')
    if ((await run(join(folder, 'images'), [base])) !== 0) return 1
    process.env['TINYMQ_E2E_BASE'] = readFileSync(base, 'utf8').trim()
    const passed = await runAll(options, results)
    const findings = findingsIn(results)
    if (findings.length > 0) console.log(renderFindings(findings))
    console.log(`kernels: ${kernels(results)}`)
    return passed ? 0 : 1
  } finally {
    rmSync(results, { recursive: true, force: true })
  }
}

process.exitCode = await main()
