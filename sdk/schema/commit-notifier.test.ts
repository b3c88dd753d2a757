import { deepEqual, equal, ok } from 'node:assert/strict'
import { chmodSync, mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { DatabaseFiles } from './database-files.ts'
import { CommitNotifier, type CommitNotifierOptions } from './commit-notifier.ts'

test('a look that stops it, because the database is closed, is the last', async (context) => {
  let looks = 0
  const wakes: CommitNotifier[] = []
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-wake-'))
  context.after(() => {
    for (const notifier of wakes) notifier.stop()
    rmSync(directory, { recursive: true })
  })
  const path = join(directory, 'db')
  writeFileSync(path, '')
  const notifier = new CommitNotifier({
    files: new DatabaseFiles(path),
    look: () => {
      looks++
      notifier.stop()
      return false
    },
    isQuiet: () => false,
    onReplaced: () => undefined,
    onWatchUnavailable: () => undefined,
  })
  wakes.push(notifier)
  notifier.start()
  // The poll looks first, and would again four times.
  await wait(2_500)
  equal(looks, 1)
})

class Watched {
  readonly path: string
  readonly writer: Database.Database
  readonly noticed = Promise.withResolvers<void>()
  readonly replaced = Promise.withResolvers<void>()
  readonly unwatched: string[] = []
  looks = 0
  readonly #reader: Database.Database
  #version: unknown

  constructor(context: TestContext, options: Partial<CommitNotifierOptions> = {}) {
    const directory = mkdtempSync(join(tmpdir(), 'tinymq-wake-'))
    this.path = join(directory, 'db')
    this.writer = new Database(this.path)
    this.writer.pragma('journal_mode = WAL')
    this.writer.exec('CREATE TABLE t (x)')
    this.#reader = new Database(this.path)
    this.#version = this.#dataVersion()
    const notifier = new CommitNotifier({
      files: new DatabaseFiles(this.path),
      look: () => this.#look(),
      isQuiet: () => true,
      onReplaced: () => this.replaced.resolve(),
      onWatchUnavailable: (reason) => this.unwatched.push(reason),
      ...options,
    })
    notifier.start()
    context.after(() => {
      notifier.stop()
      this.writer.close()
      this.#reader.close()
      rmSync(directory, { recursive: true })
    })
  }

  #dataVersion(): unknown {
    return this.#reader.pragma('data_version', { simple: true })
  }

  #look(): boolean {
    this.looks++
    const before = this.#version
    this.#version = this.#dataVersion()
    if (this.#version === before) return false
    this.noticed.resolve()
    return true
  }
}

async function millisecondsTo(event: Promise<void>): Promise<number> {
  const start = performance.now()
  await event
  return performance.now() - start
}

test('P12: a commit of another connection is noticed at once', async (context) => {
  const watched = new Watched(context)
  watched.writer.exec('INSERT INTO t VALUES (1)')
  const took = await millisecondsTo(watched.noticed.promise)
  // A poll alone would take up to 250 ms; the bound is what a busy machine may need.
  ok(took < 100, `${took} ms`)
})

test('a commit that becomes visible long after its event is noticed', async (context) => {
  const watched = new Watched(context, { isQuiet: () => false })
  watched.writer.exec('BEGIN; INSERT INTO t VALUES (randomblob(4000000))')
  const looked = watched.looks
  await wait(30)
  watched.writer.exec('COMMIT')
  ok((await millisecondsTo(watched.noticed.promise)) < 150)
  ok(watched.looks > looked)
})

test('a quiet database is looked at once a second', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const watched = new Watched(context)
  for (let second = 0; second < 60; second++) context.mock.timers.tick(1_000)
  ok(watched.looks >= 59 && watched.looks <= 61, `${watched.looks} looks`)
})

test('files next to the database wake nobody', async (context) => {
  const watched = new Watched(context)
  for (let count = 0; count < 100; count++) writeFileSync(`${watched.path}-daemon`, String(count))
  watched.writer.exec('INSERT INTO t VALUES (1)')
  await watched.noticed.promise
  ok(watched.looks < 50, `${watched.looks} looks`)
})

test('another file at the same path is noticed', async (context) => {
  const watched = new Watched(context)
  writeFileSync(`${watched.path}.new`, '')
  renameSync(`${watched.path}.new`, watched.path)
  await watched.replaced.promise
  deepEqual(watched.unwatched, [])
})

test('a database that was removed is noticed', async (context) => {
  const watched = new Watched(context)
  unlinkSync(watched.path)
  await watched.replaced.promise
  equal(watched.unwatched.length, 0)
})

for (const suffix of ['-wal', '-shm']) {
  test(`a ${suffix} that was removed while it is in use is noticed`, async (context) => {
    const watched = new Watched(context)
    watched.writer.exec('INSERT INTO t VALUES (1)')
    await watched.noticed.promise
    unlinkSync(watched.path + suffix)
    const took = await millisecondsTo(watched.replaced.promise)
    ok(took < 500, `${took} ms`)
  })
}

test('files that SQLite itself shortens, rewrites and copies are the same', async (context) => {
  let replaced = 0
  const watched = new Watched(context, { onReplaced: () => replaced++ })
  watched.writer.exec('INSERT INTO t VALUES (1)')
  watched.writer.pragma('wal_checkpoint(TRUNCATE)')
  watched.writer.exec(`VACUUM; VACUUM INTO '${watched.path}.copy'`)
  const other = new Database(watched.path)
  other.exec('INSERT INTO t VALUES (2)')
  other.close()
  chmodSync(watched.path, 0o600)
  await wait(1_200)
  equal(replaced, 0)
})
