/** Daemons in one process, on real files and sockets. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { open, type Message } from '../sdk/index.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import type { LogLine } from './platform/log.ts'
import { rescuedCopies } from './store/thread/salvage.ts'
import { StartError } from './platform/start-error.ts'

class Machine {
  readonly path: string
  readonly lines: LogLine[] = []
  /** Why it could not go on. */
  readonly ended = Promise.withResolvers<unknown>()
  daemon: Daemon | undefined

  constructor(context: TestContext, name: string) {
    const directory = mkdtempSync(join(tmpdir(), `tinymq-${name}-`))
    this.path = join(directory, 'db')
    context.after(async () => {
      await this.daemon?.stop()
      rmSync(directory, { recursive: true, force: true })
    })
  }

  async start(port = 0): Promise<Daemon> {
    this.daemon = await startDaemon({
      port,
      database: this.path,
      log: (line) => this.lines.push(line),
      onFatal: (error) => this.ended.resolve(error),
    })
    return this.daemon
  }

  send(to: Machine, data: string): void {
    using mq = open(this.path)
    mq.send('localhost', to.daemon?.address.port ?? 0, 'token', data)
  }

  /** The inbox, as soon as it has `count` messages. */
  async inbox(count: number): Promise<Message[]> {
    using mq = open(this.path)
    for (;;) {
      const messages = Array.from(mq.readInbox())
      if (messages.length >= count) return messages
      await wait(2)
    }
  }

  async logged(event: string): Promise<void> {
    while (!this.lines.some((line) => line.event === event)) await wait(5)
  }
}

async function pair(context: TestContext): Promise<[Machine, Machine]> {
  const [a, b] = [new Machine(context, 'a'), new Machine(context, 'b')]
  await a.start()
  await b.start()
  return [a, b]
}

test('P3, P4: two daemons in one process pass messages both ways, in order', async (context) => {
  const [a, b] = await pair(context)
  const words = ['one', 'two', 'three']
  for (const word of words) {
    a.send(b, word)
    b.send(a, word.toUpperCase())
  }
  deepEqual(
    (await b.inbox(3)).map(({ data }) => data),
    words,
  )
  ok((b.daemon?.counters.done.commits ?? 0) > 0)
  ok((b.daemon?.counters.core?.datagramsIn ?? 0) > 0)
  deepEqual(
    (await a.inbox(3)).map(({ data }) => data),
    words.map((word) => word.toUpperCase()),
  )
})

test('a node sends to itself', async (context) => {
  const a = new Machine(context, 'a')
  await a.start()
  a.send(a, 'to myself')
  equal((await a.inbox(1))[0]?.data, 'to myself')
})

test('P2: what waits while the peer is away arrives when it is back', async (context) => {
  const [a, b] = await pair(context)
  const port = b.daemon?.address.port
  await b.daemon?.stop()
  a.send(b, 'late')
  await a.logged('lane-waits')
  await b.start(port)
  equal((await b.inbox(1))[0]?.data, 'late')
})

test('one database has one daemon, and the next when that one has stopped', async (context) => {
  const a = new Machine(context, 'a')
  const first = await a.start()
  await rejects(startDaemon({ port: 0, database: a.path }), { code: 'TINYMQ_ALREADY_RUNNING' })
  await first.stop()
  await a.start()
})

test('one database has one daemon, whatever links lead to it', async (context) => {
  const a = new Machine(context, 'a')
  await a.start()
  symlinkSync(a.path, `${a.path}-link`)
  const database = `${a.path}-link`
  await rejects(startDaemon({ port: 0, database }), { code: 'TINYMQ_ALREADY_RUNNING' })
})

test('a start that fails leaves nothing open', async (context) => {
  const [a, b] = [new Machine(context, 'a'), new Machine(context, 'b')]
  const { address } = await a.start()
  await rejects(b.start(address.port), { code: 'TINYMQ_PORT_IN_USE' })
  equal(existsSync(b.path), false)
  await b.start()
})

test('P10: after the database was replaced, messages arrive in the new one', async (context) => {
  const [a, b] = await pair(context)
  a.send(b, 'old')
  await b.inbox(1)
  open(`${b.path}.new`).close()
  renameSync(b.path, `${b.path}.old`)
  renameSync(`${b.path}.new`, b.path)
  await b.logged('restarted')
  a.send(b, 'new')
  deepEqual(
    (await b.inbox(1)).map(({ data }) => data),
    ['new'],
  )
  await a.logged('store-event')
})

test('a running daemon makes no database where one was removed, but a copy', async (context) => {
  const a = new Machine(context, 'a')
  await a.start()
  await a.logged('database-created')
  using mq = open(a.path)
  mq.send('192.0.2.1', 9000, 'token', 'waits')
  for (const suffix of ['', '-wal', '-shm']) rmSync(a.path + suffix)
  const error = await a.ended.promise
  ok(error instanceof StartError && error.code === 'TINYMQ_DATABASE_REMOVED', String(error))
  await a.daemon?.stop()
  equal(existsSync(a.path), false)
  const [copy = 'none'] = rescuedCopies(dirname(a.path), 'db')
  equal(error.message.includes(join(dirname(a.path), copy)), true)
  renameSync(join(dirname(a.path), copy), a.path)
  await a.start()
  using again = open(a.path)
  ok(again.cancel(1))
})

test('a renamed directory ends the daemon, and its files are whole there', async (context) => {
  const a = new Machine(context, 'a')
  await a.start()
  using mq = open(a.path)
  mq.send('192.0.2.1', 9000, 'token', 'waits')
  const directory = dirname(a.path)
  renameSync(directory, `${directory}-moved`)
  context.after(() => rmSync(`${directory}-moved`, { recursive: true }))
  const error = await a.ended.promise
  ok(error instanceof StartError && error.code === 'TINYMQ_VOLUME_GONE', String(error))
  await a.daemon?.stop()
  equal(existsSync(directory), false)
  using moved = open(join(`${directory}-moved`, 'db'))
  ok(moved.cancel(1))
})

test('a database is made only where the operator allows it', async (context) => {
  const a = new Machine(context, 'a')
  const started = startDaemon({ port: 0, database: a.path, create: 'never' })
  await rejects(started, { code: 'TINYMQ_NO_DATABASE' })
  deepEqual(readdirSync(dirname(a.path)), [])
})
