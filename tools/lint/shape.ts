/**
 * Rules over whole files: their sizes, their names, the sections of PROTOCOL.md that they cite, and
 * what the SDK exports. The length of functions is the linter's (max-lines-per-function).
 */
import { posix } from 'node:path'
import {
  isCode,
  isTest,
  lineAt,
  maskedFile,
  matchProblems,
  type Problem,
  type SourceFile,
} from './source.ts'

// Of code, as below. A class or a table is one file, however many there are.
const fileLinesMax = 500
const testLinesMax = 800
const lineColumnsMax = 100
// Lines of code: comments and blank lines are what a reader is helped by, not what he must hold.
// ARCHITECTURE.md says why it is more than the 4,000 of a smaller protocol.
const coreCodeLinesMax = 6_700

/** Lines that are too long, files of too many lines of code. */
export function sizeProblems(files: readonly SourceFile[]): Problem[] {
  return files
    .filter(({ path }) => isCode(path))
    .flatMap((file) => {
      const { path, text } = file
      const linesMax = isTest(path) ? testLinesMax : fileLinesMax
      const lines = codeLineCount(file)
      const tooLong = matchProblems(
        file,
        text,
        new RegExp(`^.{${lineColumnsMax + 1},}$`, 'gmu'),
        () => `The line is longer than ${lineColumnsMax} columns: wrap it.`,
      )
      if (lines <= linesMax) return tooLong
      const fix = `${lines} lines of code, of ${linesMax}: split the file by concept.`
      return [...tooLong, { path, line: 1, fix }]
    })
}

function codeLineCount(file: SourceFile): number {
  return maskedFile(file)
    .code.split('\n')
    .filter((line) => line.trim() !== '').length
}

/** The whole protocol core, without its tests. */
export function coreSizeProblems(files: readonly SourceFile[]): Problem[] {
  const core = files.filter(
    ({ path }) => path.startsWith('daemon/protocol/') && isCode(path) && !isTest(path),
  )
  const lines = core.reduce((sum, file) => sum + codeLineCount(file), 0)
  if (lines <= coreCodeLinesMax) return []
  const fix = `${lines} lines of code, of ${coreCodeLinesMax}: which part does not earn its place?`
  return [{ path: 'daemon/protocol/', line: 1, fix }]
}

const fileName =
  /^[a-z0-9]+(?:-[a-z0-9]+)*(?:(?:\.process)?\.test|\.process|\.e2e)?\.(?:[jt]s|tsx)$/
const emptyNames = new Set(['util', 'utils', 'helper', 'helpers', 'common', 'types', 'misc'])

/** Names that are not kebab-case, or that say nothing. */
export function nameProblems(files: readonly SourceFile[]): Problem[] {
  return files
    .filter(({ path }) => isCode(path))
    .flatMap(({ path }) => {
      const problems: Problem[] = []
      if (!fileName.test(posix.basename(path))) {
        problems.push({ path, line: 1, fix: 'File names are kebab-case: sent-packets.test.ts.' })
      }
      const empty = path.split(/[/.]/).find((part) => emptyNames.has(part))
      if (empty !== undefined) {
        problems.push({ path, line: 1, fix: `"${empty}" says nothing: name the one concept.` })
      }
      return problems
    })
}

const citation = /PROTOCOL(?:\.md)? §\d+(?:\.\d+)*(?:(?:,| and| or| to|–|-) ?§\d+(?:\.\d+)*)*/g

/** Citations of sections that `specification` (the text of PROTOCOL.md) does not have. */
export function citationProblems(files: readonly SourceFile[], specification: string): Problem[] {
  const headings = new Set(
    Array.from(specification.matchAll(/^#+ (\d+(?:\.\d+)*)\.? /gm), ([, number]) => number),
  )
  return files
    .filter(({ path }) => isCode(path) || path.endsWith('.md'))
    .flatMap((file) =>
      Array.from(file.text.matchAll(citation)).flatMap((cited) =>
        Array.from(cited[0].matchAll(/§([\d.]*\d)/g), ([, number]) => number)
          .filter((number) => !headings.has(number))
          .map((number) => ({
            path: file.path,
            line: lineAt(file.text, cited.index),
            fix: `PROTOCOL.md has no section ${number}: cite the one that is meant.`,
          })),
      ),
    )
}

/** Numbers of ARCHITECTURE.md that are not those of the sources, and bounds that it lacks. */
export function boundProblems(files: readonly SourceFile[], architecture: string): Problem[] {
  const path = 'ARCHITECTURE.md'
  const section = /^## What peers can fill$[^]*?(?=^## )/m.exec(architecture)?.[0] ?? ''
  const start = architecture.indexOf(section)
  const values = new Map(
    files
      .filter((file) => /^daemon\/(?:protocol|store)\//.test(file.path) && !isTest(file.path))
      .flatMap(({ text }) => Array.from(text.matchAll(/^(?:export )?const (\w+) = ([\d_]+)$/gm)))
      .map(([, name = '', value = '']) => [name, Number(value.replaceAll('_', ''))]),
  )
  const wrong = Array.from(section.matchAll(/([\d,]+)(?: bytes)? \(`(\w+)`\)/g)).flatMap(
    (cited) => {
      const [, value = '', name = ''] = cited
      if (values.get(name) === Number(value.replaceAll(',', ''))) return []
      const fix = `${name} is ${values.get(name) ?? 'nowhere'}, not ${value}.`
      return [{ path, line: lineAt(architecture, start + cited.index), fix }]
    },
  )
  const limits = files.find((file) => file.path === 'daemon/protocol/constants.ts')?.text ?? ''
  const bounds = /^export const (\w+(?:Max|Max[A-Z]\w*|All|PerSecond(?:Free|Proved))) = /gm
  const missing = Array.from(limits.matchAll(bounds), ([, name = '']) => name)
    .filter((name) => !section.includes(`\`${name}\``))
    .map((name) => ({ path, line: 1, fix: `"What peers can fill" lacks ${name} of constants.ts.` }))
  return [...wrong, ...missing]
}

/** Every name that a module exports, types too; '*' if it exports all of another module. */
function exportsOf(file: SourceFile): string[] {
  const { code } = maskedFile(file)
  const lists = Array.from(code.matchAll(/\bexport\s+(?:type\s+)?\{([^}]*)\}/g), ([, list]) =>
    (list ?? '')
      .split(',')
      .map((item) => /(\w+)\s*$/.exec(item)?.[1])
      .filter((name) => name !== undefined),
  )
  const declared = code.matchAll(
    /\bexport\s+(?:(?:abstract|async|const|let|function\*?|class|type|interface)\s+)+(\w+)/g,
  )
  const all = code.matchAll(/\bexport\s+(?:type\s+)?\*/g)
  return [
    ...lists.flat(),
    ...Array.from(declared, ([, name]) => name ?? ''),
    ...Array.from(all, () => '*'),
  ].toSorted()
}

/** Where the exports of the module at `path`, if it exists, and the list of them differ. */
export function exportProblems(
  files: readonly SourceFile[],
  path: string,
  list: readonly string[],
): Problem[] {
  const file = files.find((candidate) => candidate.path === path)
  if (file === undefined) return []
  const exported = exportsOf(file)
  const fixes = [
    ...exported
      .filter((name) => !list.includes(name))
      .map(
        (name) => `Exports ${name}, which the list in lint.test.ts lacks: keep it in, or list it.`,
      ),
    ...list
      .filter((name) => !exported.includes(name))
      .map((name) => `Does not export ${name}, which the list in tools/lint/lint.test.ts has.`),
  ]
  return fixes.map((fix) => ({ path, line: 1, fix }))
}
