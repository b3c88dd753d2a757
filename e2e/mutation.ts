/**
 * Runs stories against images with a planted fault, which must make them fail. Each fault is a
 * change of one part of the program in the image, so that what is found out about the stories here
 * holds for the same program as elsewhere. Must never be content with a failure for another reason:
 * the sound image passes the same stories first, in the same time.
 */

import { deepEqual } from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { Change, Fault } from './faults.ts'
import { type Finding, readFindings, renderFindings } from './report.ts'

const { TINYMQ_E2E_IMAGE: soundImage = 'tinymq:e2e' } = process.env
const root = join(import.meta.dirname, '..')
const compiled = '/opt/tinymq/dist'
const image = `tinymq-mutation:${process.pid}`

const docker = (...words: readonly string[]): string =>
  execFileSync('docker', words, { encoding: 'utf8', maxBuffer: 64 * 1_048_576 })

/** The sources with the changes in them. @throws Error when one is not to be found, or twice. */
export function changedSources(changes: readonly Change[]): Map<string, string> {
  const sources = new Map<string, string>()
  for (const { file, old, new: changed } of changes) {
    const text = sources.get(file) ?? readFileSync(join(root, file), 'utf8')
    if (text.split(old).length !== 2) {
      throw new Error(`${file} has changed: this must be there exactly once, correct it:\n${old}`)
    }
    sources.set(
      file,
      text.replace(old, () => changed),
    )
  }
  return sources
}

/** As the compiler makes it, but for the types, which are blanks. */
const compile = (source: string): string =>
  stripTypeScriptTypes(source).replaceAll(/((?:from |import )'\.[^']*)\.ts'/g, "$1.js'")

/** Makes the image with the fault. */
function build({ changes }: Fault): void {
  const context = mkdtempSync(join(tmpdir(), 'tinymq-mutation-'))
  try {
    for (const [file, source] of changedSources(changes)) {
      const target = join(context, 'dist', file.replace(/\.ts$/, '.js'))
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, compile(source), { mode: 0o644 })
    }
    writeFileSync(join(context, 'Dockerfile'), `FROM ${soundImage}\nCOPY dist ${compiled}/\n`)
    docker('build', '--quiet', '--tag', image, context)
  } finally {
    rmSync(context, { recursive: true })
  }
}

/** What these stories of a file find with this image. */
async function findingsWith(
  name: string,
  file: string,
  stories: readonly string[],
  patienceSeconds: number,
): Promise<Finding[]> {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-mutation-'))
  const report = join(directory, 'report.jsonl')
  writeFileSync(report, '')
  try {
    const words = [
      '--test',
      '--test-concurrency=1',
      `--test-name-pattern=${stories.map((story) => `^${story}$`).join('|')}`,
      '--test-reporter=./tools/test-reporter.ts',
      `e2e/${file}.e2e.ts`,
    ]
    // Else it would take itself for a part of this test.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env
    const child = spawn(process.execPath, words, {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...environment,
        TINYMQ_E2E_IMAGE: name,
        TINYMQ_E2E_REPORT: report,
        TINYMQ_E2E_PATIENCE_S: String(patienceSeconds),
      },
    })
    await once(child, 'exit')
    return readFindings(report)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** What is not as it must be about the stories; none when they find the fault and nothing else. */
function doubts(fault: Fault, sound: readonly Finding[], faulty: readonly Finding[]): string[] {
  return Object.values(fault.stories)
    .flat()
    .flatMap((story) => {
      const [without, within] = [sound, faulty].map((all) => all.find((it) => it.story === story))
      if (without === undefined || without.problem !== undefined) {
        return [`${story}: did not pass without the fault: ${without?.problem ?? 'no finding'}`]
      }
      if (within?.problem === undefined) return [`${story}: passed although ${fault.name}`]
      if (fault.symptom.test(within.problem)) return []
      return [`${story}: failed for another reason: ${within.problem}`]
    })
}

/** One test for each fault; the sound image runs the stories of a file before. */
export function testFaults(faults: readonly Fault[], patienceSeconds: number): void {
  const sound = new Map<string, Promise<Finding[]>>()
  const soundIn = async (file: string): Promise<Finding[]> => {
    const stories = new Set(faults.flatMap((fault) => fault.stories[file] ?? []))
    const found = sound.get(file) ?? findingsWith(soundImage, file, [...stories], patienceSeconds)
    sound.set(file, found)
    return found
  }
  for (const fault of faults) {
    test(`the stories fail when ${fault.name}`, async (t) => {
      t.after(() => docker('image', 'rm', '--force', image))
      const without: Finding[] = []
      const within: Finding[] = []
      for (const file of Object.keys(fault.stories)) without.push(...(await soundIn(file)))
      build(fault)
      for (const [file, stories] of Object.entries(fault.stories)) {
        within.push(...(await findingsWith(image, file, stories, patienceSeconds)))
      }
      t.diagnostic(`without the fault:\n${renderFindings(without)}`)
      t.diagnostic(`with it:\n${renderFindings(within)}`)
      deepEqual(doubts(fault, without, within), [])
    })
  }
}
