/**
 * Runs what README.md and docs/*.md show, block by block and in order, as somebody pastes it, on
 * the oldest Node.js that is promised and on this one. Blocks for MachineA and MachineB are pasted
 * on two machines as they stand. The others are pasted on one, which is also where they send to: in
 * those the test puts a file, a port and an address of its own in the place of those of the page.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { defaultDatabase } from '../../sdk/schema/database-files.ts'
import { type Block, blocksOf, pages } from '../support/doc-blocks.ts'
import type { Machine } from '../support/machine.ts'
import { type Need, needs } from '../support/needs.ts'
import { nodeProgram, oldestNode } from '../support/older-node.ts'
import { PastedProcess } from '../support/pasting.ts'
import { scaled } from '../support/scale.ts'
import { TestEnvironment } from '../support/test-environment.ts'
import { sql } from '../support/sqlite-shell.ts'
import { type HostName, TwoHosts } from '../support/two-hosts.ts'
import { until } from '../support/until.ts'

const root = join(import.meta.dirname, '..', '..')
const versions = [...(oldestNode === undefined ? [] : [oldestNode]), process.versions.node]
/** Else this Node pastes only the pages that show programs for it, and none pastes a benchmark. */
const isLong = scaled(100) >= 100
/** On its default path, whose directory it makes. */
const startDaemon = 'tinymq 9000'

/** A block that is a test is a run of its own, and no option of the shell here counts there. */
const freeEnvironment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:NODE_TEST_CONTEXT$|TINYMQ_)/.test(name)),
)

/** Goes on until somebody ends it. */
const isConsumer = /await mq\.consume/
const isServer = /^tinymq (?:\d+|bench --serve)\b/m
const isDaemon = /^tinymq \d+\b/m
const asksForPaste = /cat >>|--add -/
const pastedLine = /^\S+ = \S+$/m

type Place = {
  readonly prefix: readonly string[]
  readonly home: string
  readonly localized: (text: string) => string
  readonly runSql: (statements: string) => Promise<string>
}

/** Why a block is pasted elsewhere, or nowhere. */
function whyNotHere({ language, marks }: Block): string | undefined {
  if (marks.includes('docker')) return 'e2e pastes it'
  if (marks.includes('project')) return 'CI runs it, or it takes too long'
  if (marks.includes('system')) return 'it changes this system, or needs another one'
  if (language === 'go') return 'it is a part of a program'
  return undefined
}

/** Why this machine cannot run a block; false when it can. */
function whySkipped({ language, marks, text }: Block): string | false {
  const wanted: Need[] = []
  if (/^Machine[AB]$/.test(marks[0] ?? '')) wanted.push('root')
  if (/\bsqlite3 -/.test(text)) wanted.push('sqlite3')
  if (/\bcurl /.test(text)) wanted.push('curl')
  if (language === 'python') wanted.push('python3')
  if (language === 'php') wanted.push('php')
  return needs(...wanted)
}

/** The block with the names of the test in the place of those of the page. */
function localizedFor({ database: path, port }: Machine): (text: string) => string {
  return (text) =>
    text
      .replaceAll(defaultDatabase, path)
      .replaceAll(dirname(defaultDatabase), dirname(path))
      .replaceAll('/var/tmp/tinymqdb', path)
      .replaceAll(/'Machine[ABC]', ?'?9000'?/g, `'127.0.0.1', ${port}`)
      .replaceAll('127.0.0.1:9000', `127.0.0.1:${port}`)
      .replaceAll("'127.0.0.1', 9000", `'127.0.0.1', ${port}`)
}

/** Pastes the blocks of one page, each after the one before it. */
class Paster {
  readonly #scene: TestEnvironment
  readonly #bin: string
  readonly #isOldest: boolean
  readonly #places = new Map<HostName, Place>()
  readonly #daemons = new Map<HostName, PastedProcess>()
  #clipboard = ''

