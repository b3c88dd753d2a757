import { deepEqual, equal, match, ok, rejects, doesNotMatch } from 'node:assert/strict'
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { runLine } from '../../../test/support/command-run.ts'
import { readRing } from './key-file.ts'
import { bitsOf, parseRing, passphraseBitsMin, secretOf } from './parse.ts'
import { KeysWatch } from './policy.ts'

const hexKey = (fill: number): string =>
  Array.from({ length: 32 }, (_, index) =>
    ((index * 7 + fill) & 255).toString(16).padStart(2, '0'),
  ).join('')
const base64Key = (fill: number): string => Buffer.from(hexKey(fill), 'hex').toString('base64')
const good = 'velvet harbor quince marble otter lantern'

function fileOf(t: TestContext, text: string, mode = 0o600): string {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-keys-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const path = join(directory, 'ring')
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

async function problemOf(path: string, keyless: readonly string[] = []): Promise<string> {
  try {
    await readRing(path, keyless)
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

test('a ring has keys in base64 and hex, comments, and several keys of one name', () => {
  const text = [
    '\uFEFF# the ring',
    '',
    `orders = ${base64Key(1)}   # since May`,
    `  orders=${base64Key(2).replaceAll('+', '-').replaceAll('/', '_').replace('=', '')}\r`,
    `größe.v2 = ${hexKey(3).toUpperCase()}`,
    `phrase = "${good} # no comment"`,
  ].join('\n')
  const { lines, problems } = parseRing(text)
  deepEqual(problems, [])
  deepEqual(
    lines.map(({ line, name, material }) => [
      line,
      name,
      material.type === 'key' ? Buffer.from(material.secret).toString('hex') : material.text,
    ]),
    [
      [3, 'orders', hexKey(1)],
      [4, 'orders', hexKey(2)],
      [5, 'größe.v2', hexKey(3)],
      [6, 'phrase', `${good} # no comment`],
    ],
  )
})

test('each problem is reported with its line and without the secret, all of them at once', () => {
  const secret = base64Key(9)
  const text = [
    'no equals sign here',
    `= ${secret}`,
    `two words = ${secret}`,
    `short = ${secret.slice(0, 30)}`,
    `hex = ${hexKey(9).slice(2)}`,
    `zeros = ${'00'.repeat(32)}`,
    'weak = "password123"',
    'open = "never closed',
    `a,b = ${secret}`,
    'empty =',
  ].join('\n')
  const { problems } = parseRing(text)
  deepEqual(
    problems.map((problem) => /^line \d+/.exec(problem)?.[0]),
    Array.from({ length: 10 }, (_, index) => `line ${index + 1}`),
  )
  const said = problems.join('\n')
  for (const part of [secret.slice(0, 8), hexKey(9).slice(2, 10), 'password123', 'never closed']) {
    ok(!said.includes(part), part)
  }
})

test('a passphrase must be worth 64 bits, however long it looks', () => {
  const weak = [
    '',
    'password',
    'correct horse battery staple',
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    'abcdefghijklmnopqrstuvwxyz',
    '12345678901234567890123456789012345',
    'word word word word word word word word',
    'Tr0ub4dor&3',
  ]
  for (const passphrase of weak) ok(bitsOf(passphrase) < passphraseBitsMin, passphrase)
  for (const passphrase of [good, 'x8Kd02mPqLw9Zr5TnV3b', '1937 7460 8826 3027 5593 2714']) {
    ok(bitsOf(passphrase) >= passphraseBitsMin, passphrase)
  }
})

test('a passphrase makes the same key everywhere, another one under each name', async (t) => {
  const { keys } = await readRing(fileOf(t, `a = "${good}"\nb = "${good}"\n`))
  const [a, b] = keys.map(({ secret }) => Buffer.from(secret).toString('hex'))
  ok(a !== b)
})

test('the golden vectors of passphrases', async () => {
  const path = new URL('../../protocol/vectors.json', import.meta.url)
  const { passphrases } = JSON.parse(readFileSync(path, 'utf8')) as {
    passphrases: { name: string; passphrase: string; secret: string }[]
  }
  for (const { name, passphrase, secret } of passphrases) {
    equal(Buffer.from(await secretOf(name, passphrase)).toString('hex'), secret)
  }
  equal(passphrases.length, 1)
})

test('a file that others may read or change is rejected, a secret of Docker is not', async (t) => {
  const text = `a = ${base64Key(1)}\n`
  for (const [mode, expected] of [
    [0o644, /everybody may read it \(mode 644\): chmod 600/],
    [0o666, /others may write to it/],
    [0o620, /others may write to it/],
  ] as const) {
    match(await problemOf(fileOf(t, text, mode)), expected)
  }
  for (const mode of [0o600, 0o400, 0o640]) equal(await problemOf(fileOf(t, text, mode)), '')
})

test('what cannot be a ring is rejected with a reason', async (t) => {
  match(await problemOf('/nowhere/ring'), /cannot be read: ENOENT/)
  match(await problemOf(tmpdir()), /it is not a file/)
  match(await problemOf(fileOf(t, '# nothing\n')), /no key in it; tinymq keys new/)
  match(await problemOf(fileOf(t, 'x'.repeat(1_048_577))), /more than 1048576 bytes/)
  const twice = `a = ${base64Key(1)}\nb = ${hexKey(1)}\n`
  match(await problemOf(fileOf(t, twice)), /line 2: this is the key of line 1 \(a\) once more/)
  const listed = fileOf(t, `a = ${base64Key(1)}\n`)
  match(await problemOf(listed, ['b', 'a']), /line 1: the token a is one of --keyless-tokens too/)
})

/** Says what a watch has reported. */
async function watching(
  t: TestContext,
  path: string,
): Promise<{ watch: KeysWatch; said: string[] }> {
  const said: string[] = []
  const watch = new KeysWatch({
    path,
    keylessTokens: [],
    onRing: (keys) => said.push(keys.map(({ name }) => name).join()),
    onRefused: (error) => said.push(String(error)),
  })
  t.after(() => watch.stop())
  said.push((await watch.start()).map(({ name }) => name).join())
  return { watch, said }
}

test('a ring is read again when asked; one that is not right is rejected each time', async (t) => {
  const path = fileOf(t, `a = ${base64Key(1)}\n`)
  const { watch, said } = await watching(t, path)
  writeFileSync(path, `a = ${base64Key(1)}\nb = ${base64Key(2)}\n`)
  await watch.reload()
  writeFileSync(path, `a = ${base64Key(1)}\nb = oops\n`)
  await watch.reload()
  rmSync(path)
  await watch.reload()
  deepEqual(said.slice(0, 2), ['a', 'a,b'])
  match(said[2] ?? '', /line 2: the key b is neither/)
  match(said[3] ?? '', /cannot be read/)
})

test('a ring that is not right at the start is rejected', async (t) => {
  await rejects(watching(t, fileOf(t, 'a = b\n')), { code: 'TINYMQ_INVALID_KEYS' })
})

// ---- the command

async function run(
  args: readonly string[],
  input = '',
): Promise<{ code: number; out: string; err: string }> {
  const { code, out, said: err } = await runLine(['keys', ...args], { input })
  return { code, out, err }
}

test('keys new begins a ring that nobody else can read, and prints its line', async (t) => {
  const path = join(fileOf(t, ''), '..', 'fresh')
  const { code, out } = await run(['new', 'orders', '--keys', path])
  equal(code, 0)
  equal(readFileSync(path, 'utf8'), out)
  match(out, /^orders = [\w+/]{43}=\n$/)
  equal(statSync(path).mode & 0o777, 0o600)
  equal((await readRing(path)).keys.length, 1)
  const again = await run(['new', 'orders', '--keys', path])
  deepEqual([again.code, again.out], [67, ''])
  match(again.err, /has a key orders already: tinymq keys rotate orders --add/)
  const [one, another] = [await run(['new', 'other']), await run(['new', 'other'])]
  ok(one.out !== another.out)
})

test('a ring where none can be: one sentence, with what the system says', async (t) => {
  const file = fileOf(t, '')
  const circle = join(file, '..', 'circle')
  symlinkSync('circle', circle)
  const places = [
    [join(file, 'below'), 'cannot be written: ENOTDIR'],
    [circle, 'cannot be read: ELOOP'],
    [join(file, '..'), 'cannot be read: EISDIR'],
    [join(file, '..', 'none', 'ring'), 'cannot be written: ENOENT'],
  ] as const
  for (const [path, problem] of places) {
    const { code, out, err } = await run(['new', 'orders', '--keys', path])
    deepEqual([code, out], [67, ''])
    ok(err.startsWith(`tinymq: The key ring ${path} ${problem}`), err)
    ok(!err.includes('    at '), err)
  }
})

test('rotate goes through its three steps on two machines, and keeps the rest', async (t) => {
  const before = `# ours\nx = ${base64Key(1)}\n\n# theirs\ny = ${base64Key(2)}`
  const [a, b] = [fileOf(t, before), fileOf(t, before, 0o640)]
  const step = async (path: string, ...args: string[]): Promise<string[]> => {
    equal((await run(['rotate', 'x', ...args, '--keys', path])).code, 0)
    const { keys } = await readRing(path)
    return keys
      .filter(({ name }) => name === 'x')
      .map(({ secret }) => Buffer.from(secret).toString('hex'))
  }
  const { out: line } = await run(['rotate', 'x', '--add', '--keys', a])
  const fresh = Buffer.from(line.split(' = ')[1] ?? '', 'base64').toString('hex')
  const added = await run(['rotate', 'x', '--add', '-', '--keys', b], line)
  deepEqual([added.code, added.out], [0, ''])
  for (const path of [a, b]) deepEqual(await step(path, '--switch'), [fresh, hexKey(1)])
  for (const path of [a, b]) deepEqual(await step(path, '--retire'), [fresh])
  equal(readFileSync(a, 'utf8'), `# ours\n${line}\n# theirs\ny = ${base64Key(2)}\n`)
  equal(statSync(b).mode & 0o777, 0o640)
  match((await run(['rotate', 'x', '--retire', '--keys', a])).err, /x has one key only/)
})

test('list shows what distinguishes two rings, and no secret', async (t) => {
  const path = fileOf(t, `x = ${base64Key(1)}\nx = ${base64Key(2)}\ny = ${hexKey(3)}\n`)
  const { code, out } = await run(['list', '--keys', path])
  equal(code, 0)
  const rows = out
    .trimEnd()
    .split('\n')
    .map((row) => row.split('\t'))
  deepEqual(
    rows.map(([name, , use]) => [name, use]),
    [
      ['x', 'sent with'],
      ['x', 'taken'],
      ['y', 'sent with'],
    ],
  )
  equal(new Set(rows.map(([, fingerprint]) => fingerprint)).size, 3)
  for (const secret of [1, 2, 3].flatMap((fill) => [hexKey(fill), base64Key(fill)])) {
    doesNotMatch(out, new RegExp(secret.slice(0, 6).replaceAll('+', '\\+')))
  }
  const json = await run(['list', '--json', '--keys', path])
  equal(
    json.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown).length,
    3,
  )
})

test('check ends with 67 where a daemon would not start, and 64 says how to call it', async (t) => {
  equal((await run(['check', '--keys', fileOf(t, `x = ${base64Key(1)}\n`)])).code, 0)
  const bad = await run(['check', '--keys', fileOf(t, 'x = y\n')])
  equal(bad.code, 67)
  match(bad.err, /line 1: .* \(TINYMQ_INVALID_KEYS\)/)
  for (const args of [
    [],
    ['what'],
    ['new'],
    ['new', 'a', 'b'],
    ['new', 'two words'],
    ['check'],
    ['check', 'x', '--keys', 'f'],
    ['rotate', 'x', '--keys', 'f'],
    ['rotate', 'x', '--add', '--switch', '--keys', 'f'],
    ['list', '--add'],
    ['list', '--frob'],
  ]) {
    equal((await run(args)).code, 64, args.join(' '))
  }
  equal((await run(['--help'])).code, 0)
})
