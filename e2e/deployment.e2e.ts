/**
 * What surrounds the daemons where they are used: consumers in containers of their own, a limit of
 * memory, and peers that come from outside through a published port. No netem.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { freePort } from '../test/support/free-port.ts'
import { range } from '../test/support/numbered.ts'
import { until } from '../test/support/until.ts'
import { docker, output } from './containers/command.ts'
import { type Arrived, arrivedAt, insertMessages, Ledger, problemsOf } from './messages.ts'
import { stageFor } from './story.ts'

const { TINYMQ_E2E_IMAGE: image = 'tinymq:e2e' } = process.env
const withinMs = 120_000
const hardened = ['--init', '--read-only', '--tmpfs=/tmp', '--cap-drop=ALL']
const story = stageFor()

const consumed = 2_000

/** Prints each message as it takes it, and takes it only then. */
const consumer = `
  import { open } from 'tinymq'
  const mq = open('/data/tinymqdb')
  await mq.consume(
    ({ id, host, port, token, headersText: headers, data, sentAt, arrivedAt, senderRow }) => {
      const type = typeof data === 'string' ? 'TEXT' : 'BLOB'
      const times = { sentAt: sentAt.getTime(), arrivedAt: arrivedAt.getTime() }
      const base64 = Buffer.from(data).toString('base64')
      const row = { id, host, port, token, headers, type, base64, ...times, senderRow }
      process.stdout.write(JSON.stringify(row) + '\\n')
    },
    { leaseMs: 5_000 },
  )`

type Consumed = Omit<Arrived, 'bytes'> & { readonly id: number; readonly base64: string }

story('two consumers in containers, of which one is killed', async (stage, t) => {
  const volume = `tinymq-${stage.lab.name}-MachineB:/data`
  const names = [1, 2].map((index) => `tinymq-consumer-${process.pid}-${index}`)
  const entry = ['--network=none', `--volume=${volume}`, '--entrypoint=sh', image, '-c']
  const command = 'cd /opt/tinymq && exec node --input-type=module --eval "$0"'
  for (const name of names) {
    t.after(async () => docker('rm', '--force', name))
    await docker('run', '--detach', `--name=${name}`, ...hardened, ...entry, command, consumer)
  }
  const read = async (name: string): Promise<Consumed[]> => {
    const text = await docker('logs', name)
    return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Consumed)
  }
  const [victim = ''] = names
  stage.insert({ from: 'MachineA', to: 'MachineB', first: 1, last: consumed / 2 })
  await until({ what: 'a message for the victim', withinMs }, async () => {
    return (await read(victim)).length > 0
  })
  await docker('kill', victim)
  stage.insert({ from: 'MachineA', to: 'MachineB', first: consumed / 2 + 1, last: consumed })
  await stage.sentAll()
  await stage.shows('MachineB', 'SELECT count(*) FROM mqin', (rows) => rows === 0)
  const [killed = [], survived = []] = await Promise.all(names.map(read))
  ok(killed.length > 0 && survived.length > 0, `${killed.length} and ${survived.length}`)
  const ids = [killed, survived].map((rows) => new Set(rows.map(({ id }) => id)))
  deepEqual([ids[0]?.size, ids[1]?.size], [killed.length, survived.length], 'none takes one twice')
  // What the victim held when it was killed comes again, and nothing else does.
  const again = survived.filter(({ id }) => ids[0]?.has(id) === true)
  ok(again.length <= 1, `${again.length} messages were taken by both`)
  const all = [...killed, ...survived.filter(({ id }) => ids[0]?.has(id) !== true)]
  const arrived = all
    .toSorted((one, other) => one.id - other.id)
    .map((row) => ({ ...row, bytes: Buffer.from(row.base64, 'base64') }))
  await stage.check('MachineB', { MachineA: consumed }, arrived)
  return {}
})

const limitedMessages = 10_000
const largeBytes = 10_485_760

story('daemons that have 128 MB of memory', async (stage) => {
  const containers = ['MachineA', 'MachineB'].map((name) => `tinymq-${stage.lab.name}-${name}`)
  for (const container of containers) {
    await docker('update', '--memory=128m', '--memory-swap=128m', container)
  }
  const to = { from: 'MachineA', to: 'MachineB', bytes: 1_000 }
  stage.insert({ ...to, first: 1, last: limitedMessages })
  stage.insert({
    ...to,
    first: limitedMessages + 1,
    last: limitedMessages + 1,
    large: [largeBytes],
  })
  await stage.sentAll()
  for (const container of containers) {
    const state = '{{.State.OOMKilled}} {{.State.Running}} {{.HostConfig.Memory}}'
    const found = await docker('inspect', '--format', state, container)
    equal(found, `false true ${128 * 1_048_576}`)
  }
  return { MachineB: { MachineA: limitedMessages + 1 } }
})

const each = 300
const outer = { host: '10.213.77.1', peer: '10.213.77.2' }
/** Of a range that no private network has (RFC 5737). */
const far = { host: '198.51.100.1', peer: '198.51.100.2' }
const awayMs = 4_000
const quietMs = 20_000

