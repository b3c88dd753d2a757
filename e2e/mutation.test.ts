/** The planted faults. */
import { equal, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { faults, faultsOnLinks } from './faults.ts'
import { changedSources } from './mutation.ts'

const all = [...faults, ...faultsOnLinks]

test('each fault has a name of its own', () => {
  equal(new Set(all.map(({ name }) => name)).size, all.length)
  ok(all.length >= 15)
})

for (const { name, changes, stories } of all) {
  test(`the fault "${name}" is a change of the sources as they are`, () => {
    for (const [file, text] of changedSources(changes)) ok(text.length > 0, file)
  })

  test(`two stories and more must notice it when ${name}`, () => {
    const named = Object.entries(stories).flatMap(([file, titles]) => {
      const text = readFileSync(join(import.meta.dirname, `${file}.e2e.ts`), 'utf8')
      for (const title of titles) ok(title.startsWith('3 ') || text.includes(`'${title}'`), title)
      return titles
    })
    ok(named.length >= 2)
  })
}
