/**
 * How a daemon starts and ends, on real processes: what it says when it cannot run and the number
 * that it ends with (daemon/platform/start-error.ts), and what its signals do.
 */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ownEnvironment } from '../support/daemon-process.ts'
import { needs } from '../support/needs.ts'
import { PastedProcess } from '../support/pasting.ts'
import { until } from '../support/until.ts'
import { test, type TestContext } from 'node:test'
import Database from 'better-sqlite3'
import { DaemonProcess, program } from '../../cli/demo.ts'
import { ownAddresses } from '../../daemon/platform/net/ip.ts'

/** A directory goes when nobody writes into it any more: hooks run in the order of their making. */
const daemons = new WeakMap<TestContext, DaemonProcess[]>()

async function endAll(context: TestContext): Promise<void> {
  for (const running of daemons.get(context) ?? []) {
    running.kill('SIGKILL')
    await running.exited
  }
}

function directory(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tinymq-start-'))
  context.after(async () => {
    await endAll(context)
    rmSync(path, { recursive: true })
  })
  return path
}

function daemon(context: TestContext, ...args: string[]): DaemonProcess {
  const started = new DaemonProcess(program, ...args)
  daemons.set(context, [...(daemons.get(context) ?? []), started])
  context.after(async () => endAll(context))
  return started
}

/** The number that a daemon ends with that cannot run, and all that it says. */
async function refusal(...words: string[]): Promise<[unknown, string]> {
  const refused = new DaemonProcess(...words)
  const code = await refused.exited
  deepEqual(refused.records, [])
  return [code, refused.complaints.join('\n')]
}

async function boundSocket(context: TestContext, type: 'udp4' | 'udp6'): Promise<Socket> {
  const socket = createSocket(type)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('error', reject)
  socket.bind(0, resolve)
  await promise
  context.after(() => socket.close())
  return socket
}

test('wrong options: 64, with every problem', async () => {
  const [code, text] = await refusal(program, '9000', '--log-level', 'loud', '--nope')
  equal(code, 64)
  match(text, /--log-level must be one of/)
  match(text, /--nope: there is no such option/)
  ok(text.endsWith('(TINYMQ_INVALID_OPTION)'), text)
})

test('no such command: 64, and the one that is meant', async () => {
  const calls: [string, RegExp][] = [
    ['frobnicate', /^tinymq: unknown command 'frobnicate'\n\(--help says more\)$/],
    ['sned', /^tinymq: unknown command 'sned'\n\(Did you mean send\?\)/],
    ['doctr', /^tinymq: unknown command 'doctr'\n\(Did you mean doctor\?\)/],
    ['./mq.db 9000', /^tinymq: the port comes first: tinymq 9000 \.\/mq\.db$/],
    ['send --bogus', /^tinymq: unknown option '--bogus'/],
    ['check --bogus', /^tinymq: unknown option '--bogus'/],
    ['check a -d b', /^tinymq: a: one argument too many\. --help says more\. \(TINYMQ_INVALID/],
    ['', /^Usage: /],
  ]
  for (const [words, expected] of calls) {
    const [code, text] = await refusal(program, ...words.split(' ').filter(Boolean))
    equal(code, 64, words)
    match(text, expected)
  }
})

test('help and version as other programs have them', async () => {
  const saying = async (...words: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, ...words])
    return stdout
  }
  equal(await saying('help'), await saying('--help'))
  equal(await saying('help', 'send'), await saying('send', '--help'))
  const version = await saying('--version')
  for (const word of ['version', '-V', '-v']) equal(await saying(word), version)
})

test('an option before the port is an option of the daemon', async () => {
  const [code, text] = await refusal(program, '--log-level', 'loud', '9000')
  equal(code, 64)
  match(text, /^tinymq: The options are not right: --log-level must be one of/)
})

test('a file that is not a database: 65', async (context) => {
  const path = join(directory(context), 'db')
  writeFileSync(path, 'This is a diary.\n'.repeat(100))
  const [code, text] = await refusal(program, '0', path)
  equal(code, 65)
  match(text, new RegExp(`^tinymq: ${path}: .*\\. .*\\(TINYMQ_NOT_A_DATABASE\\)$`))
})

test('a directory in place of the file: 65', async (context) => {
  const [code, text] = await refusal(program, '0', directory(context))
  equal(code, 65)
  match(text, /is not a file\..*\(TINYMQ_NOT_A_DATABASE\)$/)
})

test('no such directory: 66', async (context) => {
  const path = join(directory(context), 'missing', 'db')
  const [code, text] = await refusal(program, '0', path)
  equal(code, 66)
  match(text, /^tinymq: There is no directory .*missing for the database: create it/)
})

