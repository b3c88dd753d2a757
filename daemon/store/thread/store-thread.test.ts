/** Both ports to the store, with the same tests: in a thread and inline. */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { open } from '../../../sdk/index.ts'
import type { Loss } from './salvage.ts'
import type { StoreEvent } from './file-monitor.ts'
import type { StoreResult } from '../../protocol/store-messages.ts'
import { openStoreInline } from '../../../test/support/inline-store.ts'
import { openStoreThread, type StorePort, type StorePortEvents } from './client.ts'

function databasePath(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-port-'))
  context.after(() => rmSync(directory, { recursive: true }))
  return join(directory, 'db')
}

/** The path of a log as another program makes it for a database whose own log was removed. */
function foreignLog(context: TestContext, path: string): string {
  const db = new Database(path)
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
  const copy = databasePath(context)
  copyFileSync(path, copy)
  const other = new Database(copy)
  other.exec("INSERT INTO mqout (host, data) VALUES ('MachineB', 'theirs')")
  copyFileSync(`${copy}-wal`, `${path}-foreign`)
  other.close()
  return `${path}-foreign`
}

class Listener {
  readonly results: StoreResult[] = []
  readonly noted: StoreEvent[] = []
  readonly failures: unknown[] = []
  readonly lost = Promise.withResolvers<Loss>()
  #onNews: () => void = () => {}

  readonly events: StorePortEvents = {
    onNoted: (events) => {
      this.noted.push(...events)
      this.#onNews()
    },
    onFault: () => {},
    onFailed: (error) => this.failures.push(error),
    onLost: (loss) => this.lost.resolve(loss),
    onBacklog: () => {},
    onWatchUnavailable: () => {},
  }

  listenTo(port: StorePort): void {
    port.listen({
      onResults: (results) => {
        this.results.push(...results)
        this.#onNews()
      },
      onPeers: () => {},
    })
  }

  /** Resolves with the first thing that `find` finds, now or later. */
  async first<Found>(find: () => Found | undefined): Promise<Found> {
    const { promise, resolve } = Promise.withResolvers<Found>()
    this.#onNews = () => {
      const found = find()
      if (found !== undefined) resolve(found)
    }
    this.#onNews()
    return promise
  }

  async firstResult<Type extends StoreResult['type']>(
    type: Type,
  ): Promise<StoreResult & { readonly type: Type }> {
    const isIt = (result: StoreResult): result is StoreResult & { readonly type: Type } =>
      result.type === type
    return this.first(() => this.results.find(isIt))
  }
}

type Log = { readonly log: number; readonly checkpointed: number }

const ports = [
  { name: 'thread', openPort: openStoreThread },
  {
    name: 'inline',
    openPort: async (path: string, events: StorePortEvents) =>
      Promise.resolve().then(() => openStoreInline(path, events)),
  },
]

