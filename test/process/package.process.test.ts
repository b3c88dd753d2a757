/**
 * What is published, as users get it: packed, installed into a fresh project from a registry, and
 * used by import, by require and by the compiler, on the Node.js versions that are promised and on
 * those that are not.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { freshProject, installMs } from '../support/fresh-project.ts'
import { nodeProgram, olderNodes } from '../support/older-node.ts'
import { scaled } from '../support/scale.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..', '..')
const versions = [...olderNodes, process.versions.node]
const nodes = new Map<string, string>()
let project = ''

/** Through which sending is tried too. */
const queryBuilders = ['kysely@0.28', 'knex@3']

/** What a user of today has: those of this project are of the oldest Node. */
const types = ['@types/node@24', '@types/better-sqlite3@7']

/** The newest compiler, and at full size the oldest that is promised and the last in JavaScript. */
const compilers = [
  ...(scaled(100) >= 100 ? ['typescript-5.6', 'typescript-5.9'] : []),
  'typescript-newest',
]
const compilerPackages = compilers.map((name) => {
  const version = name.replace('typescript-', '').replace('newest', 'latest')
  return `${name}@npm:typescript@${version}`
})

const node = (version: string): string => nodes.get(version) ?? ''

const isOld = (version: string): boolean => Number(version.split('.')[0]) < 22

before(
  async () => {
    project = await freshProject(...queryBuilders, ...types, ...compilerPackages)
    for (const version of versions) nodes.set(version, await nodeProgram(version))
  },
  { timeout: installMs },
)

after(() => rmSync(project, { recursive: true, force: true }))

type Ending = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** Runs a program of the fresh project. */
async function execute(version: string, file: string, text: string): Promise<Ending> {
  writeFileSync(join(project, file), text)
  try {
    const { stdout, stderr } = await run(node(version), [file], { cwd: project, timeout: 60_000 })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as Ending
    return { code, stdout, stderr }
  }
}

const body = (path: string): string => `
  const mq = open('${path}')
  const { sql, parameters } = sendStatement({ host: 'b', data: 'by hand' })
  mq.send('MachineB', 9000, 'orders', JSON.stringify({ sku: 'A-1' }))
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const db = new DatabaseSync('other-${path}')
  const other = open({ db })
  db.prepare(sql).run(...parameters)
  const arrive = "INSERT INTO mqin (token, arrived_at, data) VALUES ('', 1, ?)"
  for (const data of ['"one"', '"two"']) db.prepare(arrive).run(data)
  other.consumeInTransaction(({ payload }) => {
    console.log(payload)
    if (payload === 'two') void other.drain()
  }).then(() => {
    console.log(db.prepare('SELECT count(*) AS n FROM mqin').get().n)
    other.close()
    mq.close()
  })`

for (const version of versions) {
  const kinds = [
    ['import', `esm-${version}.mjs`, "import { open, sendStatement } from 'tinymq'"],
    ['require', `cjs-${version}.cjs`, "const { open, sendStatement } = require('tinymq')"],
  ] as const
  for (const [kind, file, load] of kinds) {
    const outcome = isOld(version) ? 'says what it needs' : 'sends and consumes'
    test(`${kind} on Node.js ${version} ${outcome}`, async () => {
      const { code, stdout, stderr } = await execute(version, file, load + body(`${file}.db`))
      if (isOld(version)) {
        equal(code, 1)
        match(stderr, new RegExp(`Node\\.js 22\\.14 or newer is needed, this is v?${version}`))
        equal(stdout, '')
      } else {
        equal(stderr.replaceAll(/^.*(?:ExperimentalWarning|--trace-warnings).*\n/gm, ''), '')
        deepEqual([code, stdout], [0, 'one\ntwo\n0\n'])
      }
    })
  }

  test(`the command on Node.js ${version} shows its version or what it needs`, async () => {
    const program = join(project, 'node_modules', 'tinymq', 'dist', 'cli', 'tinymq.js')
    const asked = run(node(version), [program, '--version']).catch((error: unknown) => error)
    const { stdout, stderr } = (await asked) as Ending
    if (isOld(version)) match(stderr, /^tinymq: Node\.js 22\.14 or newer is needed/)
    else match(stdout, /^\d+\.\d+\.\d+\n$/)
  })
}

