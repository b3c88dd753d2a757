/**
 * The image, on a real engine: what is in it, that it runs hardened and as anybody, what its health
 * check and its signals do, and what it says where it cannot run. It needs a Docker engine, and
 * `bindfs` for a FUSE mount.
 */
import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test, type TestContext } from 'node:test'
import { until } from '../test/support/until.ts'
import { Clone } from './containers/clone.ts'
import { docker, outcomeOf, output, type Outcome } from './containers/command.ts'

const image = `tinymq-image-e2e:${process.pid}`
const bytesOverBaseMax = 12_000_000

/** As an operator who trusts nobody runs it; `lo` is all the network that these stories need. */
const hardened = [
  '--network=none',
  '--init',
  '--read-only',
  '--tmpfs=/tmp',
  '--cap-drop=ALL',
  '--security-opt=no-new-privileges',
]

let clone: Clone
let scratch: string

before(async () => {
  clone = await Clone.make()
  scratch = mkdtempSync(join(tmpdir(), 'tinymq-image-'))
  await clone.build(image)
})

after(async () => {
  const words = ['--rm', '--network=none', '--user=0', `--volume=${scratch}:/scratch`]
  await outcomeOf(['docker', 'run', ...words, '--entrypoint=rm', image, '-rf', '/scratch/all'])
  await output(['rm', '-rf', scratch])
  await clone.remove(image)
  await docker('image', 'rm', image)
})

async function inspect(kind: 'image' | 'container', name: string, field: string): Promise<unknown> {
  return JSON.parse(await docker(kind, 'inspect', '--format', `{{json ${field}}}`, name))
}

/** What a program of the image prints that is run in place of the daemon. */
async function inside(program: string, ...args: string[]): Promise<string> {
  return docker('run', '--rm', ...hardened, `--entrypoint=${program}`, image, ...args)
}

let count = 0

/** A container that goes away with the test; its volumes too. */
async function start(context: TestContext, options: string[], ...args: string[]): Promise<string> {
  const name = `tinymq-image-e2e-${process.pid}-${++count}`
  context.after(async () => docker('rm', '--force', '--volumes', name))
  const quick = ['--health-interval=1s', '--health-retries=1', `--name=${name}`]
  await docker('run', '--detach', ...quick, ...hardened, ...options, image, ...args)
  return name
}

async function healthOf(name: string): Promise<string> {
  return docker('inspect', '--format', '{{.State.Health.Status}}', name)
}

async function becomes(name: string, state: 'healthy' | 'unhealthy'): Promise<void> {
  await until({ what: `${name} to be ${state}`, withinMs: 60_000 }, async () => {
    const { stdout } = await outcomeOf(['docker', 'inspect', '--format={{.State.Status}}', name])
    if (stdout.trim() === 'exited') throw new Error((await logOf(name)).join('\n'))
    return (await healthOf(name)) === state
  })
}

async function logOf(name: string): Promise<string[]> {
  const { stdout, stderr } = await outcomeOf(['docker', 'logs', name])
  return `${stdout}${stderr}`.split('\n')
}

/** The numbers in the daemon's log are those inside of the container. */
async function pidOf(name: string): Promise<number> {
  const line = (await logOf(name)).find((text) => text.includes('"event":"started"')) ?? '{}'
  return (JSON.parse(line) as { pid: number }).pid
}

test('it is small, and holds nothing that it does not need', async () => {
  const [size, base] = [
    await inspect('image', image, '.Size'),
    await inspect('image', clone.base, '.Size'),
  ]
  const over = Number(size) - Number(base)
  const [all, more] = [size, over].map((bytes) => `${(Number(bytes) / 1e6).toFixed(1)} MB`)
  console.log(`The image has ${all}, ${more} of them over ${clone.base}.`)
  ok(over < bytesOverBaseMax, `${over} bytes over the base`)
  const binaries = await inside('find', '/opt/tinymq', '-name', '*.node')
  const arch = await inside('node', '--print', 'process.arch')
  equal(binaries, `/opt/tinymq/node_modules/better-sqlite3/prebuilds/linux-${arch}.node`)
  equal(await inside('find', '/opt/tinymq', '-name', '*.ts'), '')
  equal(await inside('ls', '/opt/tinymq'), 'LICENSE\ndist\nnode_modules\npackage.json')
})

