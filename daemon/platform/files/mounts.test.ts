import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { mountOf, parseMounts, ephemeralStorageWarning } from './mounts.ts'

const volumeName = '0123456789abcdef'.repeat(4)

/** As a container of Docker shows it, with optional fields, an escaped space and an odd line. */
const text = `\
507 447 0:49 / / ro,relatime master:191 - overlay overlay rw,lowerdir=/l
508 507 0:51 / /proc rw,nosuid - proc proc rw
513 507 8:1 /srv/my\\040data /data rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw
514 507 8:1 /srv/one.db /mnt/one\\134two.db rw - ext4 /dev/sda1 rw
515 507 8:1 /var/lib/docker/volumes/${volumeName}/_data /anonymous rw - ext4 /dev/sda1 rw
516 507 8:1 /var/lib/docker/volumes/tinymq/_data /named rw - ext4 /dev/sda1 rw
517 507 0:60 / /tmp rw - tmpfs tmpfs rw
something else
`
const mounts = parseMounts(text)

test('mountinfo is read with its escapes, and what has another form is left out', () => {
  equal(mounts.length, 7)
  deepEqual(mounts[2], { root: '/srv/my data', point: '/data', type: 'ext4' })
  equal(mounts[3]?.point, '/mnt/one\\two.db')
})

test('a path is in the innermost mount, and a name that begins alike is not inside', () => {
  equal(mountOf('/data/tinymqdb', mounts)?.point, '/data')
  equal(mountOf('/data', mounts)?.point, '/data')
  equal(mountOf('/database/tinymqdb', mounts)?.point, '/')
  equal(mountOf('/data/tinymqdb', []), undefined)
})

test('of two mounts at one place the later one counts', () => {
  const twice = parseMounts('1 0 8:1 /a /data rw - ext4 x rw\n2 1 8:1 /b /data rw - xfs x rw\n')
  equal(mountOf('/data/db', twice)?.type, 'xfs')
})

test('a database outlives the container in a directory of the host and in a named volume', () => {
  equal(ephemeralStorageWarning('/data/tinymqdb', mounts, true), undefined)
  equal(ephemeralStorageWarning('/named/tinymqdb', mounts, true), undefined)
})

test('a database in no volume, in a nameless one or in memory is reported with the way out', () => {
  const expected = [
    ['/var/tmp/db', /no volume/],
    ['/anonymous/db', /without a name/],
    ['/tmp/db', /in memory \(tmpfs at \/tmp\)/],
  ] as const
  for (const [path, what] of expected) {
    const problem = ephemeralStorageWarning(path, mounts, true)
    match(problem?.what ?? '', what)
    match(problem?.remedy ?? '', /^mount a directory/)
  }
})

test('the root of a machine that is no container is nothing to warn about', () => {
  const machine = parseMounts('22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n')
  equal(ephemeralStorageWarning('/var/tmp/tinymqdb', machine, false), undefined)
  match(ephemeralStorageWarning('/var/tmp/tinymqdb', machine, true)?.what ?? '', /no volume/)
})

test('where the system says nothing, nothing is reported', () => {
  equal(ephemeralStorageWarning('/data/tinymqdb', [], true), undefined)
})
