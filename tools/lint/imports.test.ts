import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import {
  entriesOf,
  importsOf,
  layerProblems,
  loadedModuleProblems,
  orphanProblems,
} from './imports.ts'
import type { Problem } from './source.ts'

function where(problems: readonly Problem[]): string[] {
  return problems.map(({ path, line }) => `${path}:${line}`)
}

function layersOf(path: string, text: string): string[] {
  return where(layerProblems([{ path, text }], ['better-sqlite3', 'pino']))
}

test('every kind of import is seen', () => {
  const text = [
    "import { a } from './a.ts'",
    "import type { B } from '../b.ts'",
    "import 'node:fs'",
    'export {',
    '  c,',
    "} from '@scope/c/deep'",
    "const d = await import('./d.ts')",
    "new Worker(new URL('./e.ts', import.meta.url))",
    "const no = from('./f.ts')",
    "export type G = 'g'",
    "import h from 'h'",
  ].join('\n')
  deepEqual(
    importsOf({ path: 'x/y/z.ts', text }).map(
      ({ kind, target, line }) => `${line} ${kind} ${target}`,
    ),
    [
      '1 static x/y/a.ts',
      '2 type x/b.ts',
      '3 static node:fs',
      '6 static @scope/c',
      '7 dynamic x/y/d.ts',
      '8 file x/y/e.ts',
      '11 static h',
    ],
  )
})

test('the core imports nothing from outside itself', () => {
  const text =
    "import './b.ts'\nimport 'node:fs'\nimport type { A } from '../store/a.ts'\nimport 'x'"
  deepEqual(layersOf('daemon/protocol/a.ts', text), [
    'daemon/protocol/a.ts:2',
    'daemon/protocol/a.ts:3',
    'daemon/protocol/a.ts:4',
  ])
  deepEqual(layersOf('daemon/protocol/a.test.ts', text), [])
})

test('the store imports the schema, the errors and values of the core', () => {
  const fine = [
    '../../sdk/schema/tables.ts',
    '../../sdk/schema/errors.ts',
    '../protocol/store-messages.ts',
    'node:fs',
  ]
  const bad = ['../../sdk/open.ts', '../protocol/session/lane.ts', '../event-loop.ts', 'pino']
  const text = [...fine, 'better-sqlite3', ...bad].map((target) => `import '${target}'`).join('\n')
  deepEqual(
    layersOf('daemon/store/a.ts', text),
    [6, 7, 8, 9].map((line) => `daemon/store/a.ts:${line}`),
  )
})

test('of the daemon, the status page knows only the types of what comes over HTTP', () => {
  const fine = ["import type { A } from '../../api-types.ts'", "import '../a.css'"]
  const bad = ["import { a } from '../../api-types.ts'", "import '../../listener.ts'", "import 'x'"]
  const text = [...fine, "import 'preact/hooks'", ...bad].join('\n')
  deepEqual(
    layersOf('daemon/http/page/parts/a.tsx', text),
    [4, 5, 6].map((line) => `daemon/http/page/parts/a.tsx:${line}`),
  )
  const view = "import { a } from '../parts/a.tsx'\nimport 'preact'"
  deepEqual(layersOf('daemon/http/page/model/a.ts', view), [
    'daemon/http/page/model/a.ts:1',
    'daemon/http/page/model/a.ts:2',
  ])
})

test('the SDK never imports the daemon, its tests neither', () => {
  const text = "import type { A } from '../../daemon/a.ts'"
  deepEqual(layersOf('sdk/a.ts', text), ['sdk/a.ts:1'])
  deepEqual(layersOf('sdk/a.test.ts', text), ['sdk/a.test.ts:1'])
})

test('what is published imports no development dependency and no other folder', () => {
  const text = "import 'pino'\nimport 'fast-check'\nimport '../bench/a.ts'"
  deepEqual(layersOf('daemon/a.ts', text), ['daemon/a.ts:2', 'daemon/a.ts:3'])
})

test('what is published imports no test and nothing that only tests use', () => {
  const text = "import './a.test.ts'\nimport '../../test/support/pair.ts'"
  deepEqual(layersOf('daemon/protocol/a.ts', text), [
    'daemon/protocol/a.ts:1',
    'daemon/protocol/a.ts:2',
  ])
  deepEqual(layersOf('test/support/b.ts', text), [])
})

test('benchmarks and process tests import anything', () => {
  const text = "import '../../daemon/a.ts'\nimport 'fast-check'"
  deepEqual(
    ['bench/a.ts', 'test/a.ts'].flatMap((path) => layersOf(path, text)),
    [],
  )
})

test('a module that an entry loads through others is found, a type or a late import is not', () => {
  const files = [
    { path: 'sdk/index.ts', text: "export { a } from './a.ts'\nimport 'better-sqlite3'" },
    {
      path: 'sdk/a.ts',
      text: "import type { T } from 't'\nimport('late')\nimport { p } from 'pino'",
    },
    { path: 'sdk/other.ts', text: "import 'commander'" },
  ]
  deepEqual(where(loadedModuleProblems(files, 'sdk/index.ts', ['better-sqlite3'])), ['sdk/a.ts:3'])
})

test('a file that nothing imports is found, an entry is not', () => {
  const files = [
    { path: 'a.ts', text: "import './b.ts'" },
    { path: 'b.ts', text: '' },
    { path: 'c.ts', text: "import './c.ts'" },
    { path: 'd.test.ts', text: '' },
  ]
  deepEqual(where(orphanProblems(files, ['a.ts'])), ['c.ts:1'])
})

test('the entries are the sources of what package.json names', () => {
  const packageJson = '"dist/cli/t.js" "./dist/sdk/index.js" "node bench/main.ts" "./tools/r.ts"'
  deepEqual(entriesOf(packageJson), ['cli/t.js', 'sdk/index.ts', 'bench/main.ts', 'tools/r.ts'])
})
