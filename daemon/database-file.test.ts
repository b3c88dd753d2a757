import { equal, match, throws } from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
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
