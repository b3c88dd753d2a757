/**
 * Rules over single words and lines: what the pure core may not name, what is left for later, where
 * the process is touched, which paths belong to one machine only.
 */
import {
  isCode,
  isTest,
  maskedFile,
  matchProblems,
  startsWithOneOf,
  type Problem,
  type SourceFile,
} from './source.ts'

const impureNames = [
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'Math\\s*\\.\\s*random',
  'process',
  'Buffer',
  'console',
  'Promise',
  'async',
  'await',
  'require',
  'globalThis',
  'crypto',
  'fetch',
]

// A member of something else (`frame.process`) is not the global; what is spread (`...process`) is.
const impure = new RegExp(`(?<![\\w$#]|(?<!\\.\\.)\\.)(?:${impureNames.join('|')})(?![\\w$])`, 'g')

/** Clocks, timers, chance, I/O and promises in the protocol core. */
export function impurityProblems(files: readonly SourceFile[]): Problem[] {
  return files
    .filter(({ path }) => path.startsWith('daemon/protocol/') && isCode(path) && !isTest(path))
    .flatMap((file) =>
      matchProblems(
        file,
        maskedFile(file).code,
        impure,
        (name) =>
          `The core may not name ${name}: take time as an argument, chance and cryptography from ` +
          'the Environment, and give outputs back as values.',
      ),
    )
}

const browserNames =
  'document|window|location|navigator|localStorage|sessionStorage|fetch|EventSource|setTimeout|' +
  'setInterval|performance|globalThis|Date\\s*\\.\\s*now'
const inBrowser = new RegExp(`(?<![\\w$#]|(?<!\\.\\.)\\.)(?:${browserNames})(?![\\w$])`, 'g')

/** The browser, clocks and timers in the model of the status page. */
export function pageModelProblems(files: readonly SourceFile[]): Problem[] {
  return files
    .filter(
      ({ path }) => path.startsWith('daemon/http/page/model/') && isCode(path) && !isTest(path),
    )
    .flatMap((file) =>
      matchProblems(
        file,
        maskedFile(file).code,
        inBrowser,
        (name) => `The model of the page may not name ${name}: that is for client/ and parts/.`,
      ),
    )
}

// The brackets keep these lines from being what they look for.
const leftForLater = /\b(?:T[O]DO|F[I]XME|X[X]X|H[A]CK)\b/g
const silencedTypes = /@ts-(?:ignore|nocheck)/g
const castAway = /\bas\s+any\b/g
const leftOut =
  /\b(?:test|it|describe|suite|t|context)\s*\.\s*(?:only|skip|todo)\b|\bonly\s*:\s*true\b/g

/** Notes to self, silenced types, tests that are switched off or that switch off the others. */
export function leftoverProblems(files: readonly SourceFile[]): Problem[] {
  return files
    .filter(({ path }) => isCode(path) || path.endsWith('.md'))
    .flatMap((file) => [
      ...matchProblems(
        file,
        file.text,
        leftForLater,
        (note) => `${note}: do it now or leave it out.`,
      ),
      ...(isCode(file.path) ? switchedOffProblems(file) : []),
    ])
}

function switchedOffProblems(file: SourceFile): Problem[] {
  const { code } = maskedFile(file)
  return [
    ...matchProblems(file, file.text, silencedTypes, (note) => `${note}: fix the type.`),
    ...matchProblems(file, code, castAway, () => 'Narrow the value, or parse it from unknown.'),
    ...matchProblems(file, code, leftOut, (call) => `${call}: every test runs, or is deleted.`),
  ]
}

// The brackets keep these lines from being what they look for. CONTRIBUTING.md, How we write.
const plainWords: readonly (readonly [found: string, instead: string])[] = [
  ['m[e]nd(?:s|ed|ing)?', 'fix'],
  ['an[e]w', 'again'],
  ['yardst[i]cks?', 'baseline'],
  ['de[e]ds?', 'action'],
  ['platt[e]rs?', 'durable medium'],
  ['strang[e]rs?', 'unauthenticated peer'],
  ['over th[e]re', 'at the receiver'],
  ['tort[u]re[ds]?', 'chaos test'],
  ['sabot[a]ge[ds]?', 'mutation check'],
  ['(?:is|are|was|were|be|been) t[o]ld', 'reported, or informed'],
]

/** Words of our own, where the field or plain English has one. */
export function plainWordProblems(files: readonly SourceFile[]): Problem[] {
  return files
    .filter(({ path }) => (isCode(path) || path.endsWith('.md')) && path !== 'CHANGELOG.md')
    .flatMap((file) =>
      plainWords.flatMap(([found, instead]) =>
        matchProblems(
          file,
          file.text,
          new RegExp(`\\b${found}\\b`, 'gi'),
          (word) => `Not "${word}": ${instead} (CONTRIBUTING.md, How we write).`,
        ),
      ),
    )
}

const processPlaces = [
  'cli/',
  'daemon/main',
  'daemon/platform/config/',
  // A process of its own gets the environment that this one has.
  'daemon/platform/net/name-process',
  'bench/',
  'test/',
  'e2e/',
  'tools/',
]

/** Where the environment is read or the process is ended outside the program's entry. */
export function processProblems(files: readonly SourceFile[]): Problem[] {
  return files
    .filter(({ path }) => isCode(path) && !startsWithOneOf(path, processPlaces))
    .flatMap((file) =>
      matchProblems(
        file,
        maskedFile(file).code,
        /\bprocess\s*\.\s*(?:env|exit)\b/g,
        (name) => `${name} belongs to the program's entry and its config: take it as an argument.`,
      ),
    )
}

// `/home/node` is the user of the container image, the same on every machine.
const machinePath =
  /(?<![\w.:@~})-])\/(?:work|farm|root|home\/(?!node\b)[\w.-]+|Users\/[\w.-]+)(?=\/)/g

/** Paths that exist on somebody's machine only. */
export function machinePathProblems(files: readonly SourceFile[]): Problem[] {
  return files.flatMap((file) =>
    matchProblems(
      file,
      file.text,
      machinePath,
      (path) => `${path} is one machine's: use a relative path, or /var/lib/tinymq/ in an example.`,
    ),
  )
}

/** Registry addresses in the lockfile. */
export function lockfileHostProblems(files: readonly SourceFile[]): Problem[] {
  return files
    .filter(({ path }) => path.endsWith('package-lock.json'))
    .flatMap((file) =>
      matchProblems(
        file,
        file.text,
        /"resolved": "\w+:[^"]*"/g,
        () => 'The lockfile names a host: make it again here, where .npmrc prevents it.',
      ),
    )
}
