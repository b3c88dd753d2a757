/**
 * The manifests for orchestrators, checked by the orchestrators: the stack runs in a real Swarm of
 * two nodes, each an engine of our own; the Kubernetes manifests are read by kubectl and held
 * against the schema of the API. Must never make a Swarm of an engine that somebody else started.
 *
 * A part that this machine cannot run is skipped and says why; with TINYMQ_E2E_WHOLE=1, as in CI,
 * it fails instead.
 */
import { deepEqual, doesNotMatch, equal, match, notEqual, ok, rejects } from 'node:assert/strict'
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { rows, sql } from '../test/support/sqlite-shell.ts'
import { until } from '../test/support/until.ts'
import {
  kubectlVersion,
  kustomize,
  manifestsObstacle,
  manifestsOf,
  problemsOf,
  type Manifest,
} from './orchestrators/manifests.ts'
import { asApp, swarmObstacle } from './orchestrators/swarm-node.ts'
import { Swarm } from './orchestrators/swarm.ts'

const docker = join(import.meta.dirname, '..', 'docker')
const stack = join(docker, 'swarm', 'stack.yaml')
const kubernetes = join(docker, 'kubernetes')
const image = process.env['TINYMQ_E2E_IMAGE'] ?? 'tinymq:e2e'
const isWhole = process.env['TINYMQ_E2E_WHOLE'] === '1'

/** The options of a test that needs what this machine may lack. */
function needs(obstacle: string | undefined): { skip: string | false } {
  if (obstacle !== undefined && isWhole) throw new Error(`This must not be left out: ${obstacle}`)
  return { skip: obstacle ?? false }
}

const swarmOptions = needs(await swarmObstacle(image))
const manifestOptions = needs(manifestsObstacle())
const app = { prefix: asApp }
const place = mkdtempSync(join(tmpdir(), 'tinymq-orchestrators-'))
const swarm = new Swarm(place, stack, image)

before(async () => {
  // The apps, who are nobody, must get to their node's data.
  chmodSync(place, 0o755)
  if (swarmOptions.skip === false) await swarm.start()
})

after(async () => {
  await swarm.stop()
  rmSync(place, { recursive: true, force: true })
})

test(
  'a field that Swarm does not know is rejected, and nothing is deployed',
  swarmOptions,
  async () => {
    const wrong = join(place, 'wrong.yaml')
    const text = readFileSync(stack, 'utf8').replace('cap_drop:', 'cap_dorp:')
    writeFileSync(wrong, text)
    await rejects(swarm.deploy(wrong), /Additional property cap_dorp is not allowed/)
    equal(await swarm.manager.docker(['service', 'ls', '--quiet']), '')
  },
)

test('a stack without an image says what to name', swarmOptions, async () => {
  const words = ['stack', 'deploy', '--compose-file', stack, 'tinymq']
  const { exitCode, stderr } = await swarm.manager.run(words, { environment: { TINYMQ_IMAGE: '' } })
  notEqual(exitCode, 0)
  match(stderr, /name an image that every node can pull/)
})

test('Swarm leaves nothing of the stack out', swarmOptions, async () => {
  doesNotMatch(await swarm.deployStack(), /unsupported|deprecated|ignoring/i)
})

test('a node that lacks the directory rejects its task and says so', swarmOptions, async () => {
  await until({ what: 'both nodes to reject their tasks', withinMs: 60_000 }, async () => {
    const format = ['--no-trunc', '--format', '{{.Node}} {{.Error}}', 'tinymq']
    const text = await swarm.manager.docker(['stack', 'ps', ...format])
    const complaint = 'bind source path does not exist: /var/lib/tinymq'
    return swarm.nodes.every(({ name }) =>
      text.split('\n').some((line) => line.startsWith(name) && line.includes(complaint)),
    )
  })
  for (const each of swarm.nodes) await each.prepareDirectory()
  await until({ what: 'a daemon on every node', withinMs: 120_000 }, () => swarm.areRunning())
})