for (const { name, openPort } of ports) {
  const opened = async (context: TestContext): Promise<[string, Listener, StorePort]> => {
    const path = databasePath(context)
    const listener = new Listener()
    const port = await openPort(path, listener.events)
    listener.listenTo(port)
    context.after(() => deepEqual(listener.failures, []))
    // A thread that a failed test leaves would keep the whole run from ending.
    context.after(async () => port.close())
    return [path, listener, port]
  }

  test(`${name}: rows of another program come out as a lane`, async (context) => {
    const [path, listener, port] = await opened(context)
    using mq = open(path)
    mq.send('MachineB', 9000, 'token', 'x'.repeat(5_000))
    const { lanes } = await listener.firstResult('lanes')
    equal(lanes[0]?.host, 'MachineB')
    const lane = lanes[0]?.lane ?? 0
    port.submit({ type: 'open-lane', lane, session: 1 })
    port.flush()
    const { confirmed } = await listener.firstResult('lane-opened')
    equal(confirmed, 0)
    await port.close()
  })

  test(`${name}: when nobody asks for anything, the log is moved`, async (context) => {
    const [path, listener, port] = await opened(context)
    using mq = open(path)
    const db = new Database(path)
    context.after(() => db.close())
    for (let n = 0; n < 60; n++) {
      mq.send(`machine-${n}`, 9000, 'token', 'x')
      await listener.first(() =>
        listener.results.find(
          (result) => result.type === 'lanes' && result.lanes[0]?.host === `machine-${n}`,
        ),
      )
    }
    const left = (): number => {
      const [{ log, checkpointed }] = db.pragma('wal_checkpoint(NOOP)') as [Log]
      return log - checkpointed
    }
    // Two commits of four pages and more for each of the sixty: half of that was never in the log
    // at once. On a busy machine the pauses between them are long enough for a move, too.
    const startMs = performance.now()
    while (left() > 240 && performance.now() - startMs < 10_000) await setImmediate()
    ok(left() <= 240, `${left()} pages are still in the log`)
    await port.close()
  })

  test(`${name}: what was submitted is on disk when the port is closed`, async (context) => {
    const [path, , port] = await opened(context)
    port.submit({ type: 'event', code: 'SELF_LOOP', detail: 'A test.' })
    await port.close()
    const listener = new Listener()
    const again = await openPort(path, listener.events)
    listener.listenTo(again)
    again.submit({ type: 'event', code: 'SELF_LOOP', detail: 'Another test.' })
    again.flush()
    await again.close()
    // Only what is new is reported: the log has the first one already.
    deepEqual(
      listener.noted.map(({ detail }) => detail),
      ['Another test.'],
    )
  })

  test(`${name}: a file that is not a database is rejected with its code`, async (context) => {
    const path = databasePath(context)
    writeFileSync(path, 'This is a diary.\n'.repeat(100))
    const { events } = new Listener()
    await rejects(openPort(path, events), { name: 'TinymqError', code: 'TINYMQ_NOT_A_DATABASE' })
  })

  test(`P10, ${name}: the -wal of the old file is not mixed into the new`, async (context) => {
    const [path, listener, port] = await opened(context)
    // A program of somebody else's that has the old file open, and keeps it.
    const app = new Database(path)
    context.after(() => app.close())
    app.exec(`VACUUM INTO '${path}.copy'`)
    app.exec("INSERT INTO mqin (data) VALUES (hex(randomblob(50000))), ('last')")
    renameSync(path, `${path}.old`)
    renameSync(`${path}.copy`, path)
    await listener.lost.promise
    await port.close()
    const counts = [path, `${path}.old`].map((file) => {
      const db = new Database(file)
      const found = db.prepare('SELECT count(*) FROM mqin').pluck().get()
      equal(db.pragma('integrity_check', { simple: true }), 'ok')
      db.close()
      return found
    })
    deepEqual(counts, [0, 2])
  })

  test(`${name}: a file that was replaced is reported`, async (context) => {
    const [path, listener, port] = await opened(context)
    renameSync(path, `${path}.old`)
    deepEqual(await listener.lost.promise, { what: 'database' })
    await port.close()
    ok(listener.failures.length === 0)
  })

  for (const removed of [['-wal'], ['-shm'], ['-wal', '-shm']]) {
    const what = `${name}: ${removed.join(' and ')} removed`

    test(`P1, P5, ${what}: all that was committed is in the file`, async (context) => {
      const [path, listener, port] = await opened(context)
      using mq = open(path)
      mq.send('MachineB', 9000, 'token', 'one')
      await listener.firstResult('lanes')
      for (const suffix of removed) rmSync(path + suffix)
      const reported = listener.results.length
      port.submit({ type: 'event', code: 'SELF_LOOP', detail: 'A commit into what is gone.' })
      port.flush()
      deepEqual(await listener.lost.promise, { what: 'log' })
      equal(listener.results.length, reported)
      mq.close()
      await port.close()
      const db = new Database(path)
      context.after(() => db.close())
      equal(db.pragma('integrity_check', { simple: true }), 'ok')
      deepEqual(db.prepare('SELECT CAST(data AS TEXT) FROM mqout').pluck().all(), ['one'])
    })
  }

  test(`P1, ${name}: what others wrote without the removed log stays`, async (context) => {
    const [path, listener, port] = await opened(context)
    using mq = open(path)
    const foreign = foreignLog(context, path)
    mq.send('MachineB', 9000, 'token', 'ours')
    await listener.firstResult('lanes')
    renameSync(foreign, `${path}-wal`)
    const { what, copy = '' } = await listener.lost.promise
    equal(what, 'log')
    mq.close()
    await port.close()
    rmSync(`${path}-shm`)
    const rows = [path, copy].map((file) => {
      const db = new Database(file)
      equal(db.pragma('integrity_check', { simple: true }), 'ok')
      const found = db.prepare('SELECT CAST(data AS TEXT) FROM mqout ORDER BY id').pluck().all()
      db.close()
      return found
    })
    deepEqual(rows, [['theirs'], ['ours']])
    equal(statSync(copy).mode & 0o007, 0)
  })

  test(`${name}: what is closed moves its log, and leaves no other file`, async (context) => {
    const [path, , port] = await opened(context)
    await port.close()
    deepEqual(readdirSync(dirname(path)), ['db'])
  })
}
