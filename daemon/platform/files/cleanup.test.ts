import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { cleanupWarning, parseRules, touch } from './cleanup.ts'

const rules = parseRules(`# comment
q /tmp 1777 root root 10d
q /var/tmp 1777 root root 30d
D! /var/tmp/kept 1777 root root -
d /run/user/%u 0700 - - 1d
f /var/tmp/file - - - 1d
`)

test('the rules of tmpfiles.d that clean by age are read', () => {
  deepEqual(
    rules.map(({ directory, age }) => `${directory} ${age}`),
    ['/tmp 10d', '/var/tmp 30d', '/var/tmp/kept -'],
  )
})

test('a database that the system would remove is warned about, and no other', () => {
  const problem = cleanupWarning('/var/tmp/tinymqdb', rules)
  match(problem?.what ?? '', /\/var\/tmp .* for 30d: /)
  match(problem?.remedy ?? '', /^move it/)
  equal(cleanupWarning('/var/tmp/kept/db', rules), undefined)
  equal(cleanupWarning('/var/lib/tinymq/tinymqdb', rules), undefined)
  equal(cleanupWarning('/var/tmpx/db', rules), undefined)
})

test('a daemon keeps its files young', (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-cleanup-'))
  context.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'db')
  writeFileSync(path, '')
  utimesSync(path, 1, 1)
  touch(path)
  const { atimeMs, mtimeMs } = statSync(path)
  ok(Date.now() - atimeMs < 60_000 && Date.now() - mtimeMs < 60_000)
})
