/**
 * `npm test`: the tests that take Node and npm alone, within five minutes on two cores, and the sum
 * of them. `npm run test:long`: the same real processes at full size, and many seeds; what .ci/run
 * runs. Must never end with 0 when a part has failed, or print a sum that leaves one out.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

type Part = {
  readonly name: string
  readonly command: readonly string[]
  readonly scale?: string
  /** Test files at once: most wait for a clock, and what measures time runs alone. */
  readonly concurrency?: string
}

const long = process.argv.includes('--long')
const npm = (script: string, ...args: string[]): string[] => ['npm', 'run', '-s', script, ...args]
/** Restores, freezes, attacks, a million rows, every kind of row, npm: the long suite runs them. */
const longFiles = [
  'bench-command',
  'chaos',
  'data',
  'dead-peers-timing',
  'fault-places',
  'frozen-process',
  'hostile-http',
  'hostile-peers',
  'http-limits',
  'identity-*',
  'keys-flood',
  'lost-files',
  'million-rows-timing',
  'name-service',
  'observe-million-timing',
  'oldest-node',
  'package',
]
const files = (...patterns: string[]): string[] => npm('run-tests', '--', ...patterns)
const processes = (name: string): string[] => files(`test/**/${name}.process.test.ts`)
/** All but those of the simulator: its seeds are a part of their own. */
const unitFolders = 'daemon sdk cli e2e bench tools test/docs test/simulator/core'
const unitFiles = unitFolders.split(' ').map((folder) => `${folder}/**/*.test.ts`)

const parts: readonly Part[] = long
  ? [
      { name: 'simulator', command: npm('sim', '--', '--seeds', '200') },
      { name: 'scenarios', command: files('test/simulator/*.test.ts'), scale: '1' },
      { name: 'store faults', command: npm('test:faults'), scale: '11' },
      { name: 'processes', command: npm('test:process'), scale: '1' },
    ]
  : [
      { name: 'units', command: files(...unitFiles), scale: '0.1', concurrency: '2' },
      { name: 'simulator', command: npm('sim', '--', '--seeds', '12') },
      { name: 'build', command: npm('build') },
      {
        name: 'processes',
        command: processes(`!(*-timing|${longFiles.join('|')})`),
        scale: '0.05',
        concurrency: '4',
      },
      {
        name: 'timings',
        command: processes('{backlog,containment,million-inbox}-timing'),
        scale: '0.05',
      },
    ]

const sums = new Map([
  ['pass', 0],
  ['fail', 0],
  ['cancelled', 0],
  ['skipped', 0],
])
const reasons: string[] = []

function count(line: string): void {
  const [, name = '', number] = /^# (\w+) (\d+)$/.exec(line) ?? []
  const sum = sums.get(name)
  if (sum !== undefined) sums.set(name, sum + Number(number))
  if (/^# skipped \d+: /.test(line)) reasons.push(line.slice(2))
}

/** @returns whether it has passed. */
async function run({ command, scale, concurrency }: Part): Promise<boolean> {
  const [program = '', ...args] = command
  const env = { TINYMQ_TEST_SCALE: scale, TEST_CONCURRENCY: concurrency, ...process.env }
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  child.stdout.on('data', (chunk: Uint8Array) => void process.stdout.write(chunk))
  createInterface(child.stdout).on('line', count)
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('close', resolve)
  return (await promise) === 0
}

const seconds = (sinceMs: number): string =>
  `${((performance.now() - sinceMs) / 1_000).toFixed(0)} s`

const startMs = performance.now()
const lines: string[] = []
for (const part of parts) {
  const partMs = performance.now()
  process.stdout.write(`\n${part.name}:\n`)
  const hasPassed = await run(part)
  lines.push(`${part.name}: ${hasPassed ? 'passed' : 'FAILED'} in ${seconds(partMs)}`)
  if (!hasPassed) process.exitCode = 1
}
const of = (name: string): number => sums.get(name) ?? 0
lines.push(
  ...reasons,
  `in ${seconds(startMs)}`,
  `${of('pass')} passed, ${of('fail') + of('cancelled')} failed, ${of('skipped')} skipped`,
)
process.stdout.write(`\n${lines.join('\n')}\n`)