test('importing the SDK loads better-sqlite3 only when a path is opened', async () => {
  const { stdout } = await execute(
    process.versions.node,
    'loads.cjs',
    `const { open } = require('tinymq')
    const loaded = () => Object.keys(require.cache)
      .map((path) => /node_modules.((?:@[^/]+.)?[^/]+)/.exec(path)?.[1])
      .filter((name) => name !== undefined && name !== 'tinymq')
    const before = loaded()
    open('loads.db').close()
    const after = loaded()
    console.log(JSON.stringify([before, [...new Set(after)]]))`,
  )
  deepEqual(JSON.parse(stdout), [[], ['better-sqlite3']])
})

test('without the database driver a sentence says so, and node:sqlite does', async () => {
  const place = join(project, 'no-driver')
  cpSync(join(project, 'node_modules', 'tinymq'), join(place, 'node_modules', 'tinymq'), {
    recursive: true,
  })
  // Above it there would be one.
  const elsewhere = mkdtempSync(join(tmpdir(), 'tinymq-no-driver-'))
  renameSync(place, join(elsewhere, 'app'))
  const text = `
    import { DatabaseSync } from 'node:sqlite'
    import { open } from 'tinymq'
    try { open('a.db') } catch (error) { console.log(error.code, error.message, error.hint) }
    console.log(open({ db: new DatabaseSync('b.db') }).send('b', 9000, '', 'x'))`
  writeFileSync(join(elsewhere, 'app', 'main.mjs'), text)
  try {
    const { stdout } = await run(process.execPath, ['main.mjs'], { cwd: join(elsewhere, 'app') })
    const [first, second] = stdout.split('\n')
    match(
      first ?? '',
      /^TINYMQ_NO_DRIVER better-sqlite3 cannot be loaded: Cannot find module .* Install better-/,
    )
    equal(second, '1')
  } finally {
    rmSync(elsewhere, { recursive: true })
  }
})