test('the certificates of the build are not in it', async () => {
  const mark = 'grep -rl -e "-----BEGIN CERTIFICATE-----" /opt /data /home'
  equal(
    await inside('sh', '-c', `find / -xdev -name '*-machine.crt' 2>/dev/null; ${mark}; true`),
    '',
  )
})

test('it says what it is, who it runs as and how it is stopped', async () => {
  const { version } = JSON.parse(readFileSync(clone.path('package.json'), 'utf8')) as {
    version: string
  }
  const labels = (await inspect('image', image, '.Config.Labels')) as Record<string, string>
  equal(labels['org.opencontainers.image.version'], version)
  for (const name of ['title', 'description', 'licenses', 'revision', 'created', 'source']) {
    ok(labels[`org.opencontainers.image.${name}`], name)
  }
  equal(labels['org.opencontainers.image.base.name'], clone.base)
  equal(await inspect('image', image, '.Config.User'), '1000:1000')
  equal(await inspect('image', image, '.Config.StopSignal'), 'SIGTERM')
  deepEqual(await inspect('image', image, '.Config.ExposedPorts'), { '9000/udp': {} })
  deepEqual(await inspect('image', image, '.Config.Volumes'), { '/data': {} })
})

test('arguments are those of the program', async () => {
  match(await docker('run', '--rm', ...hardened, image, '--help'), /^Usage: tinymq /)
  match(await docker('run', '--rm', ...hardened, image, 'daemon', '--help'), /--keyless-from/)
})

test('without arguments it runs, hardened, and stops in five seconds with 0', async (context) => {
  const volume = `tinymq-image-e2e-${process.pid}-kept`
  const name = await start(context, [`--volume=${volume}:/data`])
  context.after(async () => docker('volume', 'rm', volume))
  await becomes(name, 'healthy')
  const status = await docker('exec', name, 'cat', `/proc/${await pidOf(name)}/status`)
  match(status, /^Uid:\t1000\t1000\t1000\t1000$/m)
  match(status, /^CapEff:\t0+$/m)
  match(status, /^CapBnd:\t0+$/m)
  match(status, /^NoNewPrivs:\t1$/m)
  equal((await outcomeOf(['docker', 'exec', name, 'touch', '/opt/tinymq/x'])).code, 1)
  match(await docker('exec', name, 'tinymq', 'check'), /^healthy: .* answers on UDP port 9000\.$/)
  equal(await docker('exec', name, 'sqlite3', '/data/tinymqdb', 'SELECT count(*) FROM mqin'), '0')
  const warnings = (await logOf(name)).filter((line) => line.includes('"level":"warn"'))
  deepEqual(
    warnings.map((line) => /"event":"([^"]+)"/.exec(line)?.[1]),
    ['database-created'],
  )
  const startMs = performance.now()
  await docker('stop', name)
  const tookMs = performance.now() - startMs
  console.log(`It stopped in ${Math.round(tookMs)} ms.`)
  ok(tookMs < 5_000)
  equal(await inspect('container', name, '.State.ExitCode'), 0)
})

