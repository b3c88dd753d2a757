import { deepEqual, equal } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chownSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readHealth, removeHealth, writeHealth } from './health-file.ts'
import { needs } from '../../../test/support/needs.ts'
import type { StoreFault } from '../../store/error-classification.ts'

const fault: StoreFault = {
  code: 'TINYMQ_DISK_FULL',
  level: 'error',
  sentence: 'the disk is full',
  hint: 'free space',
  sinceMs: 1,
}

function databaseOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'tinymq-health-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const database = join(directory, 'db')
  writeFileSync(database, '')
  return database
}

test('what a daemon writes of its trouble is read, until that is over', (t) => {
  const database = databaseOf(t)
  equal(readHealth(database), undefined)
  writeHealth(database, fault)
  deepEqual(readHealth(database), fault)
  writeHealth(database, undefined)
  equal(readHealth(database), undefined)
  removeHealth(database)
  removeHealth(database)
})

test('a link in its place leads to no other file', (t) => {
  const database = databaseOf(t)
  const other = `${database}-other`
  writeFileSync(other, JSON.stringify({ fault }))
  symlinkSync(other, `${database}-health`)
  const before = readFileSync(other)
  writeHealth(database, undefined)
  deepEqual(readFileSync(other), before)
  equal(readHealth(database), undefined)
})

test('another name of a file in its place is not written through', (t) => {
  const database = databaseOf(t)
  const other = `${database}-other`
  writeFileSync(other, 'mine')
  execFileSync('ln', [other, `${database}-health`])
  writeHealth(database, fault)
  equal(readFileSync(other, 'utf8'), 'mine')
})

test('a pipe in its place stops neither the daemon nor who asks', (t) => {
  const database = databaseOf(t)
  execFileSync('mkfifo', [`${database}-health`])
  writeHealth(database, fault)
  equal(readHealth(database), undefined)
})

const skip = needs('root')

test('a file of another user in its place is neither written nor believed', { skip }, (t) => {
  const database = databaseOf(t)
  const path = `${database}-health`
  writeFileSync(path, JSON.stringify({ fault }))
  chownSync(path, 4_711, 4_711)
  equal(readHealth(database), undefined)
  const before = readFileSync(path)
  writeHealth(database, undefined)
  deepEqual(readFileSync(path), before)
  chownSync(database, 4_711, 4_711)
  deepEqual(readHealth(database), fault)
})
