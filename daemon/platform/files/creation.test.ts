import { doesNotThrow, deepEqual, equal, match, ok, throws } from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { checkMayCreate, createdLine, makeDefaultDirectory, removeGuard } from './creation.ts'
import { parseFstab } from './mounts.ts'

const fstab = `# /etc/fstab: static file system information.
UUID=1 / ext4 errors=remount-ro 0 1
UUID=2\t/srv/my\\040queue/ ext4 defaults,nofail 0 2
UUID=3 none swap sw 0 0
UUID=4 /media/stick vfat noauto,user 0 0

tmpfs /tmp tmpfs defaults 0 0
`

const mounted = (...points: readonly string[]) =>
  points.map((point) => ({ root: '/', point, type: 'ext4' }))

test('/etc/fstab says which volumes the system mounts by itself', () => {
  deepEqual(parseFstab(fstab), ['/', '/srv/my queue', '/tmp'])
})

test('no database is begun under the mount point of a volume that is not mounted', () => {
  const meant = parseFstab(fstab)
  const refused = { code: 'TINYMQ_NO_VOLUME', message: /sudo mount \/srv\/my queue/ }
  throws(
    () =>
      checkMayCreate('/srv/my queue/db', 'auto', { mounts: mounted('/', '/tmp'), fstab: meant }),
    refused,
  )
  const mounts = mounted('/', '/tmp', '/srv/my queue')
  for (const path of ['/srv/my queue/db', '/srv/db', '/tmp/db', '/media/stick/db']) {
    doesNotThrow(() => checkMayCreate(path, 'auto', { mounts, fstab: meant }))
  }
  doesNotThrow(() => checkMayCreate('/srv/my queue/db', 'auto', { mounts: [], fstab: meant }))
})

test('with --create mounted a database is begun in a mounted volume only', () => {
  const refused = { code: 'TINYMQ_NO_VOLUME', message: /TINYMQ_CREATE=auto/ }
  const begin = (path: string, ...points: string[]): void =>
    checkMayCreate(path, 'mounted', { mounts: mounted(...points), fstab: [] })
  throws(() => begin('/data/db', '/', '/proc'), refused)
  doesNotThrow(() => begin('/data/db', '/', '/proc', '/data'))
  doesNotThrow(() => begin('/data/db'))
})

test('with --create never no database is begun', () => {
  throws(() => checkMayCreate('/data/db', 'never', { mounts: [], fstab: [] }), {
    code: 'TINYMQ_NO_DATABASE',
  })
})

function scratch(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-creation-'))
  context.after(() => rmSync(directory, { recursive: true }))
  return join(directory, 'db')
}

const noVolumes = { mounts: [], fstab: [] }

test('the one directory of the default path is made, and no other', (context) => {
  const defaultPath = join(dirname(scratch(context)), 'tinymq', 'db')
  const options = { defaultPath, volumes: noVolumes }
  const other = join(dirname(defaultPath), '..', 'other', 'db')
  makeDefaultDirectory(other, 'auto', options)
  makeDefaultDirectory(defaultPath, 'auto', { volumes: noVolumes })
  equal(existsSync(dirname(other)), false)
  equal(existsSync(dirname(defaultPath)), false)
  makeDefaultDirectory(defaultPath, 'auto', options)
  equal(statSync(dirname(defaultPath)).mode & 0o722, 0o700)
  makeDefaultDirectory(defaultPath, 'never', options)
  const deep = join(dirname(other), 'tinymq', 'db')
  makeDefaultDirectory(deep, 'auto', { ...options, defaultPath: deep })
  equal(existsSync(dirname(other)), false)
})

test('the directory is not made where no database may be', (context) => {
  const defaultPath = join(dirname(scratch(context)), 'tinymq', 'db')
  const volumes = { mounts: mounted('/'), fstab: [dirname(defaultPath)] }
  const refused = { code: 'TINYMQ_NO_VOLUME' }
  throws(() => makeDefaultDirectory(defaultPath, 'auto', { defaultPath, volumes }), refused)
  throws(() => makeDefaultDirectory(defaultPath, 'mounted', { defaultPath, volumes }), refused)
  throws(() => makeDefaultDirectory(defaultPath, 'never', { defaultPath, volumes: noVolumes }), {
    code: 'TINYMQ_NO_DATABASE',
  })
  ok(!existsSync(dirname(defaultPath)))
})

test('a new database is logged as a warning, with what was saved of an earlier one', (context) => {
  const path = scratch(context)
  const { level, fields } = createdLine(path)
  deepEqual([level, fields], ['warn', { database: path }])
  for (const end of ['5', '12', '7', 'x']) writeFileSync(`${path}.rescued-${end}`, '')
  writeFileSync(`${path}2.rescued-9`, '')
  const line = createdLine(path)
  match(line.sentence, /A copy of an earlier one/)
  equal(line.fields?.['saved'], 'db.rescued-12')
})

test('a guard that was left is removed, and a file never', (context) => {
  const path = scratch(context)
  removeGuard(path)
  mkdirSync(`${path}-shm`)
  removeGuard(path)
  writeFileSync(`${path}-shm`, '')
  removeGuard(path)
  throws(() => mkdirSync(`${path}-shm`), { code: 'EEXIST' })
})
