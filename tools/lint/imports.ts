/**
 * Who imports whom: the edges between the repository's files and out of it, and the rules over
 * them. Must never read a file: it is given them all.
 */
import { posix } from 'node:path'
import {
  isCode,
  isTest,
  lineAt,
  maskedFile,
  startsWithOneOf,
  type Problem,
  type SourceFile,
} from './source.ts'

/** `file` is a path given to `new URL`: how a worker is started. */
type ImportKind = 'static' | 'type' | 'dynamic' | 'file'

type Import = {
  readonly kind: ImportKind
  /** A path of the repository if `isOwn`; else `node:…` or a package's name. */
  readonly target: string
  readonly isOwn: boolean
  readonly line: number
}

function importKind(codeBefore: string): ImportKind | undefined {
  if (/\bimport\s*\(\s*$/.test(codeBefore)) return 'dynamic'
  if (/\bnew\s+URL\s*\(\s*$/.test(codeBefore)) return 'file'
  if (/\bimport\s*$/.test(codeBefore)) return 'static'
  if (!/\bfrom\s*$/.test(codeBefore)) return undefined
  const keyword = Array.from(codeBefore.matchAll(/\b(?:import|export)\b/g)).at(-1)
  const statement = codeBefore.slice(keyword?.index ?? 0)
  return /^(?:import|export)\s+type\s+[{*\w]/.test(statement) ? 'type' : 'static'
}

function importTarget(path: string, specifier: string): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(path), specifier)
  if (specifier.startsWith('node:')) return specifier
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Everything that a file imports, in the file's order. */
export function importsOf(file: SourceFile): Import[] {
  const { code, strings } = maskedFile(file)
  return strings.flatMap(({ start, text }) => {
    const kind = importKind(code.slice(Math.max(0, start - 2_000), start))
    const isOwn = text.startsWith('.')
    if (kind === undefined || (kind === 'file' && !isOwn)) return []
    const target = importTarget(file.path, text)
    return [{ kind, target, isOwn, line: lineAt(file.text, start) }]
  })
}

type Layer = {
  /** The folder that this layer is. The longest that fits counts. */
  readonly at: string
  /** What lies below it, and may be imported: folders, or files of them. */
  readonly own: readonly string[]
  /** Files of which it may know the types. */
  readonly ownTypes?: readonly string[]
  /** Modules from outside: those of package.json, or those that begin like this. */
  readonly modules: 'dependencies' | readonly string[]
  /** Tests of this layer are held to `own` too. */
  readonly withTests?: boolean
}

/** The daemon's folders, each of which may import those before it; its root may import all. */
const daemonFolders = ['protocol', 'store', 'platform', 'diagnostics', 'http'].map(
  (name) => `daemon/${name}/`,
)
const below = (folder: string): readonly string[] => [
  'sdk/schema/',
  ...daemonFolders.slice(0, daemonFolders.indexOf(folder)),
]

/** A folder imports itself and what lies below it: see ARCHITECTURE.md. */
const layers: readonly Layer[] = [
  { at: 'sdk/schema/', own: [], modules: ['node:', 'better-sqlite3'], withTests: true },
  { at: 'sdk/', own: ['sdk/schema/'], modules: 'dependencies', withTests: true },
  { at: 'daemon/protocol/', own: [], modules: [] },
  {
    at: 'daemon/store/',
    // Of the core: values and codecs, never a part that holds a session's state.
    own: [
      'sdk/schema/',
      'daemon/protocol/assert.ts',
      'daemon/protocol/constants.ts',
      'daemon/protocol/store-messages.ts',
      'daemon/protocol/codec/',
    ],
    modules: ['node:', 'better-sqlite3'],
  },
  ...daemonFolders.slice(2).map((at) => ({ at, own: below(at), modules: 'dependencies' as const })),
  // The status page runs in a browser: of the daemon it knows only what comes over HTTP.
  {
    at: 'daemon/http/page/model/',
    own: [],
    ownTypes: ['daemon/http/api-types.ts'],
    modules: [],
  },
  {
    at: 'daemon/http/page/',
    own: ['daemon/http/page/model/'],
    ownTypes: ['daemon/http/api-types.ts'],
    modules: ['preact', 'uplot'],
  },
  { at: 'daemon/', own: ['sdk/schema/'], modules: 'dependencies' },
  { at: 'cli/', own: ['daemon/', 'sdk/'], modules: 'dependencies' },
  // Nodes and containers for users' tests; what containers take are optional peers.
  {
    at: 'sdk/testing/',
    own: ['sdk/', 'daemon/', 'cli/'],
    modules: ['node:', 'better-sqlite3', 'testcontainers'],
  },
]

const layerOf = (path: string): Layer | undefined =>
  layers
    .filter(({ at }) => path.startsWith(at))
    .toSorted((one, other) => other.at.length - one.at.length)[0]

function mayImport(
  layer: Layer,
  edge: Import,
  dependencies: readonly string[],
  test: boolean,
): boolean {
  if (edge.isOwn && !test && isTest(edge.target)) return false
  const isWithin = edge.target.startsWith(layer.at)
  // Of two folders, one in the other, only the inner one is meant by its name.
  if (edge.isOwn && isWithin && layerOf(edge.target) === layer) return true
  if (edge.isOwn && startsWithOneOf(edge.target, layer.own)) return true
  // Never the daemon: who uses the SDK alone tests it alone.
  if (edge.isOwn && test && startsWithOneOf(edge.target, ['sdk/', 'test/support/'])) return true
  if (edge.isOwn && layer.at === 'daemon/' && isWithin) return true
  if (edge.isOwn) return edge.kind === 'type' && startsWithOneOf(edge.target, layer.ownTypes ?? [])
  if (test) return true
  if (layer.modules !== 'dependencies') return startsWithOneOf(edge.target, layer.modules)
  // `tinymq` itself resolves only once it is built; its package.json always does.
  return edge.target.startsWith('node:') || [...dependencies, 'tinymq'].includes(edge.target)
}

/** `dependencies`: the packages that are installed with ours, as in package.json. */
export function layerProblems(
  files: readonly SourceFile[],
  dependencies: readonly string[],
): Problem[] {
  return files.flatMap((file) => {
    const layer = layerOf(file.path)
    const test = isTest(file.path)
    if (layer === undefined || (test && layer.withTests !== true)) return []
    return importsOf(file)
      .filter((edge) => !mayImport(layer, edge, dependencies, test))
      .map(({ target, line }) => ({
        path: file.path,
        line,
        fix:
          `${layer.at} may not import ${target}: pass in what is needed, or move the code ` +
          'to a layer that may (ARCHITECTURE.md).',
      }))
  })
}

/** Third-party modules that are loaded with `entry`, other than those in `allowed`. */
export function loadedModuleProblems(
  files: readonly SourceFile[],
  entry: string,
  allowed: readonly string[],
): Problem[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const reached = new Set([entry])
  const problems: Problem[] = []
  for (const path of reached) {
    const file = byPath.get(path)
    if (file === undefined) continue
    for (const { kind, target, isOwn, line } of importsOf(file)) {
      if (kind !== 'static') continue
      if (isOwn) reached.add(target)
      else if (!target.startsWith('node:') && !allowed.includes(target)) {
        const fix = `${entry} would load ${target}: load it with import() where it is used.`
        problems.push({ path, line, fix })
      }
    }
  }
  return problems
}

/** TypeScript files that nothing imports; `entries` are started by name. */
export function orphanProblems(
  files: readonly SourceFile[],
  entries: readonly string[],
): Problem[] {
  const code = files.filter((file) => isCode(file.path))
  const imported = new Set(
    code.flatMap((file) =>
      importsOf(file).flatMap(({ target }) => (target === file.path ? [] : [target])),
    ),
  )
  return code
    .map(({ path }) => path)
    .filter((path) => /\.tsx?$/.test(path) && !/\.(?:test|e2e)\.ts$/.test(path))
    .filter((path) => !imported.has(path) && !entries.includes(path))
    .map((path) => ({
      path,
      line: 1,
      fix: 'Nothing imports this file: delete it, import it, or name it in package.json.',
    }))
}

/** The sources that package.json names: in its scripts, its exports and its bin. */
export function entriesOf(packageJson: string): string[] {
  const named = packageJson.matchAll(/[\w./-]+\.[jt]s\b/g)
  return Array.from(named, ([path]) =>
    posix
      .normalize(path)
      .replace(/^dist\/(?!cli\/)(.*)\.js$/, '$1.ts')
      .replace(/^dist\//, ''),
  )
}
