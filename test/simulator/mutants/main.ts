/**
 * `npm run sim:mutants`: applies one defect after the other to a copy of the tree, and runs seeds
 * it until one fails. A checker that never fires proves nothing. Must never touch the working tree,
 * nor end with 0 when a defect got through.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { applyMutant, checkMutant, readMutants, type Mutant } from './mutant.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const folders = ['daemon', 'sdk', 'test', 'package.json', 'tsconfig.json']

type Found = {
  readonly mutant: Mutant
  /** Undefined: it got through. */
  readonly checker: string | undefined
  readonly seeds: number | 'scenario'
  readonly seconds: number
}

const { values } = parseArgs({
  options: {
    /** Seeds for each mutant, at most. */
    seeds: { type: 'string', default: '400' },
    /** Only mutants whose name has this in it. */
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '2' },
  },
})

const seedArgs = ['test/simulator/main.ts', '--seeds', values.seeds, '--until-failure']
const seedsRan = /^seeds: (\d+) run/m
const seedFailed = /^seed \d+ has failed \(([^)]+)\)/m
/** A pattern that matches no scenario is an error. */
const scenariosRan = /^# tests ([1-9]\d*)$/m
/** From the failure that the scenario compares with `undefined`. */
const scenarioFailed = /^ +checker: '([^']+)'$/m

function scenarioArgs(scenario: string): readonly string[] {
  const pattern = `--test-name-pattern=^${scenario}`
  return ['--test', '--test-reporter=tap', pattern, 'test/simulator/scenarios.test.ts']
}

/** @returns what it writes to its standard output. */
async function run(args: readonly string[], cwd: string): Promise<string> {
  // It ends with us, for then nobody reads what it says.
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  await once(child, 'close')
  return said
}

/** A copy of the sources, without what Git does not know. */
function copyTree(to: string): void {
  const listed = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', ...folders],
    { cwd: root, encoding: 'utf8' },
  )
  for (const path of new Set(listed.split('\0').filter((name) => name !== ''))) {
    // Deleted, and Git does not know it yet.
    if (!existsSync(join(root, path))) continue
    mkdirSync(dirname(join(to, path)), { recursive: true })
    cpSync(join(root, path), join(to, path))
  }
  symlinkSync(join(root, 'node_modules'), join(to, 'node_modules'))
}

async function hunt(mutant: Mutant, trees: string): Promise<Found> {
  const tree = mkdtempSync(join(trees, 'tree-'))
  const startMs = performance.now()
  try {
    copyTree(tree)
    applyMutant(mutant, tree)
    const { scenario } = mutant
    const said = await run(scenario === undefined ? seedArgs : scenarioArgs(scenario), tree)
    const seconds = (performance.now() - startMs) / 1_000
    const [, ran] = (scenario === undefined ? seedsRan : scenariosRan).exec(said) ?? []
    if (ran === undefined) throw new Error(`Mutant "${mutant.name}" does not run at all.`)
    const [, checker] = (scenario === undefined ? seedFailed : scenarioFailed).exec(said) ?? []
    return { mutant, checker, seeds: scenario === undefined ? Number(ran) : 'scenario', seconds }
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

function show({ mutant, checker, seeds, seconds }: Found): string {
  const { name, breaks } = mutant
  const by = checker ?? 'NOT CAUGHT'
  return `| ${name} | ${breaks} | ${by} | ${seeds} | ${seconds.toFixed(0)} |\n`
}

async function main(): Promise<void> {
  const waiting = readMutants().filter(({ name }) => name.includes(values.only))
  const total = waiting.length
  for (const mutant of waiting) checkMutant(mutant, root)
  let missed = 0
  process.stdout.write('| defect | breaks | caught by | seeds | seconds |\n|---|---|---|---|---|\n')
  const trees = mkdtempSync(join(tmpdir(), 'tinymq-mutants-'))
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const found = await hunt(next, trees)
      if (found.checker === undefined) missed++
      process.stdout.write(show(found))
    }
  }
  try {
    await Promise.all(Array.from({ length: Number(values.jobs) }, work))
  } finally {
    rmSync(trees, { recursive: true, force: true })
  }
  process.stdout.write(`mutants: ${total - missed} of ${total} caught\n`)
  process.exitCode = missed === 0 && total > 0 ? 0 : 1
}

await main()