  constructor(scene: TestEnvironment, node: string) {
    this.#scene = scene
    this.#isOldest = node !== process.execPath
    this.#bin = join(scene.directory, 'bin')
    mkdirSync(this.#bin)
    symlinkSync(node, join(this.#bin, 'node'))
    const program = join(root, 'dist', 'cli', 'tinymq.js')
    const script = `#!/bin/sh\nexec '${node}' '${program}' "$@"\n`
    writeFileSync(join(this.#bin, 'tinymq'), script, { mode: 0o755 })
    // Who pastes here is root already.
    writeFileSync(join(this.#bin, 'sudo'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 })
  }

  /** One machine, MachineA and MachineB at once. */
  async useOne(): Promise<void> {
    const machine = await this.#scene.running('a')
    const home = join(this.#scene.directory, 'home')
    const runSql = async (statements: string): Promise<string> => machine.sql(statements)
    this.#add('MachineA', { prefix: [], home, localized: localizedFor(machine), runSql })
  }

  async useTwo(): Promise<void> {
    const hosts = this.#scene.use(await TwoHosts.start(this.#scene.directory))
    for (const name of ['MachineA', 'MachineB'] as const) {
      const prefix = hosts.prefixOf(name)
      const home = hosts.homeOf(name)
      const runSql = async (statements: string): Promise<string> =>
        sql(defaultDatabase, statements, { prefix })
      this.#add(name, { prefix, home, localized: (text) => text, runSql })
      await this.#startDaemon(name, startDaemon)
    }
  }

  /** What it printed, on all machines that it was pasted on. */
  async paste(block: Block): Promise<string> {
    const marked = [...this.#places.keys()].filter((name) => block.marks.includes(name))
    const names: readonly HostName[] = marked.length > 0 ? marked : ['MachineA']
    const outputs: string[] = []
    for (const name of names) outputs.push(await this.#pasteOn(name, block))
    const output = outputs.join('')
    this.#clipboard = pastedLine.exec(output)?.[0] ?? this.#clipboard
    return output.trim()
  }

  #add(name: HostName, place: Place): void {
    mkdirSync(join(place.home, 'node_modules'), { recursive: true })
    symlinkSync(root, join(place.home, 'node_modules', 'tinymq'))
    this.#places.set(name, place)
  }

  async #pasteOn(name: HostName, { language, marks, text }: Block): Promise<string> {
    const { localized, runSql, home } = this.#place(name)
    const body = localized(text)
    await this.#arrivals(name)
    if (language === 'sql') return runSql(body)
    if (language === 'sh') return this.#pasteInShell(name, body, marks.includes('stopped'))
    if (language === 'python') return this.#run(name, 'python3', '-c', body)
    if (language === 'php') return this.#run(name, 'php', '-r', body)
    equal(language, 'js', 'no way to run it is known')
    writeFileSync(join(home, 'block.mjs'), body)
    if (!isConsumer.test(body)) return this.#run(name, 'node', 'block.mjs')
    const consumer = this.#start(name, 'node', 'block.mjs')
    await consumer.prints(/\n/)
    // Both are in the documentation.
    consumer.signal(this.#isOldest ? 'SIGINT' : 'SIGTERM')
    await consumer.succeeds()
    return consumer.output
  }

  async #pasteInShell(name: HostName, body: string, isStopped: boolean): Promise<string> {
    if (isStopped) await this.#stopDaemon(name)
    if (isDaemon.test(body)) return this.#startDaemon(name, body)
    if (!isServer.test(body)) return this.#run(name, 'bash', '-euo', 'pipefail', '-c', body)
    const server = this.#start(name, 'bash', '-c', body)
    await server.prints(/\n/)
    return server.output
  }

  /** What is on its way to the machine that is looked at now is there after a moment. */
  async #arrivals(name: HostName): Promise<void> {
    if (name === 'MachineA' || !this.#daemons.has(name)) return
    const waiting = "SELECT count(*) FROM mqout WHERE host = 'MachineB';"
    const { runSql } = this.#place('MachineA')
    await until({ what: 'MachineB to have what was sent', withinMs: 20_000 }, async () => {
      return (await runSql(waiting)) === '0'
    })
  }

  async #startDaemon(name: HostName, body: string): Promise<string> {
    await this.#stopDaemon(name)
    const daemon = this.#start(name, 'bash', '-c', body)
    this.#daemons.set(name, daemon)
    await daemon.prints(/"event":"started"/)
    return daemon.output
  }

  /** As Ctrl-C does. */
  async #stopDaemon(name: HostName): Promise<void> {
    const daemon = this.#daemons.get(name)
    this.#daemons.delete(name)
    daemon?.signal('SIGINT')
    await daemon?.succeeds()
  }

  async #run(name: HostName, ...words: string[]): Promise<string> {
    const pasted = this.#start(name, ...words)
    await pasted.succeeds()
    return pasted.output
  }

  #start(name: HostName, ...words: string[]): PastedProcess {
    const { prefix, home } = this.#place(name)
    const PATH = `${this.#bin}:${process.env['PATH']}`
    const pasted = new PastedProcess(words, {
      prefix,
      cwd: home,
      environment: { ...freeEnvironment, HOME: home, PATH },
      input: asksForPaste.test(words.at(-1) ?? '') ? `${this.#clipboard}\n` : '',
    })
    return this.#scene.use(pasted)
  }

  #place(name: HostName): Place {
    const place = this.#places.get(name)
    if (place === undefined) throw new Error(`There is no ${name}.`)
    return place
  }
}

/** What the text says that the reader will see. */
const promised: ReadonlyMap<string, RegExp> = new Map([
  ['README.md', /HelloMachineBFromMachineA[^]*127\.0\.0\.1 \{"sku":"A-1","count":2\}/],
  ['docs/observability.md', /^ok$/m],
  ['docs/sdk.md', /HELLO[^]*continues 00-/],
])

async function pastePage(t: TestContext, page: string, version: string): Promise<void> {
  const blocks = blocksOf(page)
  const paster = new Paster(new TestEnvironment(t), await nodeProgram(version))
  const hasTwo = blocks.some(({ marks }) => /^Machine[AB]$/.test(marks[0] ?? ''))
  if (hasTwo && needs('root', 'ip') === false) await paster.useTwo()
  else await paster.useOne()
  const outputs: string[] = []
  let isWhole = true
  for (const block of blocks) {
    const { line, language, marks } = block
    const name = `${page}:${line} ${[language, ...marks].join(' ')}`
    const reason = whyNotHere(block)
    if (reason !== undefined) {
      t.diagnostic(`${name} is not pasted here: ${reason}`)
      continue
    }
    const skip = whySkipped(block)
    isWhole &&= skip === false
    await t.test(name, { skip }, async (part) => {
      const output = await paster.paste(block)
      outputs.push(output)
      part.diagnostic(`${name}: ${output.replaceAll('\n', ' | ').slice(0, 500)}`)
    })
  }
  const expected = promised.get(page)
  if (expected !== undefined && isWhole) match(outputs.join('\n'), expected)
}

for (const version of versions) {
  for (const page of pages) {
    const blocks = blocksOf(page)
    const isOldest = version === versions[0]
    const isSlow = page === 'docs/cli.md'
    const isDue =
      isLong || (isOldest && !isSlow) || blocks.some(({ language }) => language === 'js')
    if (!isDue || blocks.every((block) => whyNotHere(block) !== undefined)) continue
    test(`what ${page} shows runs when it is pasted, with Node.js ${version}`, async (t) =>
      pastePage(t, page, version))
  }
}

test('what is for a clone names scripts that there are', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const blocks = pages.flatMap(blocksOf).filter(({ text }) => text.includes('npm run'))
  const named = blocks.flatMap(({ text }) =>
    Array.from(text.matchAll(/npm run ([\w:]+)/g), ([, name = '']) => name),
  )
  ok(named.length > 10, named.join(' '))
  deepEqual(
    named.filter((name) => scripts[name] === undefined),
    [],
  )
})