for (const files of [24, 28, 30]) {
  test(`no more files than ${files}: 71, and which limit to raise`, async (t) => {
    const script = `ulimit -n ${files}; exec "$0" "$@"`
    const database = join(directory(t), 'db')
    const words = ['-c', script, process.execPath, program, '0', database]
    // With a variable that no option has, the first line would be about that.
    const options = { encoding: 'utf8', env: ownEnvironment() } as const
    const { status, stderr } = spawnSync('bash', words, options)
    equal(status, 71, stderr)
    match(
      stderr,
      /^tinymq: This process can open no more files \(EMFILE; .+\): raise its limit: ulimit/s,
    )
  })
}

test('a UDP port that is taken: 69', async (context) => {
  const path = join(directory(context), 'db')
  const { port } = (await boundSocket(context, 'udp6')).address()
  const [code, text] = await refusal(program, String(port), path)
  equal(code, 69)
  match(text, new RegExp(`^tinymq: UDP port ${port} is taken by another process`))
})

test('an address that is not of this machine: 69', async (context) => {
  const [code, text] = await refusal(
    program,
    '0',
    join(directory(context), 'db'),
    '--bind=192.0.2.1',
  )
  equal(code, 69)
  match(text, /Cannot listen on 192\.0\.2\.1/)
})

test('a second daemon on the same file: 75, and who is the first', async (context) => {
  const path = join(directory(context), 'db')
  const first = daemon(context, '0', path)
  await first.started()
  const [code, text] = await refusal(program, '0', path)
  equal(code, 75)
  match(text, new RegExp(`Another daemon \\(process ${first.pid} on .*, since .*\\) has ${path}`))
})

test('tables of a newer version: 76, and they stay as they are', async (context) => {
  const path = join(directory(context), 'db')
  const first = daemon(context, '0', path)
  await first.started()
  first.kill('SIGTERM')
  await first.exited
  const db = new Database(path)
  db.exec("UPDATE mqmeta SET value = 1000 WHERE key = 'schema_version'")
  const [code, text] = await refusal(program, '0', path)
  equal(code, 76)
  match(text, /1000.*\(TINYMQ_SCHEMA_NEWER\)$/)
  db.close()
})

/**
 * Not as root, who may write everywhere: modules are loaded first, as the sources may be root's.
 */
function asNobody(...args: string[]): string[] {
  const main = new URL('../../daemon/main.ts', import.meta.url).href
  const drop = 'if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534) }'
  const words = JSON.stringify(['0', ...args])
  const script = `import { main } from '${main}'; ${drop} await main(${words})`
  return ['--input-type=module', '--eval', script]
}

test('a directory that cannot be written: 77, and whose it is', async (context) => {
  const parent = directory(context)
  const path = join(parent, 'locked')
  mkdirSync(path)
  chmodSync(parent, 0o755)
  chmodSync(path, 0o555)
  const [code, text] = await refusal(...asNobody(join(path, 'db')))
  equal(code, 77)
  const { uid } = statSync(path)
  match(text, new RegExp(`The directory ${path} cannot be written: it belongs to uid ${uid}, `))
  match(text, /mode 555; this daemon runs as uid \d+, gid \d+\./)
})

/** A system of its own, with nothing in its /var/lib, which is the directory `lib` here. */
function withoutDirectory(context: TestContext, lib: string, ...words: string[]): PastedProcess {
  chmodSync(lib, 0o755)
  const script = 'mount --bind "$0" /var/lib && exec "$@"'
  const unshare = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, lib]
  const environment = { PATH: process.env['PATH'], TINYMQ_LOG_FORMAT: 'json' }
  const options = { prefix: unshare, cwd: lib, environment }
  const started = new PastedProcess([process.execPath, ...words], options)
  context.after(async () => started[Symbol.asyncDispose]())
  return started
}

const needsRoot = { skip: needs('root') }

test('a default directory that a user may not make: 66', needsRoot, async (t) => {
  const lib = directory(t)
  await rejects(withoutDirectory(t, lib, ...asNobody()).succeeds(), {
    message:
      'It ended with 66: tinymq: There is no directory /var/lib/tinymq for the database: ' +
      'create it with sudo install -d -o 65534 /var/lib/tinymq, or name another file, as in ' +
      'tinymq 9000 ~/tinymqdb. (TINYMQ_NO_DIRECTORY)\n',
  })
  deepEqual(readdirSync(lib), [])
})

test('root makes the default directory, and commands find the database', needsRoot, async (t) => {
  const lib = directory(t)
  const running = withoutDirectory(t, lib, program, '0')
  await running.prints(/"event":"started"/)
  equal(statSync(join(lib, 'tinymq')).mode & 0o722, 0o700)
  const status = withoutDirectory(t, lib, program, 'status', '--json')
  await status.succeeds()
  running.signal('SIGTERM')
  await running.succeeds()
})

test('a directory that cannot be entered: 77, and as whom', async (context) => {
  const path = directory(context)
  if (process.getuid?.() !== 0) chmodSync(path, 0o600)
  const [code, text] = await refusal(...asNobody(join(path, 'locked', 'db')))
  chmodSync(path, 0o700)
  equal(code, 77)
  match(text, /locked cannot be reached: EACCES.*; this daemon runs as uid \d+, gid \d+\./)
})

