/**
 * `npm run e2e:sabotage`: the stories against daemons with a planted fault, which must make them
 * fail. Each fault is an exact change of the compiled program in the image, so that what is told
 * about the stories here is told about the same program as elsewhere. Must never be content with a
 * failure for another reason: the sound image passes the same stories first, in the same time.
 */

import { deepEqual } from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { type Finding, readFindings, renderFindings } from './report.ts'

const { TINYMQ_E2E_IMAGE: soundImage = 'tinymq:e2e' } = process.env
const patienceSeconds = '120'

type Change = { readonly file: string; readonly old: string; readonly new: string }

type Fault = {
  readonly name: string
  readonly image: string
  readonly changes: readonly Change[]
  /** The files of the stories that must find it, and how they say so. */
  readonly files: readonly string[]
  readonly stories: readonly string[]
  readonly symptom: RegExp
}

const faults: readonly Fault[] = [
  {
    name: 'the confirm leaves before the commit',
    image: 'tinymq:e2e-early-confirm',
    changes: [
      {
        file: 'store/store.js',
        old: '            this.#commit(nowMs);\n            return results;',
        new: `            const early = results.filter(({ type }) => type === 'received');
            if (early.length > 0) globalThis.tinymqEarly(early);
            this.#commit(nowMs);
            return results;`,
      },
      {
        file: 'store-host.js',
        old: '        this.#events = events;\n',
        new: `        this.#events = events;
        globalThis.tinymqEarly = (results) => events.onResults(results, this.#takeEffort());
`,
      },
    ],
    // A kill alone finds it only now and then: the commit must fail for certain.
    files: ['surroundings'],
    stories: ['a full disk, and kill -9 on it'],
    symptom: /missing: /,
  },
  {
    name: 'the retransmission timer never runs',
    image: 'tinymq:e2e-no-retransmit',
    changes: [
      {
        file: 'protocol/transmission.js',
        old: '        return this.#ledger.deadlineUs();',
        new: '        return undefined;',
      },
    ],
    files: ['bad-links'],
    stories: ['all to all'],
    symptom: /^Waited /,
  },
]

const folder = '/opt/tinymq/dist/daemon'

const docker = (...words: readonly string[]): string =>
  execFileSync('docker', words, { encoding: 'utf8', maxBuffer: 64 * 1_048_576 })

/** The text with the change in it. @throws Error when that is not to be found, or twice. */
function changed(text: string, { file, old, new: changed }: Change): string {
  if (text.split(old).length === 2) return text.replace(old, () => changed)
  throw new Error(`${file} has changed: its sabotage must stand there exactly once:\n${old}`)
}

/** Makes the image with the fault. */
function build({ image, changes }: Fault): void {
  const context = mkdtempSync(join(tmpdir(), 'tinymq-sabotage-'))
  try {
    for (const change of changes) {
      const path = `${folder}/${change.file}`
      const words = ['run', '--rm', '--network', 'none', '--entrypoint', 'cat', soundImage, path]
      const target = join(context, 'daemon', change.file)
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, changed(docker(...words), change), { mode: 0o644 })
    }
    const recipe = `FROM ${soundImage}\nCOPY daemon ${folder}/\n`
    writeFileSync(join(context, 'Dockerfile'), recipe)
    docker('build', '--quiet', '--tag', image, context)
  } finally {
    rmSync(context, { recursive: true })
  }
}

/** What the fault's stories find with this image. */
function findingsWith(image: string, { files, stories }: Fault): Finding[] {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-sabotage-'))
  const report = join(directory, 'report.jsonl')
  writeFileSync(report, '')
  try {
    const pattern = stories.map((story) => `^${story}$`).join('|')
    const words = [
      '--test',
      '--test-concurrency=1',
      `--test-name-pattern=${pattern}`,
      '--test-reporter=./tools/test-reporter.ts',
      ...files.map((file) => `e2e/${file}.e2e.ts`),
    ]
    // Else it would take itself for a part of this test.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env
    spawnSync(process.execPath, words, {
      cwd: dirname(import.meta.dirname),
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...environment,
        TINYMQ_E2E_IMAGE: image,
        TINYMQ_E2E_REPORT: report,
        TINYMQ_E2E_PATIENCE_S: patienceSeconds,
      },
    })
    return readFindings(report)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** What is not as it must be about the stories; none when they find the fault and nothing else. */
function doubts(fault: Fault, sound: readonly Finding[], faulty: readonly Finding[]): string[] {
  return fault.stories.flatMap((story) => {
    const [without, within] = [sound, faulty].map((all) => all.find((it) => it.story === story))
    if (without === undefined || without.problem !== undefined) {
      return [`${story}: did not pass without the fault: ${without?.problem ?? 'no finding'}`]
    }
    if (within?.problem === undefined) return [`${story}: passed although ${fault.name}`]
    if (fault.symptom.test(within.problem)) return []
    return [`${story}: failed for another reason: ${within.problem}`]
  })
}

for (const fault of faults) {
  test(`the stories fail when ${fault.name}`, (t) => {
    build(fault)
    const sound = findingsWith(soundImage, fault)
    const faulty = findingsWith(fault.image, fault)
    t.diagnostic(`without the fault:\n${renderFindings(sound)}`)
    t.diagnostic(`with it:\n${renderFindings(faulty)}`)
    deepEqual(doubts(fault, sound, faulty), [])
  })
}
