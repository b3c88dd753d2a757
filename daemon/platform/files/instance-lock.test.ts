import Database from 'better-sqlite3'
import { deepEqual, equal, match, throws } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { holderOf, lockInstance } from './instance-lock.ts'

function databasePath(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-lock-'))
  context.after(() => rmSync(directory, { recursive: true }))
  return join(directory, 'db')
}

const lockInChild = `
  import { lockInstance } from '${new URL('./instance-lock.ts', import.meta.url).href}'
  lockInstance(process.argv[1])
  console.log(process.pid)
  if (process.argv[2] === 'crash') process.kill(process.pid, 'SIGKILL')
`

function child(...args: string[]): { stdout: string; stderr: string; status: number | null } {
  const command = ['--input-type=module', '--eval', lockInChild, ...args]
  return spawnSync(process.execPath, command, { encoding: 'utf8' })
}

test('a second daemon in this process is rejected with the name of the first', (context) => {
  const path = databasePath(context)
  const lock = lockInstance(path)
  context.after(() => lock.release())
  throws(() => lockInstance(path), {
    code: 'TINYMQ_ALREADY_RUNNING',
    message: new RegExp(`process ${process.pid} on .*, since 2`),
  })
})

test('a second daemon in another process is rejected', (context) => {
  const path = databasePath(context)
  const lock = lockInstance(path)
  context.after(() => lock.release())
  const { stderr, status } = child(path)
  equal(status, 1)
  equal(stderr.includes(`process ${process.pid} on `), true, stderr)
})

test('the lock dies with its process', (context) => {
  const path = databasePath(context)
  const { stdout, stderr } = child(path, 'crash')
  equal(Number(stdout) > 0, true, stderr)
  lockInstance(path).release()
})

test('a lock that was released can be taken again', (context) => {
  const path = databasePath(context)
  lockInstance(path).release()
  lockInstance(path).release()
})

test('who may not write the lock is informed so, and not that nobody has it', (context) => {
  const path = databasePath(context)
  const lock = lockInstance(path)
  context.after(() => lock.release())
  chmodSync(dirname(path), 0o755)
  chmodSync(`${path}-daemon`, 0o444)
  const script = `
    import { holderOf } from '${new URL('./instance-lock.ts', import.meta.url).href}'
    if (process.getuid() === 0) process.setuid(65534)
    try { console.log(holderOf(process.argv[1])) } catch (error) { console.log(error.message) }`
  const command = ['--input-type=module', '--eval', script, path]
  const { stdout } = spawnSync(process.execPath, command, { encoding: 'utf8' })
  match(
    stdout,
    /whether a daemon runs is seen only by who may write .*-daemon, and uid \d+ may not/,
  )
})

test('who holds a lock, and where it listens once that is announced, can be asked', (context) => {
  const path = databasePath(context)
  equal(holderOf(path), undefined)
  equal(existsSync(`${path}-daemon`), false)
  const lock = lockInstance(path)
  const name = new RegExp(`^process ${process.pid} on `)
  match(holderOf(path)?.name ?? '', name)
  equal(holderOf(path)?.address, undefined)
  lock.announce({ ip: '127.0.0.1', port: 9000 })
  match(holderOf(path)?.name ?? '', name)
  deepEqual({ ...holderOf(path)?.address }, { ip: '127.0.0.1', port: 9000 })
  equal(holderOf(path)?.page, undefined)
  lock.announce({ ip: '127.0.0.1', port: 9000 }, { ip: '::1', port: 9001 })
  deepEqual({ ...holderOf(path)?.page }, { ip: '::1', port: 9001 })
  throws(() => lockInstance(path), { code: 'TINYMQ_ALREADY_RUNNING' })
  lock.release()
  equal(holderOf(path), undefined)
})

test('what an earlier daemon announced is forgotten when the next one begins', (context) => {
  const path = databasePath(context)
  const first = lockInstance(path)
  first.announce({ ip: '::', port: 9000 }, { ip: '::', port: 9000 })
  first.release()
  const second = lockInstance(path)
  context.after(() => second.release())
  equal(holderOf(path)?.address, undefined)
  equal(holderOf(path)?.page, undefined)
})

test('a lock that a daemon of an earlier build holds has no address, and no start', (context) => {
  const path = databasePath(context)
  const earlier = new Database(`${path}-daemon`)
  context.after(() => earlier.close())
  earlier.exec("CREATE TABLE holder (name TEXT); INSERT INTO holder VALUES ('process 7 on x')")
  earlier.exec('BEGIN IMMEDIATE')
  equal(holderOf(path)?.address, undefined)
  equal(holderOf(path)?.page, undefined)
  throws(() => lockInstance(path), { code: 'TINYMQ_ALREADY_RUNNING' })
  earlier.exec('ROLLBACK')
  const lock = lockInstance(path)
  context.after(() => lock.release())
  match(holderOf(path)?.host ?? '', /./)
})

test('only who may write the database may read its lock, which a reader could hold', (context) => {
  const umask = process.umask(0o022)
  context.after(() => process.umask(umask))
  for (const [database, before, expected] of [
    [undefined, undefined, '600'],
    [0o640, undefined, '600'],
    [0o660, undefined, '660'],
    [0o644, 0o644, '600'],
    [0o660, 0o664, '660'],
  ] as const) {
    process.umask(database === undefined ? 0o022 : 0)
    const path = databasePath(context)
    for (const [file, mode] of [
      [path, database],
      [`${path}-daemon`, before],
    ] as const) {
      if (mode === undefined) continue
      writeFileSync(file, '')
      chmodSync(file, mode)
    }
    lockInstance(path).release()
    equal((statSync(`${path}-daemon`).mode & 0o777).toString(8), expected)
  }
})

test('a lock that is a link to nothing is not followed', (context) => {
  const path = databasePath(context)
  symlinkSync(join(dirname(path), 'elsewhere'), `${path}-daemon`)
  throws(() => lockInstance(path), { code: 'TINYMQ_CANNOT_OPEN', message: /is a link to nothing/ })
  deepEqual(readdirSync(dirname(path)), ['db-daemon'])
})