test(
  'a row that an app on one host inserts arrives on the other, which can answer',
  swarmOptions,
  async () => {
    const columns = 'mqout (host,port,token,data)'
    const insert = `INSERT INTO ${columns} VALUES ('node-b','9000','t','hello');`
    await sql(swarm.manager.database, insert, app)
    const select = 'SELECT host, port, token, data FROM mqin ORDER BY id'
    await until({ what: 'the row', withinMs: 60_000 }, async () => {
      const found = await rows(swarm.worker.database, select, app).catch(() => [])
      return found.length > 0
    })
    deepEqual(await rows(swarm.worker.database, select, app), [
      { host: 'node-a', port: 9000, token: 't', data: 'hello' },
    ])
    const answer = `INSERT INTO ${columns} SELECT host, port, token, 'answer' FROM mqin;`
    await sql(swarm.worker.database, answer, app)
    await until({ what: 'the answer', withinMs: 60_000 }, async () => {
      const found = await rows<{ host: string }>(swarm.manager.database, select, app)
      return found.some(({ host }) => host === 'node-b')
    })
  },
)

test(
  'the daemon has no more rights than the stack gives it, and is bounded',
  swarmOptions,
  async () => {
    const [container] = await swarm.inspect(swarm.manager)
    ok(container !== undefined)
    const { Config: config, HostConfig: host } = container
    equal(config.User, '1000:1000')
    equal(config.Hostname, 'node-a')
    equal(host.ReadonlyRootfs, true)
    deepEqual(
      host.CapDrop.map((name) => name.replace(/^CAP_/, '')),
      ['ALL'],
    )
    equal(host.Init, true)
    equal(host.Memory, 512 * 1024 ** 2)
    equal(host.PidsLimit, 256)
    deepEqual(host.LogConfig.Config, { 'max-file': '3', 'max-size': '10m' })
  },
)