test('Node.js too old: 78, before anything else is loaded', async () => {
  const older = "{ ...process.versions, node: '22.13.1' }"
  const words = preload(`Object.defineProperty(process, 'versions', { value: ${older} })`)
  const [code, text] = await refusal(...words, program, '9000', '/no/such/directory/db')
  equal(code, 78)
  match(text, /^tinymq: Node\.js 22\.14 or newer is needed, this is v\d+\.\d+\.\d+\.$/)
})

/** What `node` is given to run `script`, in every thread, before the program. */
function preload(script: string): string[] {
  return ['--import', `data:text/javascript,${encodeURIComponent(script)}`]
}

const bugs = [
  ['the core', '../../daemon/protocol/endpoint.ts', 'Endpoint.prototype.handle'],
  ['the store', '../../daemon/store/store.ts', 'Store.prototype.run'],
] as const

for (const [part, module, method] of bugs) {
  test(`a bug of our own in ${part}: 70, with the stack`, async (context) => {
    const { href } = new URL(module, import.meta.url)
    const [name] = method.split('.')
    const failure = `${method} = () => { throw new Error('planted') }`
    const words = preload(`import { ${name} } from '${href}'; ${failure}`)
    const broken = new DaemonProcess(...words, program, '0', join(directory(context), 'db'))
    equal(await broken.exited, 70)
    const text = broken.complaints.join('\n')
    match(text, /^tinymq: A bug of its own ended the daemon; .* Error: planted\n {4}at /)
  })
}

/** A handshake in a version that nobody speaks: the answer (PROTOCOL §3.5) shows that it came. */
async function isHeard(socket: Socket, port: number, address: string): Promise<boolean> {
  const hello = Buffer.alloc(256)
  hello.set([0x10, 0xee])
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  socket.once('message', resolve)
  socket.send(hello, port, address)
  return (await promise)[0] === 0x50
}

test('one port answers over IPv6 and over IPv4', async (context) => {
  const running = daemon(context, '0', join(directory(context), 'db'))
  const port = await running.started()
  equal(await isHeard(await boundSocket(context, 'udp4'), port, '127.0.0.1'), true)
  if (!ownAddresses().includes('::1')) return
  equal(await isHeard(await boundSocket(context, 'udp6'), port, '::1'), true)
})

test('without a key ring the start says who may send, and how to change it', async (context) => {
  const running = daemon(context, '0', join(directory(context), 'db'))
  const { message } = await running.logged('keyless')
  match(message, /^No key ring: anybody at a loopback, private, .* may send/)
  match(message, /--keys .* --keyless-from anywhere takes them from everybody/)
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends the daemon with 0 within five seconds`, async (context) => {
    const running = daemon(context, '0', join(directory(context), 'db'))
    await running.started()
    const start = performance.now()
    running.kill(signal)
    equal(await running.exited, 0)
    ok(performance.now() - start < 5_000)
    deepEqual(running.complaints, [])
  })
}

test('a second signal ends it at once', async (context) => {
  const path = join(directory(context), 'db')
  const running = daemon(context, '0', path)
  await running.started()
  // The last commit cannot be made as long as somebody else writes.
  const db = new Database(path)
  db.exec(`INSERT INTO mqout (host, port, data) VALUES ('127.0.0.1', 9, 'x'); BEGIN IMMEDIATE`)
  running.kill('SIGTERM')
  await running.logged('stopping')
  running.kill('SIGTERM')
  equal(await running.exited, 143)
  db.close()
})

test('SIGHUP ends nothing', async (context) => {
  const running = daemon(context, '0', join(directory(context), 'db'))
  await running.started()
  running.kill('SIGHUP')
  await running.logged('keys-none')
  running.kill('SIGTERM')
  equal(await running.exited, 0)
})

test('P1: after kill -9 the same file is taken up again', async (context) => {
  const path = join(directory(context), 'db')
  const first = daemon(context, '0', path)
  await first.started()
  first.kill('SIGKILL')
  equal(await first.exited, 'SIGKILL')
  await daemon(context, '0', path).started()
})

test('P10: a database that was replaced under the daemon is opened again', async (context) => {
  const path = join(directory(context), 'db')
  const running = daemon(context, '0', path)
  const port = await running.started()
  new Database(`${path}.new`).exec('CREATE TABLE mine (x)').close()
  renameSync(path, `${path}.old`)
  renameSync(`${path}.new`, path)
  const { level } = await running.logged('database-replaced')
  equal(level, 'error')
  const { address } = await running.logged('restarted')
  equal(String(address).endsWith(`:${port}`), true)
  const db = new Database(path)
  equal(db.prepare('SELECT count(*) FROM mqout').pluck().get(), 0)
  const events = db.prepare('SELECT code FROM mqevent').pluck()
  await until({ what: 'the event', withinMs: 5_000 }, () => events.get() === 'DATABASE_REPLACED')
  db.close()
})
