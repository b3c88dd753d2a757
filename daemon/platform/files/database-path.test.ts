import { equal, match, throws } from 'node:assert/strict'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { checkDatabasePath, type HostEnvironment } from './database-path.ts'

function directory(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tinymq-place-'))
  context.after(() => rmSync(path, { recursive: true }))
  return path
}

function mountedAt(point: string): HostEnvironment {
  return { mounts: [{ root: '/somewhere', point, type: 'ext4' }], isContainer: true }
}

test('a mounted directory is a good place, with a file and without', (context) => {
  const place = directory(context)
  const path = join(place, 'db')
  checkDatabasePath(path, mountedAt(place))
  writeFileSync(path, '')
  checkDatabasePath(path, mountedAt(place))
  equal(readdirSync(place).length, 1)
})

test('a file that is mounted by itself is rejected, also behind a link', (context) => {
  const place = directory(context)
  const path = join(place, 'db')
  writeFileSync(path, '')
  symlinkSync(path, join(place, 'link'))
  for (const name of ['db', 'link']) {
    throws(() => checkDatabasePath(join(place, name), mountedAt(path)), {
      code: 'TINYMQ_SINGLE_FILE_MOUNT',
      message: new RegExp(`Only the file ${path} is mounted.* --volume \\./data:${place}\\.`),
    })
  }
})

test('a file that another program makes and removes meanwhile is no fault', async (context) => {
  const path = join(directory(context), 'db')
  writeFileSync(path, '')
  const other = new Worker(makeAndRemove, { eval: true, workerData: `${path}-shm` })
  await once(other, 'message')
  try {
    for (let look = 0; look < 5_000; look++) {
      checkDatabasePath(path, { mounts: [], isContainer: false })
    }
  } finally {
    await other.terminate()
  }
})

/** As the last program that closes a database does with its -wal and -shm. */
const makeAndRemove = `
  const { rmSync, writeFileSync } = require('node:fs')
  const { parentPort, workerData } = require('node:worker_threads')
  parentPort.postMessage('ready')
  for (;;) {
    writeFileSync(workerData, '')
    rmSync(workerData)
  }
`

test('a directory in place of the file is reported with what Docker does', (context) => {
  const path = join(directory(context), 'db')
  mkdirSync(path)
  throws(
    () => checkDatabasePath(path, mountedAt(path)),
    (error: Error & { code?: string }) => {
      equal(error.code, 'TINYMQ_NOT_A_DATABASE')
      match(error.message, new RegExp(`is not a file\\. A directory is there.*${path}/tinymqdb`))
      return true
    },
  )
})

test('where everybody may make files, a link in place of ours is rejected', (context) => {
  const place = directory(context)
  const shared = join(place, 'shared')
  const elsewhere = join(place, 'elsewhere')
  mkdirSync(shared)
  writeFileSync(elsewhere, '')
  const alone = { mounts: [], isContainer: false }
  for (const suffix of ['', '-wal', '-shm', '-daemon']) {
    const path = join(shared, 'db')
    symlinkSync(elsewhere, path + suffix)
    chmodSync(shared, 0o755)
    checkDatabasePath(path, alone)
    chmodSync(shared, 0o1777)
    throws(() => checkDatabasePath(path, alone), {
      code: 'TINYMQ_CANNOT_OPEN',
      message: new RegExp(`${path}${suffix} is a link, in a directory where everybody may`),
    })
    rmSync(path + suffix)
    checkDatabasePath(path, alone)
  }
})

test('where everybody may make files, a file of another user is rejected', (context) => {
  // Only root can have a file of another user there.
  if (process.getuid?.() !== 0) return
  const shared = directory(context)
  const path = join(shared, 'db')
  chmodSync(shared, 0o1777)
  writeFileSync(path, '')
  chownSync(path, 65_534, 65_534)
  throws(() => checkDatabasePath(path, { mounts: [], isContainer: false }), {
    code: 'TINYMQ_CANNOT_OPEN',
    message: /db belongs to uid 65534, in a directory where everybody may make files/,
  })
  // In a container the users are those that the operator has put there.
  checkDatabasePath(path, { mounts: [], isContainer: true })
  chmodSync(shared, 0o755)
  checkDatabasePath(path, { mounts: [], isContainer: false })
})