test('any user has a database in a volume without a name, and the log says so', async (context) => {
  const name = await start(context, ['--user=4711:4711'])
  await becomes(name, 'healthy')
  equal(await docker('exec', name, 'stat', '--format=%u:%g', '/data/tinymqdb'), '4711:4711')
  const insert = "INSERT INTO mqout (host, port, data) VALUES ('127.0.0.1', 9000, 'to myself')"
  const written = await outcomeOf(['docker', 'exec', name, 'sqlite3', '/data/tinymqdb', insert])
  deepEqual(written, { code: 0, stdout: '', stderr: '' })
  await until({ what: 'the row', withinMs: 20_000 }, async () => {
    const select = 'SELECT data FROM mqin'
    return (await docker('exec', name, 'sqlite3', '/data/tinymqdb', select)) === 'to myself'
  })
  match(
    (await logOf(name)).join('\n'),
    /"level":"warn".*"ephemeral-storage".*in a volume without a name/,
  )
})

test('a daemon that hangs is unhealthy, and healthy again when it goes on', async (context) => {
  const name = await start(context, ['--health-timeout=10s'])
  await becomes(name, 'healthy')
  const pid = await pidOf(name)
  await docker('exec', name, 'sh', '-c', `kill -STOP ${pid}`)
  await becomes(name, 'unhealthy')
  const log = JSON.stringify(await inspect('container', name, '.State.Health.Log'))
  match(log, /not healthy: .* does not answer on UDP port 9000 .*\(TINYMQ_NO_ANSWER\)/)
  await docker('exec', name, 'sh', '-c', `kill -CONT ${pid}`)
  await becomes(name, 'healthy')
})

/** How a container ends that is expected not to run. */
async function refusal(options: string[], ...args: string[]): Promise<Outcome> {
  const limit = ['timeout', '--kill-after=5', '60']
  return outcomeOf([...limit, 'docker', 'run', '--rm', ...hardened, ...options, image, ...args])
}

/** A directory of the host; made by a container, because only root may give it away. */
async function directoryOf(owner: string, name: string): Promise<string> {
  const path = join(scratch, 'all', name)
  mkdirSync(path, { recursive: true })
  const words = ['--rm', '--network=none', '--user=0', `--volume=${path}:/given`]
  await docker('run', ...words, '--entrypoint=chown', image, owner, '/given')
  return path
}

