import { equal, match, notEqual, throws } from 'node:assert/strict'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { pageTokenPath, providePageToken, readPageToken } from './page-token.ts'

function database(context: TestContext, mode: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'tinymq-token-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'db')
  writeFileSync(path, '')
  chmodSync(path, mode)
  return path
}

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('whoever may read the database may read the token, now and after a change', (context) => {
  const path = database(context, 0o640)
  const token = providePageToken(path)
  match(token, /^[\da-f]{48}$/)
  equal(readFileSync(pageTokenPath(path), 'utf8'), `authorization: Bearer ${token}\n`)
  equal(modeOf(pageTokenPath(path)), '640')
  equal(readPageToken(path), token)
  for (const [mode, expected] of [
    [0o600, '600'],
    [0o666, '644'],
    [0o660, '640'],
  ] as const) {
    chmodSync(path, mode)
    equal(providePageToken(path), token)
    equal(modeOf(pageTokenPath(path)), expected)
  }
})

test('what somebody else has put there is neither followed nor taken', (context) => {
  const path = database(context, 0o600)
  const token = pageTokenPath(path)
  const known = `authorization: Bearer ${'ab'.repeat(24)}\n`
  const elsewhere = join(path, '..', 'elsewhere')
  writeFileSync(elsewhere, known)
  const put: readonly (() => void)[] = [
    () => symlinkSync(elsewhere, token),
    () => symlinkSync(join(path, '..', 'nothing'), token),
    () => linkSync(elsewhere, token),
    () => writeFileSync(token, 'authorization: Bearer x\n'),
    () => writeFileSync(token, `${known}${'x'.repeat(1_000)}`),
  ]
  for (const one of put) {
    rmSync(token, { force: true })
    one()
    notEqual(providePageToken(path), 'ab'.repeat(24))
    equal(readFileSync(elsewhere, 'utf8'), known)
    equal(statSync(token).nlink, 1)
    equal(modeOf(token), '600')
  }
  rmSync(token)
  mkdirSync(token)
  throws(() => providePageToken(path))
})