test(
  'an update ends the old daemon before the new one starts, and no row is lost',
  swarmOptions,
  async () => {
    const count = 300
    const old = await swarm.containers(swarm.manager)
    await sql(
      swarm.manager.database,
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
     INSERT INTO mqout (host,port,token,data) SELECT 'node-b','9000','update',i FROM n;`,
      app,
    )
    await swarm.manager.docker([
      'service',
      'update',
      '--force',
      '--quiet',
      '--detach',
      'tinymq_daemon',
    ])
    await until({ what: 'new daemons on both nodes', withinMs: 180_000 }, async () => {
      const status = '{{.UpdateStatus.State}}'
      const words = ['service', 'inspect', '--format', status, 'tinymq_daemon']
      return (await swarm.manager.docker(words)) === 'completed' && (await swarm.areRunning())
    })
    const found = await swarm.inspect(swarm.manager)
    const lives = found.toSorted((one, two) =>
      one.State.StartedAt.localeCompare(two.State.StartedAt),
    )
    const [last, former] = lives.toReversed()
    ok(last !== undefined && former !== undefined)
    equal(old.includes(last.Id), false)
    ok(former.State.FinishedAt <= last.State.StartedAt, 'two daemons had one database')
    const select = "SELECT data FROM mqin WHERE token = 'update' ORDER BY id"
    await until({ what: 'all rows', withinMs: 60_000 }, async () => {
      return (await rows(swarm.worker.database, select, app)).length >= count
    })
    const arrived = await rows<{ data: string }>(swarm.worker.database, select, app)
    deepEqual(
      arrived.map(({ data }) => Number(data)),
      Array.from({ length: count }, (_, index) => index + 1),
    )
  },
)

test(
  'a daemon that is killed starts again and takes what waited for it',
  swarmOptions,
  async () => {
    const running = await swarm.worker.docker(['ps', '--quiet', '--filter', 'name=daemon'])
    await swarm.worker.docker(['kill', running])
    const columns = 'mqout (host,port,token,data)'
    const insert = `INSERT INTO ${columns} VALUES ('node-b','9000','killed','waits');`
    await sql(swarm.manager.database, insert, app)
    const select = "SELECT data FROM mqin WHERE token = 'killed'"
    await until({ what: 'the row', withinMs: 120_000 }, async () => {
      return (await rows(swarm.worker.database, select, app)).length === 1
    })
  },
)
/** Every component that an overlay can choose. */
const components = ['every-node', 'host-network', 'keys', 'prepare-directory']

/** A copy of the Kubernetes files; the path of its example. */
function copyOfExample(): string {
  const copy = mkdtempSync(join(place, 'tree-'))
  cpSync(kubernetes, copy, { recursive: true })
  return join(copy, 'overlays', 'example')
}

/** The example with these components instead of its own. */
async function overlay(chosen: readonly string[]): Promise<Manifest[]> {
  const directory = copyOfExample()
  const file = join(directory, 'kustomization.yaml')
  const list = chosen.map((name) => `  - ../../components/${name}\n`).join('')
  const rest = readFileSync(file, 'utf8').replace(/^components:$[\s\S]*/m, '')
  writeFileSync(file, chosen.length === 0 ? rest : `${rest}components:\n${list}`)
  return kustomize(directory)
}

async function checkAll(manifests: readonly Manifest[]): Promise<void> {
  for (const manifest of manifests) deepEqual(await problemsOf(manifest), [], manifest.kind)
}

test('the example is right, and its image is the user’s', manifestOptions, async (t) => {
  t.diagnostic(`Read by kubectl ${await kubectlVersion()}.`)
  const manifests = await kustomize(join(kubernetes, 'overlays', 'example'))
  deepEqual(
    manifests.map(({ kind }) => kind),
    ['Namespace', 'DaemonSet'],
  )
  await checkAll(manifests)
  match(JSON.stringify(manifests), /"image":"registry\.example\.com\/tinymq:0\.1\.0"/)
})

test('every component is right alone, and all of them are together', manifestOptions, async () => {
  for (const chosen of [[], ...components.map((name) => [name]), components]) {
    await checkAll(await overlay(chosen))
  }
  const text = JSON.stringify(await overlay(components))
  match(text, /"hostNetwork":true/)
  match(text, /"TINYMQ_KEYS_FILE"/)
  match(text, /"type":"DirectoryOrCreate"/)
  match(text, /"priorityClassName":"system-node-critical"/)
  equal(text.split('"image":"registry.example.com/tinymq:0.1.0"').length, 3)
})

test(
  'the example of an app is right, and reaches the file of the daemon',
  manifestOptions,
  async () => {
    const example = manifestsOf(readFileSync(join(kubernetes, 'examples', 'app.yaml'), 'utf8'))
    await checkAll(example)
    const daemon = await overlay([])
    for (const manifests of [example, daemon]) {
      const text = JSON.stringify(manifests)
      match(text, /"hostPath":\{"path":"\/var\/lib\/tinymq","type":"Directory"\}/)
      match(text, /"runAsUser":1000/)
    }
  },
)

test('what is misspelled, missing or of the wrong type is noticed', manifestOptions, async () => {
  const [, daemonSet] = await overlay([])
  const text = JSON.stringify(daemonSet)
  const breaks: readonly [string, string][] = [
    ['"automountServiceAccountToken"', '"automountServiceAccountTokn"'],
    ['"hostPort":9000', '"hostPorts":9000'],
    ['"readOnlyRootFilesystem":true', '"readOnlyRootFilesystem":"yes"'],
    ['"periodSeconds":5', '"periodSeconds":"5s"'],
    ['"memory":"512Mi"', '"memory":"512MiB"'],
    ['"containerPort":9000,', ''],
    ['"mountPath":"/data",', ''],
    ['"mountPath":"/data"', '"mountpath":"/data"'],
  ]
  for (const [right, wrong] of breaks) {
    ok(text.includes(right), `${right} is not in the manifest`)
    const problems = await problemsOf(JSON.parse(text.replace(right, wrong)) as Manifest)
    ok(problems.length > 0, `${wrong || `without ${right}`} was not noticed`)
  }
})

test('kustomize rejects what it does not know', manifestOptions, async () => {
  const directory = copyOfExample()
  const file = join(directory, 'kustomization.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('\ncomponents:', '\ncomponent:'))
  await rejects(kustomize(directory), /unknown field "component"/)
})