suite('where it cannot run it says why, and what fixes it', () => {
  test('a directory that is root’s: 77, chown', async () => {
    const path = await directoryOf('0:0', 'of-root')
    const { code, stderr } = await refusal([`--volume=${path}:/data`])
    equal(code, 77)
    match(stderr, /directory \/data cannot be written: it belongs to uid 0, gid 0, mode \d+; /)
    match(stderr, /runs as uid 1000, gid 1000\. On the host, sudo chown -R 1000:1000 the directory/)
    match(stderr, /\(TINYMQ_READ_ONLY\)\n$/)
  })

  test('a directory that is another user’s: 77, chown or become that user', async (context) => {
    const path = await directoryOf('4711:4712', 'of-another')
    const { code, stderr } = await refusal([`--volume=${path}:/data`])
    equal(code, 77)
    match(stderr, /TINYMQ_UID=4711 TINYMQ_GID=4712 in \.env \(docker run: --user 4711:4712\)/)
    await becomes(await start(context, [`--volume=${path}:/data`, '--user=4711:4712']), 'healthy')
  })

  test('a read-only mount: 77', async () => {
    const path = await directoryOf('1000:1000', 'read-only')
    const { code, stderr } = await refusal([`--volume=${path}:/data:ro`])
    equal(code, 77)
    match(stderr, /\/data is on a file system that is mounted read-only: .*\(without :ro\)/)
  })

  test('the file without its directory: 72, also with a space in its name', async () => {
    const path = await directoryOf('1000:1000', 'of-one-file')
    await docker(
      'run',
      '--rm',
      '--network=none',
      `--volume=${path}:/data`,
      '--entrypoint=touch',
      image,
      '/data/db',
    )
    const mount = `--mount=type=bind,source=${path}/db,target=/data/my db`
    const { code, stderr } = await refusal([mount, '--env=TINYMQ_DATABASE=/data/my db'])
    equal(code, 72)
    match(stderr, /Only the file \/data\/my db is mounted, .*: mount its directory instead: /)
    match(stderr, /\(TINYMQ_SINGLE_FILE_MOUNT\)\n$/)
  })

  test('a directory that Docker made in place of the file: 65', async () => {
    const path = await directoryOf('1000:1000', 'in-place')
    const { code, stderr } = await refusal([`--volume=${path}:/data/tinymqdb`])
    equal(code, 65)
    match(stderr, /\/data\/tinymqdb is not a file\. A directory is there, which Docker makes when/)
  })

  test('no such directory: 66', async () => {
    const { code, stderr } = await refusal(['--env=TINYMQ_DATABASE=/mnt/nowhere/db'])
    equal(code, 66)
    match(stderr, /There is no directory \/mnt\/nowhere for the database/)
  })

  test('a second container on one database: 75, and who is the first', async (context) => {
    const path = await directoryOf('1000:1000', 'shared')
    const first = await start(context, [`--volume=${path}:/data`, '--hostname=first'])
    await becomes(first, 'healthy')
    const { code, stderr } = await refusal([`--volume=${path}:/data`])
    equal(code, 75)
    match(stderr, /Another daemon \(process \d+ on first, since .*\(TINYMQ_ALREADY_RUNNING\)/)
    await becomes(first, 'healthy')
  })

  test('an option that is wrong: 64', async () => {
    const { code, stderr } = await refusal(['--env=TINYMQ_UDP_PORT=many'])
    equal(code, 64)
    match(stderr, /TINYMQ_UDP_PORT must be a whole number/)
  })

  const fuse = fuseObstacle()
  test(
    'a FUSE file system: 72, and nothing is made there',
    { skip: fuse ?? false },
    async (context) => {
      const source = await directoryOf('1000:1000', 'fuse-source')
      const path = await directoryOf('1000:1000', 'fuse')
      await output(['bindfs', '-o', 'allow_other', source, path])
      context.after(async () => output(['umount', path]))
      const { code, stderr } = await refusal([`--volume=${path}:/data`])
      equal(code, 72)
      match(
        stderr,
        /\/data\/tinymqdb is on FUSE .*: put it on a disk .*\(TINYMQ_UNSAFE_FILESYSTEM\)/,
      )
      equal(await output(['ls', source]), '')
    },
  )
})

/** Why there can be no FUSE mount here; where all must run (TINYMQ_E2E_WHOLE=1), an error. */
function fuseObstacle(): string | undefined {
  const has = existsSync('/dev/fuse') && existsSync('/usr/bin/bindfs') && process.getuid?.() === 0
  if (has) return undefined
  const obstacle = 'it takes root, /dev/fuse and apt-get install --no-install-recommends bindfs'
  if (process.env['TINYMQ_E2E_WHOLE'] === '1') throw new Error(`No FUSE mount here: ${obstacle}`)
  return obstacle
}

test('no database is begun where no volume is mounted', async () => {
  const path = '/var/tmp/db'
  const { code, stderr } = await refusal(['--read-only=false', `--env=TINYMQ_DATABASE=${path}`])
  equal(code, 66)
  match(stderr, /No volume is mounted at \/var\/tmp.*\(TINYMQ_NO_VOLUME\)/)
})

for (const [where, options, sentence] of [
  [
    'in no volume',
    ['--read-only=false', '--env=TINYMQ_DATABASE=/var/tmp/db', '--env=TINYMQ_CREATE=auto'],
    /in no volume and is deleted/,
  ],
  ['in memory', ['--env=TINYMQ_DATABASE=/tmp/db'], /in memory \(tmpfs at \/tmp\) and will be lost/],
] as const) {
  test(`a database ${where} is warned about, and works`, async (context) => {
    const name = await start(context, [...options])
    await becomes(name, 'healthy')
    match((await logOf(name)).join('\n'), sentence)
  })
}
