import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import type { Problem, SourceFile } from './source.ts'
import {
  impurityProblems,
  leftoverProblems,
  lockfileHostProblems,
  machinePathProblems,
  pageModelProblems,
  plainWordProblems,
  processProblems,
} from './words.ts'

type Rule = (files: readonly SourceFile[]) => Problem[]

/** The lines of `texts` that break the rule, each text being one line of the file at `path`. */
function broken(rule: Rule, path: string, ...texts: string[]): number[] {
  return rule([{ path, text: texts.join('\n') }]).map(({ line }) => line)
}

/** What this file may not hold in one piece, or it would break the rules that it tests. */
function whole(...halves: string[]): string {
  return halves.join('')
}

test('the core may not name a clock, a timer, chance, I/O or a promise', () => {
  const breaches = [
    'const now = Date.now()',
    'let a: Promise<void>',
    'f(Math.random())',
    'f(...process.argv)',
    'new Buffer(1)',
    'async function f() {}',
    'setTimeout(f, 1)',
    'const { subtle } = globalThis.x',
  ]
  const all = breaches.map((_, index) => index + 1)
  deepEqual(broken(impurityProblems, 'daemon/protocol/a.ts', ...breaches), all)
  deepEqual(broken(impurityProblems, 'daemon/protocol/a.test.ts', ...breaches), [])
  deepEqual(broken(impurityProblems, 'daemon/event-loop.ts', ...breaches), [])
})

test('a comment, a string, a longer word or a member may be called as a clock is', () => {
  const fine = [
    '// Date',
    "f('Promise')",
    'ArrayBuffer',
    'DateTime',
    'a.process',
    'a?.crypto',
    '/x.Date/',
  ]
  deepEqual(broken(impurityProblems, 'daemon/protocol/a.ts', ...fine), [])
})

test('the model of the page may not name the browser, a clock or a timer', () => {
  const breaches = ['document.title', 'f(Date.now())', 'await fetch(a)', 'setTimeout(f, 1)']
  deepEqual(broken(pageModelProblems, 'daemon/http/page/model/a.ts', ...breaches), [1, 2, 3, 4])
  deepEqual(broken(pageModelProblems, 'daemon/http/page/client/a.ts', ...breaches), [])
  const fine = ['new Date(at)', 'a.location', "'document'", 'documents']
  deepEqual(broken(pageModelProblems, 'daemon/http/page/model/a.ts', ...fine), [])
})

test('notes to self are found in code, comments and pages', () => {
  const notes = [
    whole('// TO', 'DO later'),
    whole('FIX', 'ME'),
    whole('(XX', 'X)'),
    whole('HA', 'CK:'),
    'mktemp -t aXXXXXX',
  ]
  deepEqual(broken(leftoverProblems, 'sdk/a.ts', ...notes), [1, 2, 3, 4])
  deepEqual(broken(leftoverProblems, 'README.md', ...notes), [1, 2, 3, 4])
})

test('words of our own are found in code, comments and pages, but not in the changelog', () => {
  const breaches = [
    whole('// to m', 'end it'),
    whole('Stran', 'gers beside it'),
    whole('what is ', 'told'),
    whole('an', 'ew'),
  ]
  deepEqual(
    broken(plainWordProblems, 'sdk/a.ts', ...breaches).toSorted((a, b) => a - b),
    [1, 2, 3, 4],
  )
  deepEqual(broken(plainWordProblems, 'docs/a.md', ...breaches).length, 4)
  deepEqual(broken(plainWordProblems, 'CHANGELOG.md', ...breaches), [])
  deepEqual(broken(plainWordProblems, 'sdk/a.ts', 'amend', 'recommended', 'a newer one'), [])
})

test('silenced types and switched-off tests are found', () => {
  const breaches = [
    whole('// @ts-', 'ignore'),
    'a as any',
    whole('test.', 'only(f)'),
    whole('it.', 'skip(f)'),
    't.skip()',
    '{ only: true }',
  ]
  deepEqual(
    broken(leftoverProblems, 'sdk/a.test.ts', ...breaches).toSorted((a, b) => a - b),
    [1, 2, 3, 4, 5, 6],
  )
  deepEqual(broken(leftoverProblems, 'sdk/a.ts', 'reader.skip(4)', "'as any'", '// as any'), [])
})

test('the process is touched in the entry and its config only', () => {
  const breaches = ['process.exit(1)', 'f(process.env.A)', 'process.exitCode = 1']
  deepEqual(broken(processProblems, 'daemon/instance.ts', ...breaches), [1, 2])
  deepEqual(broken(processProblems, 'sdk/open.ts', ...breaches), [1, 2])
  for (const path of [
    'cli/tinymq.js',
    'daemon/main.ts',
    'daemon/platform/config/parse.ts',
    'cli/send.ts',
  ]) {
    deepEqual(broken(processProblems, path, ...breaches), [])
  }
})

test('a path of one machine is found, a documented example and a relative path are not', () => {
  const breaches = [
    whole('/', 'work/main/a'),
    whole('"/', 'root/.npmrc"'),
    whole('cd /', 'home/ada/x'),
    whole('/', 'farm/a'),
  ]
  deepEqual(broken(machinePathProblems, 'README.md', ...breaches), [1, 2, 3, 4])
  const fine = [
    '/var/tmp/tinymqdb',
    'docs/work/a',
    '/home/node/app',
    'https://a.org/work/b',
    '/workers/a',
  ]
  deepEqual(broken(machinePathProblems, 'README.md', ...fine), [])
})

test('a registry in the lockfile is found, a folder is not', () => {
  const lines = ['"resolved": "https://a.org/b.tgz"', '"resolved": "tools/node24",']
  deepEqual(broken(lockfileHostProblems, 'package-lock.json', ...lines), [1])
})
