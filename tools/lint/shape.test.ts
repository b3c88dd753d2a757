import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import {
  boundProblems,
  citationProblems,
  coreSizeProblems,
  exportProblems,
  nameProblems,
  sizeProblems,
} from './shape.ts'
import type { Problem } from './source.ts'

function where(problems: readonly Problem[]): string[] {
  return problems.map(({ path, line }) => `${path}:${line}`)
}

function lines(count: number): string {
  return 'a()\n'.repeat(count)
}

test('a line of 100 columns is fine, one of 101 is not, however many bytes they have', () => {
  const text = `${'é'.repeat(100)}\n${'a'.repeat(101)}\n`
  deepEqual(where(sizeProblems([{ path: 'a.ts', text }])), ['a.ts:2'])
  deepEqual(sizeProblems([{ path: 'a.md', text }]), [])
})

test('a file has 500 lines of code at most, a test 800; comments do not count', () => {
  const files = [
    { path: 'a.ts', text: `// why\n\n${lines(500)}` },
    { path: 'b.ts', text: lines(501) },
    { path: 'c.test.ts', text: lines(800) },
    { path: 'd.test.ts', text: lines(801) },
  ]
  deepEqual(where(sizeProblems(files)), ['b.ts:1', 'd.test.ts:1'])
})

test('the core has 6,700 lines of code at most without its tests', () => {
  const core = { path: 'daemon/protocol/a.ts', text: `// why\n\n${lines(6_700)}` }
  const tests = { path: 'daemon/protocol/a.test.ts', text: lines(9) }
  const more = { path: 'daemon/protocol/b.ts', text: 'a()' }
  deepEqual(coreSizeProblems([core, tests]), [])
  deepEqual(where(coreSizeProblems([core, more])), ['daemon/protocol/:1'])
})

test('names that are not kebab-case or say nothing are found', () => {
  const fine = [
    'sdk/read-inbox.ts',
    'test/a.process.test.ts',
    'e2e/image.e2e.ts',
    'cli/tinymq.js',
    'daemon/typesetting.ts',
    'daemon/http/page/parts/summary.tsx',
  ]
  const bad = [
    'sdk/readInbox.ts',
    'daemon/http/page/PeerTable.tsx',
    'sdk/Open.ts',
    'sdk/a_b.ts',
    'sdk/utils/a.ts',
    'sdk/types.ts',
  ]
  const problems = nameProblems([...fine, ...bad].map((path) => ({ path, text: '' })))
  deepEqual(
    problems.map(({ path }) => path),
    bad,
  )
})

test('a citation of a section that does not exist is found, in lists too', () => {
  const specification = '# The protocol\n## 4 Frames\n### 4.2 ACK\n'
  function cite(first: string, second: string): string[] {
    const text = `\n// PROTOCOL §${first}: "…". PROTOCOL.md §${second}, §4.2 and §4.`
    return where(citationProblems([{ path: 'a.ts', text }], specification))
  }
  deepEqual(cite('4', '4.2'), [])
  deepEqual(cite('4.3', '5'), ['a.ts:2', 'a.ts:2'])
  deepEqual(cite('4', '4.2, §9.1'), ['a.ts:2'])
})

test('a bound that the table has with another number, or lacks, is found', () => {
  const limits = { path: 'daemon/protocol/constants.ts', text: 'export const aMax = 1_024\n' }
  const problems = (row: string): Problem[] =>
    boundProblems([limits], `# A\n\n## What peers can fill\n\n${row}\n\n## B\n`)
  deepEqual(problems('| a | 1,024 (`aMax`) |'), [])
  deepEqual(problems('None: `aMax`.'), [])
  deepEqual(where(problems('| a | 1,025 (`aMax`) |')), ['ARCHITECTURE.md:5'])
  deepEqual(where(problems('| b | 7 (`bMax`) | `aMax` |')), ['ARCHITECTURE.md:5'])
  deepEqual(where(problems('| a | 1,024 |')), ['ARCHITECTURE.md:1'])
})

test('exports that the list lacks and names that the module lacks are found', () => {
  const text = [
    'export {',
    '  a,',
    '  type B,',
    '  c as d,',
    "} from './a.ts'",
    "export type { E } from './e.ts'",
    'export const f = 1',
    'export async function g() {}',
    'export class H {}',
    'export interface I {}',
  ].join('\n')
  const files = [{ path: 'sdk/index.ts', text }]
  const names = ['a', 'B', 'd', 'E', 'f', 'g', 'H', 'I']
  deepEqual(exportProblems(files, 'sdk/index.ts', names), [])
  deepEqual(exportProblems(files, 'sdk/index.ts', names.slice(1)).length, 1)
  deepEqual(exportProblems(files, 'sdk/index.ts', [...names, 'j']).length, 1)
  deepEqual(exportProblems([], 'sdk/index.ts', names), [])
})

test('exporting all of another module is an export of its own name', () => {
  const files = [{ path: 'sdk/index.ts', text: "export * from './a.ts'" }]
  deepEqual(exportProblems(files, 'sdk/index.ts', []).length, 1)
})