test('npm installs one better-sqlite3; a second copy on the same file is rejected', async () => {
  const { stdout: listed } = await run('npm', ['ls', '--all', '--json', 'better-sqlite3'], {
    cwd: project,
  })
  equal(new Set(listed.match(/(?<="better-sqlite3": \{\s+"version": ")[^"]+/g)).size, 1)
  const other = join(project, 'other', 'node_modules')
  for (const name of ['better-sqlite3', 'node-addon-api']) {
    cpSync(join(project, 'node_modules', name), join(other, name), { recursive: true })
  }
  const text = (order: string): string => `
    import { createRequire } from 'node:module'
    import { open } from 'tinymq'
    const Other = createRequire(${JSON.stringify(join(project, 'other', 'x.js'))})('better-sqlite3')
    const path = ${JSON.stringify(`${order}.db`)}
    open(path).close()
    const theirs = () => {
      const db = new Other(path)
      db.exec('CREATE TABLE IF NOT EXISTS t (x)')
      return db
    }
    const theirsFirst = ${String(order === 'theirs first')}
    let app = theirsFirst ? theirs() : undefined
    let sent = 0
    try {
      const mq = open(path)
      app ??= theirs()
      for (const endMs = performance.now() + 20_000; performance.now() < endMs; sent++) {
        app.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (randomblob(300)); COMMIT")
        mq.send('b', 9000, '', 'x')
      }
    } catch (error) { console.log(error.code, sent) }
    console.log(app.pragma('integrity_check', { simple: true }))`
  for (const order of ['theirs first', 'ours first']) {
    const { stdout, stderr } = await execute(process.versions.node, 'two.mjs', text(order))
    match(stdout, /^TINYMQ_SECOND_LIBRARY \d+\nok\n$/, stderr)
    if (order === 'theirs first') match(stdout, / 0\n/)
  }
})

test('bundled by Rolldown, as an ES module and as CommonJS, it works', async () => {
  writeFileSync(
    join(project, 'app.mjs'),
    "import { open } from 'tinymq'\nconsole.log(open('bundled.db').send('b', 9000, '', 'x') > 0)",
  )
  const rolldown = join(root, 'node_modules', 'rolldown', 'bin', 'cli.mjs')
  for (const format of ['esm', 'cjs'] as const) {
    const file = `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`
    const words = [rolldown, 'app.mjs', '--platform', 'node', '--format', format, '--file', file]
    await run(process.execPath, words, { cwd: project })
    const { stdout } = await run(process.execPath, [file], { cwd: project })
    equal(stdout, 'true\n')
  }
})

test('Kysely and Knex send by the statement, in their own transactions', async () => {
  const { code, stdout, stderr } = await execute(
    process.versions.node,
    'builders.mjs',
    `import Database from 'better-sqlite3'
    import knexOf from 'knex'
    import { CompiledQuery, Kysely, SqliteDialect } from 'kysely'
    import { open, sendStatement } from 'tinymq'
    const filename = 'builders.db'
    using mq = open(filename)
    const statement = (data) => sendStatement({ host: 'b', data, headers: { a: 1 } })
    const kysely = new Kysely({ dialect: new SqliteDialect({ database: new Database(filename) }) })
    const connection = { filename }
    const knex = knexOf({ client: 'better-sqlite3', connection, useNullAsDefault: true })
    for (const end of ['kept', 'taken back']) {
      const finish = () => { if (end !== 'kept') throw new Error(end) }
      await kysely.transaction().execute(async (trx) => {
        const { sql, parameters } = statement(new Uint8Array([1]))
        await trx.executeQuery(CompiledQuery.raw(sql, parameters))
        finish()
      }).catch(() => undefined)
      await knex.transaction(async (trx) => {
        const { sql, parameters } = statement(end)
        await trx.raw(sql, parameters)
        finish()
      }).catch(() => undefined)
    }
    const rows = await knex.raw('SELECT typeof(data) AS type, headers FROM mqout ORDER BY id')
    console.log(JSON.stringify(rows))
    await kysely.destroy()
    await knex.destroy()`,
  )
  equal(code, 0, stderr)
  const headers = '{"a":1}'
  deepEqual(JSON.parse(stdout), [
    { type: 'blob', headers },
    { type: 'text', headers },
  ])
})

test('tinymq/testing needs nothing that was not installed with tinymq', async () => {
  for (const version of versions.filter((each) => !isOld(each))) {
    const { code, stdout, stderr } = await execute(
      version,
      'lab.mjs',
      `import { startNodes } from 'tinymq/testing'
      const lab = await startNodes(['a', 'b'], { seed: 3, conditions: { lossPercent: 20 } })
      const { a, b } = lab.nodes
      a.mq.send('b', 9000, 'orders', 'Hello')
      console.log(await b.waitFor('SELECT data FROM mqin'))
      await a.waitForEmptyOutbox()
      await lab[Symbol.asyncDispose]()`,
    )
    deepEqual([code, stdout], [0, 'Hello\n'], stderr)
  }
})

test('the status page is in the package, with every file that it names', () => {
  const folder = join(project, 'node_modules', 'tinymq', 'dist', 'page')
  const html = readFileSync(join(folder, 'index.html'), 'utf8')
  const named = Array.from(html.matchAll(/(?:src|href)="([^"]*)"/g), ([, path]) => path ?? '')
  ok(named.length >= 3, html)
  for (const path of named) ok(readFileSync(join(folder, path)).length > 0, path)
})

test('the types are those of the documentation, also without skipLibCheck', async () => {
  writeFileSync(
    join(project, 'typed.mts'),
    `import { open, sendStatement, type InboxMessage, type TinymqErrorCode } from 'tinymq'
    import type { DatabaseSync } from 'node:sqlite'
    import Database from 'better-sqlite3'
    import { startNodes } from 'tinymq/testing'
    declare const db: DatabaseSync
    declare const schema: {
      '~standard': { validate(value: unknown): { value: { sku: string } }; types?: undefined }
    }
    await using mq = open('x.db')
    await mq.consume(({ payload }) => payload.sku.length, { schema, concurrency: 4 })
    await mq.consume((message: InboxMessage) => void message.payload)
    // @ts-expect-error without a schema the payload is unknown
    await mq.consume(({ payload }) => payload.sku)
    // @ts-expect-error a transaction has one handler at a time
    await mq.consumeInTransaction(() => undefined, { concurrency: 2 })
    await open({ db }).consumeInTransaction((_message, handle) => handle.createSession())
    // @ts-expect-error by a path it is the part that all connections have in common
    await mq.consumeInTransaction((_message, handle) => handle.createSession())
    // @ts-expect-error numbers cannot be sent
    mq.send('b', 9000, '', 7)
    const own = open({ db: new Database('x.db') })
    await own.consumeInTransaction((_message, handle) => handle.pragma('user_version'))
    mq.sendMany([{ host: 'b', data: 'x', port: undefined, token: undefined }])
    for (const { token, data, headers } of mq.readInbox({ after: undefined, token: undefined })) {
      mq.send('b', 9000, token, data, { headers })
    }
    for await (const message of mq.inbox({ schema })) {
      const sku: string = message.payload.sku
      // @ts-expect-error what has arrived does not change
      message.data = sku
      message.reply(sku)
      message.release({ afterMs: 5 })
    }
    const data: string | Uint8Array = (await mq.request('b', 9000, '', 'x')).data
    const code: TinymqErrorCode = 'TINYMQ_BUSY'
    // @ts-expect-error there is no such code
    const none: TinymqErrorCode = 'TINYMQ_NONE'
    await using lab = await startNodes(['a', 'b'], { seed: 1, conditions: { lossPercent: 5 } })
    lab.partition('a', 'b')
    // @ts-expect-error there is no such node
    lab.partition('a', 'c')
    // @ts-expect-error there is no such node
    lab.nodes.c.mq.send('a', 9000, '', 'x')
    const found: string = await lab.nodes.b.waitFor<string | null>('SELECT data FROM mqin')
    const { sql, parameters }: { sql: string; parameters: unknown[] } =
      sendStatement({ host: 'b', data })
    export const all = [code, none, found, sql, parameters]`,
  )
  equal(await compiled('typed.mts', 'nodenext'), '')
})

test('the types name what they need, where a project has set nothing', async () => {
  const text = "import { open } from 'tinymq'\nexport const mq = open('x.db')\n"
  for (const file of ['bare.mts', 'bare.cts']) {
    writeFileSync(join(project, file), text)
    const isBare = { lib: ['es2022'], types: [], target: 'es2022' }
    equal(await compiled(file, 'nodenext', isBare), '')
  }
})

test('the types are there for CommonJS, also where it may name no ES module', async () => {
  writeFileSync(
    join(project, 'typed.cts'),
    `import { open, sendStatement, TinymqError, type InboxMessage, type Tinymq } from 'tinymq'
    const mq: Tinymq = open('x.db')
    void mq.consume((message: InboxMessage) => console.log(message.id))
    const error: TinymqError = new TinymqError('TINYMQ_BUSY', 'x')
    // @ts-expect-error numbers cannot be sent
    mq.send('b', 9000, '', 7)
    export const all = [error, sendStatement]`,
  )
  for (const mode of ['node16', 'nodenext']) equal(await compiled('typed.cts', mode), '')
})

/** What the compilers say of a file of the fresh project. */
async function compiled(file: string, module: string, others: object = {}): Promise<string> {
  const options = {
    strict: true,
    noEmit: true,
    module,
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    types: ['node'],
    typeRoots: [join(project, 'node_modules', '@types')],
    exactOptionalPropertyTypes: true,
    ...others,
  }
  const config = JSON.stringify({ compilerOptions: options, files: [file] })
  writeFileSync(join(project, 'tsconfig.json'), config)
  const outputs: string[] = []
  for (const name of compilers) {
    const tsc = join(project, 'node_modules', name, 'bin', 'tsc')
    const checked = run(process.execPath, [tsc], { cwd: project }).catch((error: unknown) => error)
    const { stdout } = (await checked) as Ending
    if (stdout !== '') outputs.push(`${name}: ${stdout}`)
  }
  return outputs.join('\n')
}
