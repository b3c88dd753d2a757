/**
 * The repository's files as the tidy rules read them: as text, and as code without comments and
 * the insides of strings. Must never check: rules do.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A text file; `path` is relative to the repository's root, with forward slashes. */
export type SourceFile = { readonly path: string; readonly text: string }

/** What is wrong where, and the sentence that says how to fix it. `line` counts from 1. */
export type Problem = { readonly path: string; readonly line: number; readonly fix: string }

/** `text` is what stands between the quotes, `start` the index of the opening quote. */
type StringLiteral = { readonly start: number; readonly text: string }

/** `code` is as long as the file; comments and the insides of strings and patterns are blanks. */
type Masked = { readonly code: string; readonly strings: readonly StringLiteral[] }

const comment = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y
const quoted = /'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"/y
const pattern = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y
const templateText = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*/y

// A slash is a division after a value; after these it begins a pattern.
const beforePattern =
  /(?:^|[(,=:[!&|?{;+\-*%<>~^]|\b(?:return|typeof|case|in|of|void|throw|do))\s*$/
const beforePatternChars = 60

/** Blanks out what is not code. Made for this repository's style, not for every legal program. */
export function mask(text: string): Masked {
  const strings: StringLiteral[] = []
  // One entry for each open `${`: how many braces are open inside it.
  const braces: number[] = []
  let code = ''

  function take(expression: RegExp): string | undefined {
    expression.lastIndex = code.length
    return expression.exec(text)?.[0]
  }
  function blank(taken: string): void {
    code += taken.replaceAll(/[^\n]/g, ' ')
  }
  function template(): void {
    blank(take(templateText) ?? '')
    const isOpen = text.startsWith('${', code.length)
    code += text.slice(code.length, code.length + (isOpen ? 2 : 1))
    if (isOpen) braces.push(0)
  }
  function punctuation(char: string): void {
    code += char
    const open = braces.at(-1)
    if (char === '`') template()
    else if (open === undefined) return
    else if (char === '{') braces[braces.length - 1] = open + 1
    else if (char === '}' && open > 0) braces[braces.length - 1] = open - 1
    else if (char === '}') {
      braces.pop()
      template()
    }
  }

  if (text.startsWith('#!')) blank(text.split('\n', 1)[0] ?? '')
  while (code.length < text.length) {
    const char = text.charAt(code.length)
    const remark = char === '/' ? take(comment) : undefined
    const literal = char === "'" || char === '"' ? take(quoted) : undefined
    if (remark !== undefined) blank(remark)
    else if (literal !== undefined) {
      strings.push({ start: code.length, text: literal.slice(1, -1) })
      code += char
      blank(literal.slice(1, -1))
      code += char
    } else if (char === '/' && beforePattern.test(code.slice(-beforePatternChars))) {
      blank(take(pattern) ?? char)
    } else punctuation(char)
  }
  return { code, strings }
}

const masks = new WeakMap<SourceFile, Masked>()

/** `mask` of a file's text, worked out once. */
export function maskedFile(file: SourceFile): Masked {
  const known = masks.get(file)
  if (known !== undefined) return known
  const masked = mask(file.text)
  masks.set(file, masked)
  return masked
}

/** The line, from 1, that holds this index. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

/** A problem for each match of a global `expression` in `text`: the file's, or its code's. */
export function matchProblems(
  file: SourceFile,
  text: string,
  expression: RegExp,
  fix: (found: string) => string,
): Problem[] {
  return Array.from(text.matchAll(expression), (match) => ({
    path: file.path,
    line: lineAt(text, match.index),
    fix: fix(match[0].trim()),
  }))
}

export function isCode(path: string): boolean {
  return /\.(?:[jt]s|tsx)$/.test(path)
}

/** Tests (`*.test.ts`, `*.e2e.ts`), and what only they use: the folder `test/`. */
export function isTest(path: string): boolean {
  return /\.(?:test|e2e)\.ts$/.test(path) || path.startsWith('test/')
}

/** Whether a path begins like one of these; a folder among them ends in a slash. */
export function startsWithOneOf(path: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => path.startsWith(prefix))
}

/** Paths that git tracks, or would track if it were informed to. */
export function listPaths(root: string, which: 'tracked' | 'untracked'): string[] {
  const options = which === 'tracked' ? ['--cached'] : ['--others', '--exclude-standard']
  const listed = execFileSync('git', ['ls-files', '-z', ...options], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  return listed.split('\0').filter((path) => path !== '' && existsSync(join(root, path)))
}

/** The text files among these paths. */
export function readSources(root: string, paths: readonly string[]): SourceFile[] {
  return paths
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
    .filter((file) => !file.text.includes('\0'))
}
