/**
 * Runs what README.md and docs/*.md show, block by block, against a daemon on a file of its own
 * that is MachineA and MachineB at once. A block that this cannot run says so in its first line,
 * after the language: `docker` needs Docker, `hosts` several machines, `project` runs in a clone.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine } from './harness/machine.ts'
import { Scene } from './harness/scene.ts'

const root = join(import.meta.dirname, '..')
const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
const tsconfig = {
  files: ['block.mts'],
  compilerOptions: {
    strict: true,
    noEmit: true,
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable'],
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')],
  },
}
const marks = ['docker', 'hosts', 'project']

/** A block that is a test is a run of its own, not a part of this one. */
const { NODE_TEST_CONTEXT: _, ...freeEnvironment } = process.env

// A consumer goes on until it is told to end; everything else ends by itself.
const runMs = 3_000
const endMs = 20_000

type Block = {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly mark: string
  readonly text: string
}

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), 'utf8')
  const fences = text.matchAll(/^ *```(\w+)(?: (.*))?\n([^]*?)^ *```$/gm)
  return Array.from(fences, ({ index, 1: language = '', 2: mark = '', 3: body = '' }) => ({
    page,
    line: text.slice(0, index).split('\n').length,
    language,
    mark,
    text: body,
  })).filter(({ language }) => ['ts', 'sh', 'sql', 'python'].includes(language))
}

/** The block with the names of the test in the place of those of the page. */
function localized(text: string, { database, port }: Machine): string {
  return text
    .replaceAll('/var/tmp/tinymqdb', database)
    .replaceAll(/'Machine[ABC]', ?'?9000'?/g, `'127.0.0.1', ${port}`)
    .replaceAll(/host: 'Machine[ABC]', port: 9000/g, `host: '127.0.0.1', port: ${port}`)
}

async function execute(
  command: string,
  args: string[],
  cwd: string,
  goesOn = false,
): Promise<string> {
  const child = spawn(command, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: freeEnvironment,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  }
  const exited = once(child, 'exit')
  if (goesOn && (await Promise.race([exited, sleep(runMs)])) === undefined) child.kill('SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), endMs)
  const [code, signal] = (await exited) as [number | null, string | null]
  clearTimeout(kill)
  deepEqual({ code, signal }, { code: 0, signal: null }, output)
  return output
}

async function runBlock({ language, text }: Block, machine: Machine, cwd: string): Promise<string> {
  const body = localized(text, machine)
  if (language === 'sql') return machine.sql(body)
  if (language === 'python') return execute('python3', ['-c', body], cwd)
  if (language === 'sh') return execute('bash', ['-euo', 'pipefail', '-c', body], cwd)
  writeFileSync(join(cwd, 'block.mts'), body)
  writeFileSync(join(cwd, 'tsconfig.json'), JSON.stringify(tsconfig))
  await execute(process.execPath, [tsc], cwd)
  const goesOn = /\bconsume|\binbox\(|\bonRequest\b|for await/.test(body)
  return execute(process.execPath, ['block.mts'], cwd, goesOn && !body.includes("'node:test'"))
}

for (const page of pages) {
  test(`what ${page} shows runs as it stands`, async (t) => {
    const scene = new Scene(t)
    const machine = await scene.running('a')
    mkdirSync(join(scene.directory, 'node_modules'))
    symlinkSync(root, join(scene.directory, 'node_modules', 'tinymq'))
    const blocks = blocksOf(page)
    let run = 0
    for (const block of blocks) {
      if (block.mark !== '') {
        ok(marks.includes(block.mark), `${page}:${block.line} has the mark ${block.mark}.`)
        continue
      }
      try {
        const output = await runBlock(block, machine, scene.directory)
        t.diagnostic(`${page}:${block.line} ${output.trim().replaceAll('\n', ' | ')}`)
      } catch (error) {
        throw new Error(`${page}:${block.line} does not run.`, { cause: error })
      }
      run++
    }
    t.diagnostic(`${run} of ${blocks.length} blocks were run`)
    equal(machine.daemon.hasEnded, false)
  })
}