/** A daemon whose database is in a directory of this host. */
async function start(
  t: TestContext,
  name: string,
  options: readonly string[],
): Promise<{ readonly container: string; readonly database: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-deployment-'))
  chownSync(directory, 1_000, 1_000)
  const container = `tinymq-deployment-${process.pid}-${name}`
  t.after(async () => {
    await docker('rm', '--force', '--volumes', container)
    rmSync(directory, { recursive: true })
  })
  const mount = `--volume=${directory}:/data`
  await docker('run', '--detach', `--name=${container}`, ...hardened, mount, ...options, image)
  await until({ what: `${name} to answer`, withinMs }, async () => {
    return docker('exec', container, 'tinymq', 'check').then(
      () => true,
      () => false,
    )
  })
  return { container, database: join(directory, 'tinymqdb') }
}

type Started = Awaited<ReturnType<typeof start>>

async function startPublished(t: TestContext): Promise<Started & { readonly port: number }> {
  const port = await freePort()
  const udp = ['--env', `TINYMQ_UDP_PORT=${port}`, `--publish=${port}:${port}/udp`]
  return { ...(await start(t, 'inside', udp)), port }
}

/** At the other end of a cable from this host: another machine, as the engine sees it. */
async function startOutside(
  t: TestContext,
  name: string,
  { host, peer }: { readonly host: string; readonly peer: string },
): Promise<Started> {
  const outside = await start(t, name, ['--network=none'])
  const pid = await docker('inspect', '--format', '{{.State.Pid}}', outside.container)
  const cable = `tmq${process.pid}${name.slice(0, 2)}`
  await output(['ip', 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid])
  const enter = ['nsenter', '--target', pid, '--net']
  await output(['ip', 'address', 'add', `${host}/30`, 'dev', cable])
  await output(['ip', 'link', 'set', cable, 'up'])
  await output([...enter, 'ip', 'address', 'add', `${peer}/30`, 'dev', 'eth0'])
  await output([...enter, 'ip', 'link', 'set', 'eth0', 'up'])
  await output([...enter, 'ip', 'route', 'add', 'default', 'via', host])
  return outside
}

test('a peer from outside, through the published port, and back', async (t) => {
  const { port, ...inside } = await startPublished(t)
  const outside = await startOutside(t, 'outside', outer)
  const ledger = new Ledger()
  const send = (from: string, database: string, host: string, peerPort: number): void => {
    const messages = range(1, each).map((number) => ledger.make(from, number, 300))
    const db = new Database(database, { timeout: 30_000 })
    insertMessages(db, ledger, { host, port: peerPort }, messages)
    db.close()
  }
  const arrives = async (database: string, from: string, peer: string, peerPort: number) => {
    await until({ what: `all rows of ${from}`, withinMs }, () => {
      return Array.from(arrivedAt(database)).length >= each
    })
    const check = { ledger, expected: { [from]: each }, hosts: { [from]: [peer] }, port: peerPort }
    deepEqual(problemsOf(arrivedAt(database), check), [])
  }
  send('Outside', outside.database, outer.host, port)
  await arrives(inside.database, 'Outside', outer.peer, 9_000)
  send('Inside', inside.database, outer.peer, 9_000)
  await arrives(outside.database, 'Inside', outer.host, port)
  for (const { database } of [inside, outside]) {
    const db = new Database(database, { readonly: true })
    equal(db.prepare('SELECT count(*) FROM mqevent').pluck().get(), 0)
    db.close()
  }
})

test('without a key an unknown sender stays outside after a restart', async (t) => {
  const { port, ...inside } = await startPublished(t)
  const neighbour = await startOutside(t, 'neighbour', outer)
  const outsider = await startOutside(t, 'outsider', far)
  const send = ({ database }: Started, host: string, data: string): void => {
    const db = new Database(database, { timeout: 30_000 })
    db.prepare('INSERT INTO mqout (host, port, data) VALUES (?, ?, ?)').run(host, port, data)
    db.close()
  }
  const read = <Value>({ database }: Started, select: string): Value[] => {
    const db = new Database(database, { readonly: true })
    try {
      return db.prepare<[], Value>(select).pluck().all()
    } finally {
      db.close()
    }
  }
  const arrived = (): string[] => read(inside, 'SELECT data FROM mqin ORDER BY id')
  send(neighbour, outer.host, 'before')
  await until({ what: 'the row of the neighbour', withinMs }, () => arrived().length > 0)
  send(outsider, far.host, 'never')
  await docker('stop', inside.container)
  // What is sent meanwhile leads to the proxy of the engine from then on.
  send(neighbour, outer.host, 'after')
  await sleep(awayMs)
  await docker('start', inside.container)
  await until({ what: 'the second row of the neighbour', withinMs }, () => arrived().length > 1)
  await until({ what: 'the unauthenticated peer to be reported', withinMs }, () => {
    return read<string>(outsider, 'SELECT reason FROM mqstatus').some((reason) => {
      return reason.includes("the container's gateway, behind which may be anybody")
    })
  })
  await sleep(quietMs)
  deepEqual(arrived(), ['before', 'after'])
  deepEqual(read(inside, "SELECT code FROM mqevent WHERE code = 'TINYMQ_INBOX_CLOSED'").length, 1)
})
