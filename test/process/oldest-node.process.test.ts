/**
 * What is published on the oldest Node.js that is promised: every file can be loaded there, none
 * names a global that came later, and the demo and the commands work.
 */
import { deepEqual, equal, match } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { DaemonProcess } from '../support/daemon-process.ts'
import { freePort } from '../support/free-port.ts'
import { freshProject, installMs } from '../support/fresh-project.ts'
import { nodeProgram, oldestNode } from '../support/older-node.ts'

const run = promisify(execFile)
const skip = oldestNode === undefined && 'the registry has no old Node.js for this system'
let project = ''
let node = ''
let dist = ''

before(
  async () => {
    if (oldestNode === undefined) return
    node = await nodeProgram(oldestNode)
    project = await freshProject()
    dist = join(project, 'node_modules', 'tinymq', 'dist')
  },
  { timeout: installMs },
)

after(() => rmSync(project, { recursive: true, force: true }))

/** The files that Node loads: those of the status page are the browser's. */
const filesOf = (directory: string): string[] =>
  globSync('**/*.{js,cjs}', { cwd: directory })
    .filter((path) => !path.startsWith('page/'))
    .toSorted()

/** Programs and threads, which begin to work when they are loaded. */
const loadedOtherwise = new Map([
  ['cli/tinymq.js', /^ended with 64$/],
  ['daemon/store/thread/worker.js', /^TypeError: Cannot destructure property 'path'/],
  ['daemon/http/reader/worker.js', /^TypeError: In-memory\/temporary databases/],
])

/** They are not installed with tinymq; `tinymq/testing/containers` needs them. */
const peerIsMissing = /Cannot find package 'testcontainers'/

test('every published file can be loaded', { skip, timeout: 120_000 }, async () => {
  const paths = filesOf(dist)
  const program = `
    process.argv[2] = './no-command'
    process.exit = (code) => { throw \`ended with \${code}\` }
    const failures = {}
    for (const path of ${JSON.stringify(paths)}) {
      try { await import(${JSON.stringify(`${dist}/`)} + path) }
      catch (error) { failures[path] = String(error) }
      if (process.exitCode !== undefined) failures[path] = 'ended with ' + process.exitCode
      process.exitCode = undefined
    }
    console.log(JSON.stringify(failures))`
  writeFileSync(join(project, 'load.mjs'), program)
  const { stdout } = await run(node, ['load.mjs'], { cwd: project })
  const failures = new Map(Object.entries(JSON.parse(stdout) as Record<string, string>))
  for (const [path, sentence] of loadedOtherwise) {
    match(failures.get(path) ?? `${path} was loaded`, sentence)
    failures.delete(path)
  }
  const wrong = [...failures].filter(
    ([path, sentence]) => !path.startsWith('sdk/testing/') || !peerIsMissing.test(sentence),
  )
  deepEqual(wrong, [])
  equal(paths.length > 150, true, `${paths.length} files`)
})

test('no published file names a global that came later', { skip }, async () => {
  const program = join(project, 'globals.mjs')
  writeFileSync(program, 'console.log(Object.getOwnPropertyNames(globalThis).join(" "))')
  const namesOf = async (runtime: string): Promise<string[]> =>
    (await run(runtime, [program])).stdout.trim().split(' ')
  const here = new Set(await namesOf(node))
  const later = (await namesOf(process.execPath)).filter((name) => !here.has(name))
  for (const name of ['AsyncDisposableStack', 'URLPattern']) equal(later.includes(name), true, name)
  const named = filesOf(dist).flatMap((path) => {
    const text = readFileSync(join(dist, path), 'utf8').replaceAll(/^ *(?:\*|\/\/|\/\*).*$/gm, '')
    return (
      [...later]
        .filter((name) => new RegExp(String.raw`(?<![.\w$])${name}\b`).test(text))
        // What the compiler makes of `using` does without.
        .filter((name) => !text.includes(`typeof ${name} === "function"`))
        .map((name) => `${path}: ${name}`)
    )
  })
  deepEqual(named, [])
})

test('the demo ends well', { skip, timeout: 120_000 }, async () => {
  const { stdout, stderr } = await run(node, [join(dist, 'cli', 'tinymq.js'), 'demo'])
  equal(stderr, '')
  match(stdout, /1000 rows, in order, each once/)
  match(stdout, /\n {2}0\n\nMachineB> .*\n {2}0\n/)
})

test('the daemon and the commands work', { skip, timeout: 120_000 }, async (t) => {
  const database = join(project, 'a.db')
  const port = await freePort()
  const program = join(dist, 'cli', 'tinymq.js')
  const daemon = new DaemonProcess({ port, database, node: [node, program] })
  t.after(async () => daemon.kill9())
  await daemon.started()
  const tinymq = async (...words: string[]): Promise<string> => {
    const env = { ...process.env, TINYMQ_DATABASE: database }
    const { stdout } = await run(node, [program, ...words], { cwd: project, env })
    return stdout
  }
  await tinymq('send', '127.0.0.1', 'Hello', '--port', String(port), '--wait', '30')
  const works: readonly (readonly [RegExp, ...string[]])[] = [
    [/^Hello\n$/, 'inbox', '--raw'],
    [/^\{.*"data":"Hello"/, 'inbox', '--json'],
    [/^2\n$/, 'send', '203.0.113.1', 'for nobody'],
    [/"host":"203\.0\.113\.1"/, 'status', '--json'],
    [/127\.0\.0\.1/, 'peers'],
    [/127\.0\.0\.1/, 'top', '--count', '1', '--json'],
    [/203\.0\.113\.1/, 'retry', '203.0.113.1'],
    [/^2 cancelled\n$/, 'cancel', '2'],
    [/^$/, 'dead', 'list', '--json'],
    [/copy\.db  \d+ KiB\n$/, 'backup', 'copy.db'],
    [/"healthy":true/, 'check', '--json'],
    [/"level":"ok"/, 'doctor', '--port', String(port), '--json'],
    [/^orders = [\w+/=]+\n$/, 'keys', 'new', 'orders'],
    [/^http:\/\/127\.0\.0\.1:/, 'ui', '--print'],
    [/tinymq/, 'completion', 'bash'],
  ]
  for (const [expected, ...words] of works) {
    await t.test(words.join(' '), async () => match(await tinymq(...words), expected))
  }
  equal(await daemon.stop(), '0')
  deepEqual(daemon.complaints, [])
})
