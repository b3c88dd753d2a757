import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultDatabase } from '../../sdk/schema/database-files.ts'
import { optionsMarkdown } from '../../daemon/platform/config/options.ts'

const root = join(import.meta.dirname, '..', '..')
const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
const readme = readFileSync(join(root, 'README.md'), 'utf8')

test("the README's table of options is the one that the daemon has", () => {
  assert.ok(
    readme.includes(optionsMarkdown().trim()),
    `Put this into README.md:\n${optionsMarkdown()}`,
  )
})

test('what cannot import the default path repeats it', () => {
  for (const path of ['cli/tinymq.js', 'daemon/http/page/model/action.ts', 'docs/operations.md']) {
    const text = readFileSync(join(root, path), 'utf8')
    assert.ok(text.includes(defaultDatabase), `${path} has another default than the daemon.`)
  }
})

test('every file that a page links to is there', () => {
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8')
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link = '']) => link)
    const missing = links.filter((link) => !existsSync(join(root, link)))
    assert.deepEqual(missing, [], `${page} links to what is not there.`)
  }
})

test('the README promises P1 to P12, each with a test', () => {
  const rows = [...readme.matchAll(/^\| (P\d+) \|.*\]\(([^)]+)\)/gm)].map(([, promise]) => promise)
  const promises = Array.from({ length: 12 }, (_, index) => `P${index + 1}`)
  assert.deepEqual(rows, promises)
})
