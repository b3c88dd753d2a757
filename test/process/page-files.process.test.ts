/** The status page as it is published: its size, and what a strict policy would reject in it. */
import { deepEqual, match, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'

const folder = join(import.meta.dirname, '..', '..', 'dist', 'page')
const gzippedBytesMax = 60_000

const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map(({ parentPath, name }) => join(parentPath, name))
const textOf = (path: string): string => readFileSync(path, 'utf8')

test('all that a first visit loads is small', (t) => {
  const bytes = paths
    .filter((path) => !path.endsWith('.md'))
    .map((path) => gzipSync(readFileSync(path), { level: 6 }).length)
    .reduce((a, b) => a + b)
  t.diagnostic(`${paths.length} files, ${bytes} bytes gzipped, of ${gzippedBytesMax}`)
  ok(paths.length >= 4, 'there are the page, its script, its style and its icon')
  ok(bytes <= gzippedBytesMax, `${bytes} bytes`)
})

test('the page names its files relative to itself, and has nothing inline', () => {
  const html = textOf(join(folder, 'index.html'))
  const named = Array.from(html.matchAll(/(?:src|href)="([^"]*)"/g), ([, address]) => address ?? '')
  ok(named.length >= 3, html)
  deepEqual(
    named.filter((address) => !address.startsWith('./')),
    [],
  )
  for (const address of named) ok(paths.includes(join(folder, address)), address)
  ok(!/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/.test(html), html)
})

test('the licenses of what is built in are there', () => {
  const text = textOf(join(folder, 'licenses.md'))
  for (const name of ['preact', 'uplot']) match(text, new RegExp(`^#+ ${name}`, 'im'))
})

test('nothing in it is loaded from elsewhere or made of text', () => {
  for (const path of paths.filter((each) => !each.endsWith('.md'))) {
    const text = textOf(path)
    // What is named by a namespace is not loaded.
    const addresses = text.match(/https?:\/\/(?!www\.w3\.org\/)[\w.-]+/g) ?? []
    deepEqual(addresses, [], path)
    ok(!/\beval\(|new Function\(|@import|url\((?!#)|sourceMappingURL/.test(text), path)
  }
})
