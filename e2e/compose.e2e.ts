/**
 * The Compose files, on a real engine, from a fresh clone of an ordinary user: a node for this host
 * whose database the user's own sqlite3 reads and writes, the variant on the host's network, and
 * three machines for a demo. It needs a Docker engine, Compose 2.24 and the sqlite3 command line.
 */
import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import { chownSync, existsSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { after, before, test, type TestContext } from 'node:test'
import { freePort } from '../test/support/free-port.ts'
import { rows, sql } from '../test/support/sqlite-shell.ts'
import { until } from '../test/support/until.ts'
import { asUser, Clone, gid, uid } from './containers/clone.ts'
import { docker, outcomeOf, output, type Outcome } from './containers/command.ts'

const image = `tinymq-compose-e2e:${process.pid}`
/** The host's own application or its operator: a user who is not root. */
const user = { prefix: asUser }
const arrivesMs = 60_000

let clone: Clone

before(async () => {
  const { code, stdout } = await outcomeOf(['docker', 'compose', 'version', '--short'])
  const [major = 0, minor = 0] = stdout.split('.').map(Number)
  ok(
    code === 0 && (major > 2 || (major === 2 && minor >= 24)),
    'Docker Compose 2.24 or newer is needed, as the plugin cli-plugins/docker-compose in ' +
      `~/.docker or $DOCKER_CONFIG; docker compose version says ${stdout || 'nothing'}`,
  )
  clone = await Clone.make()
  await clone.build(image)
})

after(async () => {
  await clone.remove(image)
  await docker('image', 'rm', image)
})

/** What a test has put up goes away with it, the last first. */
function stackOf(context: TestContext): AsyncDisposableStack {
  const stack = new AsyncDisposableStack()
  context.after(async () => stack.disposeAsync())
  return stack
}

type ProjectOptions = {
  readonly stack: AsyncDisposableStack
  readonly name: string
  readonly port: number
  /** Of the clone; compose.yaml if left out. */
  readonly files?: readonly string[]
  readonly from?: Clone
  readonly environment?: Readonly<Record<string, string>>
}

/** One project of Compose. */
class Project {
  readonly #words: readonly string[]
  readonly #options: { readonly cwd: string; readonly environment: Record<string, string> }

  constructor({
    stack,
    name,
    port,
    files = ['compose.yaml'],
    from = clone,
    ...more
  }: ProjectOptions) {
    const project = `tinymq-compose-e2e-${process.pid}-${name}`
    const flags = files.flatMap((file) => ['--file', file])
    this.#words = ['docker', 'compose', '--project-name', project, ...flags]
    const environment = {
      ...more.environment,
      TINYMQ_IMAGE: image,
      TINYMQ_BASE: from.base,
      TINYMQ_UID: String(uid),
      TINYMQ_GID: String(gid),
      TINYMQ_UDP_PORT: String(port),
    }
    this.#options = { cwd: from.directory, environment }
    const down = ['--profile', 'demo', 'down', '--volumes', '--remove-orphans']
    stack.defer(async () => void (await this.run(...down)))
  }

  async run(...args: readonly string[]): Promise<string> {
    return output([...this.#words, ...args], this.#options)
  }

  async outcomeOf(...args: readonly string[]): Promise<Outcome> {
    return outcomeOf([...this.#words, ...args], this.#options)
  }

  async isHealthy(service: string): Promise<void> {
    await until({ what: `${service} to answer`, withinMs: 60_000 }, async () => {
      return (await this.outcomeOf('exec', '-T', service, 'tinymq', 'check')).code === 0
    })
  }
}

/** As another host would have it. */
async function anotherClone(stack: AsyncDisposableStack): Promise<Clone> {
  const another = await Clone.make()
  stack.defer(async () => another.remove(image))
  return another
}

async function send(
  database: string,
  host: string,
  port: number,
  data: string,
  token = 'e2e',
): Promise<void> {
  const values = `('${host}', ${port}, '${token}', '${data}')`
  await sql(database, `INSERT INTO mqout (host, port, token, data) VALUES ${values};`, user)
}

async function arrives(database: string, data: string): Promise<void> {
  await until({ what: `${data} in ${database}`, withinMs: arrivesMs }, async () => {
    const found = await rows<{ data: string }>(database, 'SELECT data FROM mqin', user)
    return found.some((row) => row.data === data)
  })
}

async function isEmptied(database: string): Promise<void> {
  await until({ what: `an empty mqout in ${database}`, withinMs: arrivesMs }, async () => {
    return (await sql(database, 'SELECT count(*) FROM mqout;', user)) === '0'
  })
}

function owners(database: string): string[] {
  return ['', '-wal', '-shm', '-daemon'].map((suffix) => {
    const stats = statSync(database + suffix)
    return `${stats.uid}:${stats.gid}`
  })
}

const combinations = [
  [],
  ['compose.yaml'],
  ['compose.host.yaml'],
  ['compose.yaml', 'compose.host.yaml'],
  ['compose.yaml', 'compose.keys.yaml'],
  ['compose.yaml', 'compose.observe.yaml'],
  ['compose.host.yaml', 'compose.keys.yaml'],
  ['compose.yaml', 'compose.host.yaml', 'compose.keys.yaml'],
]

test('every file, alone or over another, is sound with nothing set', async () => {
  for (const files of combinations) {
    const flags = files.flatMap((file) => ['--file', file])
    for (const profile of [[], ['--profile', 'demo'], ['--profile', 'metrics']]) {
      const words = ['docker', 'compose', ...flags, ...profile, 'config', '--quiet']
      const found = await outcomeOf(words, { cwd: clone.directory })
      deepEqual(found, { code: 0, stdout: '', stderr: '' }, words.join(' '))
    }
  }
})

type Service = {
  readonly ports?: readonly { readonly published: string; readonly target: number }[]
  readonly network_mode?: string
  readonly environment: Readonly<Record<string, string>>
}

async function services(...flags: readonly string[]): Promise<Record<string, Service>> {
  const words = ['docker', 'compose', ...flags, 'config', '--format', 'json']
  const text = await output(words, { cwd: clone.directory })
  return (JSON.parse(text) as { services: Record<string, Service> }).services
}

test('one node unless the demo is asked for, which publishes no port', async () => {
  const plain = await services()
  deepEqual(Object.keys(plain), ['tinymq'])
  const [port] = plain['tinymq']?.ports ?? []
  deepEqual([port?.published, port?.target], ['9000', 9000])
  const demo = await services('--profile', 'demo')
  deepEqual(Object.keys(demo).toSorted(), ['MachineA', 'MachineB', 'MachineC', 'tinymq'])
  for (const name of ['MachineA', 'MachineB', 'MachineC']) {
    equal(demo[name]?.ports, undefined, name)
    // Its address may be another container's after a restart.
    equal(demo[name]?.environment['TINYMQ_ADVERTISE'], name)
  }
})

test('the key ring is one file more', async () => {
  const flags = ['--file', 'compose.yaml', '--file', 'compose.keys.yaml']
  const { tinymq } = await services(...flags)
  equal(tinymq?.environment['TINYMQ_KEYS_FILE'], '/run/secrets/tinymq-keys')
  equal(tinymq?.environment['TINYMQ_DATABASE'], '/data/tinymqdb')
})

test('the host’s user sends, reads and deletes, and rows cross both ways', async (t) => {
  const stack = stackOf(t)
  const [port, otherPort] = [await freePort(), await freePort()]
  const node = new Project({ stack, name: 'node', port })
  await node.run('up', '--detach', '--build')
  await node.isHealthy('tinymq')
  const database = clone.path('data/tinymqdb')
  deepEqual(new Set(owners(database)), new Set([`${uid}:${gid}`]))
  const from = await anotherClone(stack)
  const there = from.path('data/tinymqdb')
  const files = ['compose.host.yaml']
  const other = new Project({ stack, name: 'host', port: otherPort, files, from })
  await other.run('up', '--detach')
  await other.isHealthy('tinymq')
  await send(database, await gatewayOf(node), otherPort, 'to the host')
  await arrives(there, 'to the host')
  await send(there, '127.0.0.1', port, 'to the container')
  await arrives(database, 'to the container')
  await isEmptied(database)
  await send(database, '192.0.2.1', 9000, 'to nobody')
  await sql(database, "DELETE FROM mqout WHERE host = '192.0.2.1';", user)
  equal(await sql(database, 'SELECT count(*) FROM mqout;', user), '0')
  await sql(database, 'DELETE FROM mqin;', user)
  deepEqual(new Set(owners(database)), new Set([`${uid}:${gid}`]))
  equal(await sql(database, 'PRAGMA integrity_check;', user), 'ok')
})

/** Where a container of this project finds its host. */
async function gatewayOf(project: Project): Promise<string> {
  const id = await project.run('ps', '--quiet', 'tinymq')
  const format = '{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}'
  const gateway = await docker('inspect', '--format', format, id)
  notEqual(gateway, '')
  return gateway
}

/** A file among the secrets, as an operator leaves it there. */
function writeSecret(from: Clone, name: string, text: string): void {
  const path = from.path(`secrets/${name}`)
  writeFileSync(path, text, { mode: 0o600 })
  chownSync(path, uid, gid)
}

test('with a key ring, rows cross under the key, and no others do', async (t) => {
  const stack = stackOf(t)
  const line = await docker('run', '--rm', '--network=none', image, 'keys', 'new', 'orders')
  const ring = `${line.split('\n').find((text) => text.startsWith('orders = ')) ?? ''}\n`
  match(ring, /^orders = \S+/)
  const [port, otherPort] = [await freePort(), await freePort()]
  const [from, keyless] = [await anotherClone(stack), await anotherClone(stack)]
  for (const each of [clone, from]) writeSecret(each, 'keys', ring)
  const start = async (name: string, on: Clone, its: number, files: string[]): Promise<Project> => {
    const project = new Project({ stack, name, port: its, files, from: on })
    await project.run('up', '--detach', '--no-build')
    await project.isHealthy('tinymq')
    return project
  }
  const keys = 'compose.keys.yaml'
  const node = await start('keys', clone, port, ['compose.yaml', keys])
  await start('keys-host', from, otherPort, ['compose.host.yaml', keys])
  await start('keyless', keyless, await freePort(), ['compose.host.yaml'])
  const [here, there] = [clone.path('data/tinymqdb'), from.path('data/tinymqdb')]
  await send(keyless.path('data/tinymqdb'), '127.0.0.1', port, 'without a key', 'orders')
  await send(here, await gatewayOf(node), otherPort, 'under the key', 'orders')
  await send(there, '127.0.0.1', port, 'and back', 'orders')
  await arrives(there, 'under the key')
  await arrives(here, 'and back')
  for (const database of [here, there]) {
    await isEmptied(database)
    const key = '(SELECT key FROM mqsender WHERE mqsender.id = mqin.sender)'
    const select = `SELECT token, typeof(data) AS type, ${key} AS key FROM mqin`
    deepEqual(await rows(database, select, user), [
      { token: 'orders', type: 'text', key: 'orders' },
    ])
    await sql(database, 'DELETE FROM mqin;', user)
  }
  equal(await sql(keyless.path('data/tinymqdb'), 'SELECT count(*) FROM mqout;', user), '1')
})

test('the status page and the metrics ask for the password', async (t) => {
  const password = 'correct horse battery'
  const stack = stackOf(t)
  const from = await anotherClone(stack)
  writeSecret(from, 'http-password', `${password}\n`)
  const [port, httpPort] = [await freePort(), await freePort()]
  const files = ['compose.yaml', 'compose.observe.yaml']
  const environment = { TINYMQ_HTTP_PORT: String(httpPort) }
  const node = new Project({ stack, name: 'observe', port, files, from, environment })
  await node.run('up', '--detach', '--no-build')
  await node.isHealthy('tinymq')
  const authorization = `Basic ${Buffer.from(`operator:${password}`).toString('base64')}`
  const get = async (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${httpPort}${path}`, { headers })
  for (const path of ['/', '/metrics']) {
    equal((await get(path)).status, 401, path)
    equal((await get(path, { authorization: 'Basic eDp5' })).status, 401, path)
  }
  for (const path of ['/healthz', '/readyz']) equal((await get(path)).status, 200, path)
  match(await (await get('/', { authorization })).text(), /<html/i)
  await send(from.path('data/tinymqdb'), '192.0.2.1', 9000, 'waits')
  await until({ what: 'the row in the metrics', withinMs: arrivesMs }, async () => {
    const text = await (await get('/metrics', { authorization })).text()
    return /^tinymq_outbox_rows(?:\{[^}]*\})? 1$/m.test(text)
  })
})

test('three machines in a demo find each other by name', async (t) => {
  const names = ['MachineA', 'MachineB', 'MachineC']
  const project = new Project({ stack: stackOf(t), name: 'demo', port: await freePort() })
  await project.run('--profile', 'demo', 'up', '--detach', '--build')
  for (const name of names) await project.isHealthy(name)
  const databaseOf = (name: string): string => clone.path(`data/${name}.db`)
  const pairs = names.flatMap((from) =>
    names.filter((to) => to !== from).map((to) => [from, to] as const),
  )
  for (const [from, to] of pairs) await send(databaseOf(from), to, 9000, `${from} to ${to}`)
  for (const [from, to] of pairs) await arrives(databaseOf(to), `${from} to ${to}`)
  for (const name of names) {
    await isEmptied(databaseOf(name))
    deepEqual(new Set(owners(databaseOf(name))), new Set([`${uid}:${gid}`]))
  }
})

test('a directory that is missing is an error, and Docker makes none', async (t) => {
  const stack = stackOf(t)
  const from = await anotherClone(stack)
  rmSync(from.path('data'), { recursive: true })
  const project = new Project({ stack, name: 'none', port: await freePort(), from })
  const { code, stderr } = await project.outcomeOf('up', '--detach', '--no-build')
  notEqual(code, 0)
  match(stderr, /bind source path does not exist: .*\/data/)
  equal(existsSync(from.path('data')), false)
})
