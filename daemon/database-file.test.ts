import { equal, match, throws } from 'node:assert/strict'
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
import { checkPlace, type Surroundings } from './database-file.ts'

function directory(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'tinymq-place-'))
  context.after(() => rmSync(path, { recursive: true }))
  return path
}

function mountedAt(point: string): Surroundings {
  return { mounts: [{ root: '/somewhere', point, type: 'ext4' }], isContainer: true }
}

test('a mounted directory is a good place, with a file and without', (context) => {
  const place = directory(context)
  const path = join(place, 'db')
  checkPlace(path, mountedAt(place))
  writeFileSync(path, '')
  checkPlace(path, mountedAt(place))
  equal(readdirSync(place).length, 1)
})

test('a file that is mounted by itself is refused, also behind a link', (context) => {
  const place = directory(context)
  const path = join(place, 'db')
  writeFileSync(path, '')
  symlinkSync(path, join(place, 'link'))
  for (const name of ['db', 'link']) {
    throws(() => checkPlace(join(place, name), mountedAt(path)), {
      code: 'TINYMQ_FILE_MOUNT',
      message: new RegExp(`Only the file ${path} is mounted.* --volume \\./data:${place}\\.`),
    })
  }
})

test('a directory in place of the file is told with what Docker does', (context) => {
  const path = join(directory(context), 'db')
  mkdirSync(path)
  throws(
    () => checkPlace(path, mountedAt(path)),
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
    checkPlace(path, alone)
    chmodSync(shared, 0o1777)
    throws(() => checkPlace(path, alone), {
      code: 'TINYMQ_CANNOT_OPEN',
      message: new RegExp(`${path}${suffix} is a link, in a directory where everybody may`),
    })
    rmSync(path + suffix)
    checkPlace(path, alone)
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
  throws(() => checkPlace(path, { mounts: [], isContainer: false }), {
    code: 'TINYMQ_CANNOT_OPEN',
    message: /db belongs to uid 65534, in a directory where everybody may make files/,
  })
  // In a container the users are those that the operator has put there.
  checkPlace(path, { mounts: [], isContainer: true })
  chmodSync(shared, 0o755)
  checkPlace(path, { mounts: [], isContainer: false })
})
