/**
 * The test that polices the code (after TigerBeetle's tidy.zig): the house's rules over every file
 * that git tracks or would track. The rules are in tools/lint/, each with a planted breach in its
 * test.
 */
import { ok } from 'node:assert/strict'
import { join } from 'node:path'
import { test as testOf } from 'node:test'
import { needs } from '../../test/support/needs.ts'
import { entriesOf, layerProblems, loadedModuleProblems, orphanProblems } from './imports.ts'
import {
  boundProblems,
  citationProblems,
  coreSizeProblems,
  exportProblems,
  nameProblems,
  sizeProblems,
} from './shape.ts'
import { listPaths, readSources, type Problem } from './source.ts'
import {
  impurityProblems,
  leftoverProblems,
  lockfileHostProblems,
  machinePathProblems,
  pageModelProblems,
  plainWordProblems,
  processProblems,
} from './words.ts'

/** All that `import … from 'tinymq'` offers. Each name is a promise to users: add with care. */
const sdkExports: readonly string[] = [
  'ConsumeOptions',
  'DeliveredOptions',
  'Headers',
  'InboxMessage',
  'Message',
  'OutgoingMessage',
  'ReadInboxOptions',
  'SendOptions',
  'SqliteHandle',
  'Tinymq',
  'TinymqError',
  'TinymqErrorCode',
  'open',
  'sendStatement',
]

/** All that `import … from 'tinymq/testing'` offers, for the tests of users. */
const testingExports: readonly string[] = [
  'LinkConditions',
  'NodeLab',
  'StartNodesOptions',
  'TestNode',
  'WaitOptions',
  'startNodes',
]

/** All that `import … from 'tinymq/testing/containers'` offers, for those who have Docker. */
const containerExports: readonly string[] = ['StartedTinymqContainer', 'TinymqContainer']

/** Named in places that hold no import: a page of HTML, and the compiler's options. */
const entries: readonly string[] = ['daemon/http/page/main.tsx', 'tools/node24-types.ts']

const root = join(import.meta.dirname, '..', '..')
// Which files are the repository's, only git knows.
const skip = needs('git')
const test = (name: string, run: () => void): void => void testOf(name, { skip }, run)
const [tracked, untracked] =
  skip === false ? [listPaths(root, 'tracked'), listPaths(root, 'untracked')] : [[], []]
const files = readSources(root, [...new Set([...tracked, ...untracked])])

function textOf(path: string): string | undefined {
  return files.find((file) => file.path === path)?.text
}

function none(problems: readonly Problem[]): void {
  const lines = problems.map(({ path, line, fix }) => `${path}:${line} ${fix}`)
  ok(problems.length === 0, `\n${lines.join('\n')}`)
}

const packageJson = textOf('package.json') ?? '{}'

test('a layer imports only from the layers and modules that it may', () => {
  const { dependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(
    packageJson,
  ) as Record<string, Record<string, unknown>>
  // npm installs a peer that is not optional.
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => !peerDependenciesMeta?.[name])
  none(layerProblems(files, [...Object.keys(dependencies ?? {}), ...peers]))
})

test('importing the SDK loads better-sqlite3 and nothing else', () => {
  none(loadedModuleProblems(files, 'sdk/index.ts', ['better-sqlite3']))
})

test('what helps the tests of users loads better-sqlite3 and the logger of the daemon', () => {
  none(loadedModuleProblems(files, 'sdk/testing/index.ts', ['better-sqlite3', 'pino']))
})

test('the SDK exports what its list says', () => {
  none(exportProblems(files, 'sdk/index.ts', sdkExports))
  none(exportProblems(files, 'sdk/require-types.d.cts', sdkExports))
  none(exportProblems(files, 'sdk/testing/index.ts', testingExports))
  none(exportProblems(files, 'sdk/testing/containers.ts', containerExports))
})

test('every file is imported by another or started by name', () => {
  // A file that is not committed yet may come before the one that imports it.
  none(orphanProblems(files, [...entriesOf(packageJson), ...entries, ...untracked]))
})

test('the protocol core names no clock, timer, chance, I/O or promise', () => {
  none(impurityProblems(files))
})

test('the model of the status page names no browser, clock or timer', () => {
  none(pageModelProblems(files))
})

test('lines and files are of a size that a reader can hold', () => {
  none(sizeProblems(files))
})

test('the whole protocol core is of a size that a reader can hold', () => {
  none(coreSizeProblems(files))
})

test('ARCHITECTURE.md has every bound of what peers can fill, as it is', () => {
  none(boundProblems(files, textOf('ARCHITECTURE.md') ?? ''))
})

test('every section of PROTOCOL.md that is cited exists', () => {
  none(citationProblems(files, textOf('daemon/protocol/PROTOCOL.md') ?? ''))
})

test('files have names in kebab-case that say something', () => {
  none(nameProblems(files))
})

test('nothing is left for later, silenced or switched off', () => {
  none(leftoverProblems(files))
})

test('code and docs use plain words', () => {
  none(plainWordProblems(files))
})

test('only the entry and its config touch the environment and end the process', () => {
  none(processProblems(files))
})

test('no file holds a path of one machine', () => {
  none(machinePathProblems(files))
})

test('the lockfile names no registry', () => {
  none(lockfileHostProblems(files))
})
